"""Numbers as formulas write them."""

import math

from tenfold.units import DAY, HOUR, MIN, MONTH, WEEK, YEAR, S, format_count, format_duration, format_ratio, format_size

_PERIODS = {S: "s", MIN: "min", HOUR: "h", DAY: "day", WEEK: "week", MONTH: "month", YEAR: "year"}


def rate(per_s: float) -> str:
    """`57,870.37 /s`: two decimals below a million, none above, so that a formula can be checked by hand."""
    if per_s and per_s < 0.01:
        return f"{per_s:.2g} /s"
    text = f"{per_s:,.0f}" if per_s >= 1e6 else f"{per_s:,.2f}".removesuffix(".00")
    return f"{text} /s"


def bandwidth(bytes_per_s: float) -> str:
    """`1.2 GB/s`."""
    return f"{size(bytes_per_s)}/s"


def count(number: float) -> str:
    """`100M`, `20k`, `1.5`: as the design file writes it when that is short."""
    for scale, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= scale and not math.isinf(number):
            return f"{number / scale:,.4g}{letter}"
    return format_count(number)


def plain(number: float) -> str:
    """`138.9`, `2,315`: for numbers of workers, connections, cores and nodes."""
    if math.isinf(number):
        return "infinite"
    return f"{number:,.0f}" if number >= 1000 or float(number).is_integer() else f"{number:,.3g}"


def size(size_bytes: float) -> str:
    """`480 B`, `2.3 TB`."""
    return format_size(size_bytes)


def duration(ns: float) -> str:
    """`1.2 ms`."""
    return format_duration(ns)


def ratio(share: float) -> str:
    """`30 %`."""
    return format_ratio(share)


def factor(number: float) -> str:
    """`2`, `1.5`: three digits."""
    return f"{number:,.3g}"


def period(period_ns: int) -> str:
    """`day`, or the duration when it has no name."""
    return _PERIODS.get(period_ns, duration(period_ns))
