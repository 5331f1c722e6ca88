"""Numbers as a verdict says them: shorter than a formula's. The same words in verdicts and in reports on runs."""

from tenfold.units import format_duration, format_factor, format_ratio, format_size

_COUNTS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SHORT_FROM = 9_999.5


def duration(ns: float) -> str:
    """A length of time, ns: `1.4 ms`, `15 min`, `0 s`."""
    return format_duration(round(ns)) if ns else "0 s"


def clock(ns: float) -> str:
    """A moment of the scenario, ns from its start: `5:00`, `1:02:03`."""
    seconds = int(ns // 1_000_000_000)
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def share(ratio: float) -> str:
    """A share of one: `61.2 %`, `99.98 %`; next to nothing or to all only that it is not there."""
    if 0.99999 < ratio < 1:
        return ">99.999 %"
    return "<0.01 %" if 0 < ratio < 0.0001 else format_ratio(ratio)


def count(value: float) -> str:
    """A number of things: `812`, `3,541`, `57.9 k`, `104 M`."""
    for size, unit in _COUNTS:
        if value >= max(size * 0.9995, _SHORT_FROM):
            return f"{_three_digits(value / size)} {unit}"
    return _three_digits(value)


def rate(per_s: float) -> str:
    """How often: `57.9 k/s`, `812 /s`."""
    text = count(per_s)
    return f"{text}/s" if text[-1].isalpha() else f"{text} /s"


def factor(value: float) -> str:
    """How many times: `0.043x`, `2.9x`, `22x`."""
    if 0 < value < 0.95:
        return f"{value:.2g}x" if value >= 0.0001 else "<0.0001x"
    return f"{value:.1f}x" if value < 9.95 else format_factor(round(value))


def value(number: float | None, unit: str) -> str:
    """A measured number in its unit: ns, ratio, per_s, bytes, or a bare count; a dash when there is none."""
    if number is None:
        return "-"
    if unit == "ns":
        return duration(number)
    if unit == "ratio":
        return share(number)
    if unit == "per_s":
        return rate(number)
    return format_size(number) if unit == "bytes" else count(number)


def _three_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
