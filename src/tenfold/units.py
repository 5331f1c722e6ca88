"""Durations, sizes, counts, rates, ratios, factors, ranges: read as people write them, printed as people read them.

Inside Tenfold a duration is int nanoseconds, a size int bytes, a ratio 0..1, a factor a plain number, a rate per s.
Parsers take the text of one value and return that, or raise `UnitError` with a message and a remedy. Numbers are exact
decimals until the end, so `0.1 s` is 100,000,000 ns and nothing else.

- k M G T are decimal; KB = 1000 bytes, KiB = 1024; a month is 365/12 days and a year 365 days.
- What is ambiguous is refused: `5m` could be minutes or millions, `0.2` could be a fifth or 0.2 %.
"""

import math
import re
from collections.abc import Callable
from decimal import Context, Decimal

Triple = tuple[float, float, float]
"""(low, likely, high) of a range; all equal for a plain number."""

NS, US, MS, S = 1, 1_000, 1_000_000, 1_000_000_000
MIN, HOUR, DAY = 60 * S, 3_600 * S, 86_400 * S
WEEK, YEAR = 7 * DAY, 365 * DAY
MONTH = YEAR // 12  # 2,628,000,000,000,000 ns exactly

DURATION_MAX_NS = 100 * YEAR  # int64 nanoseconds end after 292 years; sums of a few durations must still fit
SIZE_MAX_BYTES = 2**63 - 1
COUNT_MAX = 10**18
RATIO_MAX = 1_000
FACTOR_MAX = 1_000_000

_DURATIONS = {
    "ns": NS, "us": US, "µs": US, "μs": US, "ms": MS, "s": S, "min": MIN, "h": HOUR, "day": DAY, "week": WEEK,
    "month": MONTH, "year": YEAR, "second": S, "minute": MIN, "hour": HOUR, "days": DAY, "weeks": WEEK, "months": MONTH,
    "years": YEAR, "seconds": S, "minutes": MIN, "hours": HOUR,
}  # fmt: skip
_DURATION_HINTS = {
    "sec": "s", "secs": "s", "mins": "min", "hr": "h", "hrs": "h", "d": "day", "w": "week", "y": "year", "yr": "year",
    "yrs": "year", "mo": "month", "mon": "month", "msec": "ms", "millis": "ms", "usec": "us",
}  # fmt: skip
_DECIMALS = {"B": 1, "KB": 10**3, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15, "EB": 10**18}
_BINARIES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50, "EiB": 2**60}
_SIZES = _DECIMALS | _BINARIES
_COUNTS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

_NUMBER = r"[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?"
_QUANTITY = re.compile(rf"({_NUMBER})\s*([^\s0-9.,+\-_]*)")
_LONGEST = 100  # characters of a value; nothing sensible is longer
_EXACT = Context(prec=60)  # our own: the thread's decimal context belongs to the user


class UnitError(ValueError):
    """A value that cannot be read: what is wrong, and what to write instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}: {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


def quoted(text: str) -> str:
    """A value as messages show it: in quotes, short, on one line."""
    shown = " ".join(text.split()) or text
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    return '"' + "".join(char if char.isprintable() else "?" for char in shown) + '"'


def parse_duration(text: str) -> int:
    """A duration in ns, 0 to 100 years: `5 min`, `1.2 ms`, `1 min 30 s`, `18 months`; a bare 0 is 0."""
    total, smallest = Decimal(0), math.inf
    for number, unit in _quantities(text, "a duration", "5 min, 30 s or 1.2 ms"):
        scale = _duration_unit(text, number, unit)
        if scale >= smallest:
            raise UnitError(f"{quoted(text)} does not go from large units to small ones", "write 1 min 30 s")
        smallest = scale
        total = _EXACT.add(total, _EXACT.multiply(_decimal(number), Decimal(scale)))
    return _whole(text, total, "duration", DURATION_MAX_NS, "100 years", "1 ns")


def _duration_unit(text: str, number: str, unit: str) -> int:
    """Nanoseconds of a duration's unit."""
    if unit in _DURATIONS:
        return _DURATIONS[unit]
    if not unit and _decimal(number) == 0:
        return NS
    if unit == "":
        raise UnitError(f"{quoted(text)} has no unit", f"write {number} ms, {number} s or {number} min")
    if unit == "m":
        raise _ambiguous_m(number)
    if unit == "M":
        raise UnitError(f"{quoted(text)} is ambiguous", f"write {number} min or {number} months")
    if unit.startswith(":"):
        raise UnitError(f"{quoted(text)} is ambiguous", "write 5 min 30 s, or 5 h 30 min")
    hint = _DURATION_HINTS.get(unit.lower()) or (unit.lower() if unit.lower() in _DURATIONS else "")
    remedy = f"write {number} {hint}" if hint else "use ns, us, ms, s, min, h, day, week, month or year"
    raise UnitError(f"{quoted(text)} has no unit of time: {quoted(unit)}", remedy)


def parse_size(text: str) -> int:
    """A size in bytes: `480 B`, `20 KB` (1000), `64 GiB` (1024^3); a bare 0 is 0."""
    number, unit = _one_quantity(text, "a size", "480 B, 20 KB or 64 GB")
    if unit not in _SIZES and (unit or _decimal(number) != 0):
        raise UnitError(*_size_trouble(text, number, unit))
    total = _EXACT.multiply(_decimal(number), Decimal(_SIZES.get(unit, 1)))
    return _whole(text, total, "size", SIZE_MAX_BYTES, "8 EiB", "1 B")


def _size_trouble(text: str, number: str, unit: str) -> tuple[str, str]:
    """What is wrong with a size's unit, and the remedy."""
    if unit == "":
        return f"{quoted(text)} has no unit", f"write {number} B, {number} KB or {number} GB"
    if unit in ("k", "K", "M", "G", "T", "P"):
        letter = unit.upper()
        return f"{quoted(text)} is ambiguous", f"write {number} {letter}B or {number} {letter}iB"
    if unit.lower().removesuffix("s").endswith(("b", "bit")) and unit not in _SIZES and "b" in unit[1:]:
        known = {name.lower(): name for name in _SIZES if name != "kB"}
        in_bytes = known.get(unit.lower(), "")
        return f"{quoted(text)} may be bits", f"write {number} {in_bytes}" if in_bytes else "write bytes: B, KB, MB, GB"
    known = {name.lower(): name for name in _SIZES if name != "kB"} | {"byte": "B", "bytes": "B"}
    hint = known.get(unit.lower())
    message = f"{quoted(text)} has no unit of size: {quoted(unit)}"
    return message, f"write {number} {hint}" if hint else "use B, KB, MB, GB, TB or KiB, MiB, GiB, TiB"


def parse_number(text: str) -> float:
    """A plain number, 0 to 1e18, perhaps with k, M, G or T: `0.5`, `4M`, `1e6`."""
    number, unit = _one_quantity(text, "a number", "75, 0.5 or 4M")
    return float(_scaled(text, number, unit))


def parse_count(text: str) -> int:
    """A whole number, 0 to 1e18, perhaps with k, M, G or T: `40`, `5M`, `1.5k`."""
    number, unit = _one_quantity(text, "a count", "40, 1.5k or 5M")
    value = _scaled(text, number, unit)
    if value != value.to_integral_value(context=_EXACT):
        raise UnitError(f"{quoted(text)} is not a whole number", f"write {math.floor(value)} or {math.ceil(value)}")
    return int(value)


def _scaled(text: str, number: str, unit: str) -> Decimal:
    """A number with its decimal letter applied."""
    if unit == "m":
        raise _ambiguous_m(number)
    if unit.lower() in ("req", "rps", "qps", "requests"):
        raise UnitError(f"{quoted(text)} is not a plain number: {quoted(unit)}", f"write a rate as {number}/s")
    if unit not in _COUNTS:
        hints = {"g": "G", "t": "T", "B": "G", "b": "G", "mio": "M", "bn": "G"}
        remedy = f"write {number}{hints[unit]}" if unit in hints else f"write {number}, {number}k or {number}M"
        raise UnitError(f"{quoted(text)} is not a plain number: {quoted(unit)}", remedy)
    value = _EXACT.multiply(_decimal(number), Decimal(_COUNTS[unit]))
    if value > COUNT_MAX:
        raise UnitError(f"{quoted(text)} is more than 1e18", "write a smaller number")
    return value


def parse_ratio(text: str) -> float:
    """A ratio from its percentage: `99.9%` is 0.999, `150 %` is 1.5; a bare 0 is 0."""
    number, unit = _one_quantity(text, "a ratio", "20% or 99.9%")
    value = _decimal(number)
    if unit == "" and value == 0:
        return 0.0
    if unit != "%":
        as_percent = _plain(_EXACT.multiply(value, Decimal(100))) if value <= 1 else number
        remedy = f"write {as_percent}%" if unit == "" else f"write {number}%"
        raise UnitError(f"{quoted(text)} has no percent sign", remedy)
    if value > 100 * RATIO_MAX:
        raise UnitError(f"{quoted(text)} is more than {RATIO_MAX * 100:,} %", "write a smaller percentage")
    return float(_EXACT.divide(value, Decimal(100)))


def parse_factor(text: str) -> float:
    """A factor: `2x`, `1.5x`; a bare number says the same."""
    number, unit = _one_quantity(text, "a factor", "2x or 1.5x")
    value = _decimal(number)
    if unit not in ("x", "X", ""):
        remedy = "write 1.5x (a factor, not a percentage)" if unit == "%" else f"write {number}x"
        raise UnitError(f"{quoted(text)} is not a factor", remedy)
    if value > FACTOR_MAX:
        raise UnitError(f"{quoted(text)} is more than {FACTOR_MAX:,}x", "write a smaller factor")
    return float(value)


def parse_rate(text: str) -> tuple[Triple, int, bool]:
    """A rate or its range: `115k/s`, `100M/month`, `50/user/day`, `80..120/s`.

    Returns:
        (low, likely, high) per period, the period in ns, and whether it is meant for each user.
    """
    value, period_ns, is_per_user = parse_amount(text)
    if not period_ns:
        number = text.split("/")[0].strip()
        remedy = f"write {number}/user/day" if is_per_user else f"write {number}/s or {number}/user/day"
        raise UnitError(f"{quoted(text)} does not say per what time", remedy)
    return value, period_ns, is_per_user


def parse_rate_per_s(text: str) -> float:
    """A rate per second without users in it: `115k/s`, `100M/month`."""
    (low, likely, high), period_ns, is_per_user = parse_rate(text)
    if is_per_user:
        raise UnitError(f"{quoted(text)} is a rate per user", "write a rate such as 100/s")
    if low != high:
        raise UnitError(f"{quoted(text)} is a range", "write one rate such as 100/s")
    return likely * S / period_ns


def parse_amount(text: str) -> tuple[Triple, int, bool]:
    """How many there are or come: `4M`, `1/user`, `1/user/day`, `100M/month`, ranges of them.

    Returns:
        (low, likely, high), the period in ns (0 for a standing number), and whether it is meant for each user.
    """
    number, *per = (part.strip() for part in _bounded(text).split("/"))
    is_per_user = bool(per) and per[0] in ("user", "users")
    period = per[1:] if is_per_user else per
    if period[1:] in (["user"], ["users"]):
        raise UnitError(f"{quoted(text)} has the period before the user", f"write {number}/user/{period[0]}")
    if len(period) > 1:
        raise UnitError(f"{quoted(text)} is not a rate", "write 50/user/day, 115k/s or 100M/month")
    return parse_range(number, parse_number), _period(text, number, period), is_per_user


def _period(text: str, number: str, period: list[str]) -> int:
    """Nanoseconds of a rate's period; 0 when there is none."""
    if not period:
        return 0
    if period[0] in _DURATIONS:
        return _DURATIONS[period[0]]
    if period[0] in ("m", "M"):
        raise UnitError(f"{quoted(text)} is ambiguous", f"write {number}/min or {number}/month")
    hint = _DURATION_HINTS.get(period[0], "")
    remedy = f"write {number}/{hint}" if hint else "write it per s, min, h, day, week, month or year"
    raise UnitError(f"{quoted(text)} has no unit of time after the slash", remedy)


def parse_range(text: str, parse: Callable[[str], float]) -> Triple:
    """A number or its range, `80..120`, `1 ms..5 ms`, `1..5 ms`, `80..90..120` (low, likely, high).

    The likely number of two is their middle. A unit may stand once, at the end, where that is not ambiguous: `80..120M`
    could mean 80 and is refused.

    Args:
        text: the value.
        parse: how one number of it is read.
    """
    parts = [part.strip() for part in re.split(r"\.\.+|…", _bounded(text))]
    if len(parts) > 3 or (len(parts) > 1 and "" in parts):
        raise UnitError(f"{quoted(text)} is not a range", "write low..high, such as 80..120, or low..likely..high")
    numbers = [parse(part) for part in _with_units(text, parts)]
    if numbers != sorted(numbers):
        raise UnitError(f"{quoted(text)} does not go up", f"write {'..'.join(reversed(parts))}")
    low, high = numbers[0], numbers[-1]
    return low, (numbers[1] if len(numbers) == 3 else low + (high - low) / 2), high


def _with_units(text: str, parts: list[str]) -> list[str]:
    """The numbers of a range, each with the unit that stands after the last."""
    last = _QUANTITY.fullmatch(parts[-1])
    unit = last.group(2) if last else ""
    if not unit or not all(re.fullmatch(_NUMBER, part) for part in parts[:-1]):
        return parts
    if unit in _COUNTS and any(_decimal(part) for part in parts[:-1]):
        raise UnitError(
            f"{quoted(text)} is ambiguous", f"write {'..'.join(part + unit for part in parts[:-1])}..{parts[-1]}"
        )
    return [*(part + unit for part in parts[:-1]), parts[-1]]


def _bounded(text: str) -> str:
    """The text without its margins, refused when it is absurdly long or empty."""
    stripped = text.strip()
    if not stripped:
        raise UnitError("the value is empty", "write a value, or leave the key out")
    if len(stripped) > _LONGEST:
        raise UnitError(f"{quoted(text)} is {len(stripped)} characters long", "write one short value")
    return stripped


def _quantities(text: str, what: str, example: str) -> list[tuple[str, str]]:
    """The (number, unit) pairs a text consists of."""
    stripped = _bounded(text)
    pairs, at = [], 0
    while match := _QUANTITY.match(stripped, at):
        pairs.append((match.group(1), match.group(2)))
        at = match.end() + len(stripped[match.end() :]) - len(stripped[match.end() :].lstrip())
    if not pairs or at < len(stripped):
        raise UnitError(*_not_a_number(stripped, what, example))
    return pairs


def _one_quantity(text: str, what: str, example: str) -> tuple[str, str]:
    """The only number of a text and its unit."""
    pairs = _quantities(text, what, example)
    if len(pairs) > 1:
        raise UnitError(*_not_a_number(text.strip(), what, example))
    return pairs[0]


def _not_a_number(text: str, what: str, example: str) -> tuple[str, str]:
    """Why a text is no quantity, and the remedy."""
    if text.startswith("-") and re.match(_NUMBER, text[1:].strip()):
        return f"{quoted(text)} is negative", f"write {what} of 0 or more, such as {example}"
    if re.match(r"[0-9]+,[0-9]", text):
        return f"{quoted(text)} has a comma", "write numbers without separators of thousands, and a point for decimals"
    if re.match(rf"{_NUMBER}[^.]{{0,9}}\.\.", text):
        return f"{quoted(text)} is a range", f"here is one value: write {what} such as {example}"
    if re.match(r"\.[0-9]", text):
        return f"{quoted(text)} starts with a point", f"write 0{text}"
    if text.lower().lstrip("+-.") in ("nan", "inf", "infinity"):
        return f"{quoted(text)} is not finite", f"write {what} such as {example}"
    return f"{quoted(text)} is not {what}", f"write {what} such as {example}"


def _ambiguous_m(number: str) -> UnitError:
    """`5m`: the most common trap."""
    return UnitError(f"{number}m is ambiguous", f"write {number} min or {number}M")


def _decimal(number: str) -> Decimal:
    """The exact number."""
    return Decimal(number.replace("_", ""))


def _plain(number: Decimal) -> str:
    """A decimal without exponent or trailing zeros."""
    shown = f"{number:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _whole(text: str, value: Decimal, what: str, most: int, most_shown: str, least_shown: str) -> int:
    """The value rounded to whole ns or bytes; refused when too large, or when rounding would make it nothing."""
    if value > most:
        raise UnitError(f"{quoted(text)} is more than {most_shown}", f"write a smaller {what}")
    rounded = int(value.to_integral_value(context=_EXACT))
    if rounded == 0 and value != 0:
        raise UnitError(f"{quoted(text)} is less than {least_shown}", f"write {least_shown} or more, or 0")
    return rounded


def format_duration(ns: float) -> str:
    """`5 min`, `1.2 ms`, `90 s`, `18 months`: three digits, in the unit people would use."""
    if not math.isfinite(ns):
        return _not_finite(ns)
    if ns < 0:
        return "-" + format_duration(-ns)
    for scale, one, many in ((YEAR, "year", "years"), (MONTH, "month", "months"), (DAY, "day", "days")):
        if ns >= scale and ns % scale == 0:
            return f"{ns // scale:,.0f} {one if ns == scale else many}"
    for scale, unit in ((HOUR, "h"), (MIN, "min")):
        if scale <= ns <= 120 * scale and ns % scale == 0:
            return f"{ns // scale:,.0f} {unit}"
    scale, unit = _duration_scale(ns)
    return f"{_three_digits(ns / scale)} {unit}"


def _duration_scale(ns: float) -> tuple[int, str]:
    """The unit of a duration that is not a whole number of minutes or more."""
    steps = ((1 * US, NS, "ns"), (1 * MS, US, "us"), (1 * S, MS, "ms"), (10 * MIN, S, "s"), (2 * HOUR, MIN, "min"),
             (2 * DAY, HOUR, "h"), (2 * YEAR, DAY, "days"))  # fmt: skip
    for below, scale, unit in steps:
        if ns < below and float(f"{ns / scale:.3g}") * scale < below:  # 999.9 us is shown as 1 ms
            return scale, unit
    return YEAR, "years"


def format_size(size_bytes: float) -> str:
    """`64 GB`, `1.5 MB`, `480 B`: decimal units, three digits."""
    if not math.isfinite(size_bytes):
        return _not_finite(size_bytes)
    if size_bytes < 0:
        return "-" + format_size(-size_bytes)
    for unit in ("B", "KB", "MB", "GB", "TB", "PB"):
        shown = size_bytes / _DECIMALS[unit]
        if float(f"{shown:.3g}") < 1000:
            return f"{_three_digits(shown)} {unit}"
    return f"{_three_digits(size_bytes / _DECIMALS['EB'])} EB"


def format_count(value: float) -> str:
    """`115,741`, `57,870.37`, `0.25`: whole from 100,000 on, otherwise two decimals where there are any."""
    if not math.isfinite(value):
        return _not_finite(value)
    if 0 < abs(value) < 0.1:
        return _three_digits(value)
    shown = f"{value:,.0f}" if abs(value) >= 100_000 or value == int(value) else f"{value:,.2f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def format_rate(per_s: float) -> str:
    """`57,870 /s`, `4.63 /s`: whole from 100 on, otherwise three digits."""
    if not math.isfinite(per_s):
        return f"{_not_finite(per_s)} /s"
    return f"{per_s:,.0f} /s" if abs(per_s) >= 100 else f"{_three_digits(per_s)} /s"


def format_ratio(ratio: float) -> str:
    """`99.9 %`, `61 %`, `99.95 %`: three digits, and more where the difference to 100 % is what counts."""
    if not math.isfinite(ratio):
        return _not_finite(ratio)
    if not 0.99 <= ratio < 1.0:
        return f"{_three_digits(ratio * 100)} %"
    decimals = min(6, max(1, 1 - math.floor(math.log10((1 - ratio) * 100))))
    return f"{ratio * 100:.{decimals}f}".rstrip("0").rstrip(".") + " %"


def format_factor(factor: float) -> str:
    """`7.5x`, `22x`, `1.05x`: three digits."""
    return f"{_three_digits(factor)}x" if math.isfinite(factor) else _not_finite(factor)


def format_range(low: float, high: float, format_one: Callable[[float], str]) -> str:
    """`4..9 nodes` as the two ends, or one number when both look the same."""
    ends = format_one(low), format_one(high)
    return ends[0] if ends[0] == ends[1] else f"{ends[0]}..{ends[1]}"


def _three_digits(value: float) -> str:
    """Three significant digits, no exponent, no trailing zeros; whole numbers above a thousand get separators."""
    if value == 0:
        return "0"
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    shown = f"{value:.{min(decimals, 12)}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _not_finite(value: float) -> str:
    """Infinity and not-a-number in words."""
    return "unknown" if math.isnan(value) else "infinite"
