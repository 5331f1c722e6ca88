"""Units: what people write is read exactly, what is ambiguous is refused, what is printed can be read again."""

import math
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold import units
from tenfold.units import UnitError

DURATION_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("5 min", 300 * 10**9),
        ("1.2 ms", 1_200_000),
        ("0.1 s", 100_000_000),
        ("250us", 250_000),
        ("250 µs", 250_000),
        ("1 min 30 s", 90 * 10**9),
        ("1h30min", 5400 * 10**9),
        ("1 day", 86_400 * 10**9),
        ("2 weeks", 14 * 86_400 * 10**9),
        ("12 months", 365 * 86_400 * 10**9),
        ("18 months", 47_304_000 * 10**9),
        ("100 years", 100 * 365 * 86_400 * 10**9),
        ("1e3 ms", 10**9),
        ("1_000 ms", 10**9),
        ("0", 0),
        ("0 min", 0),
    ],
)
def test_durations(text: str, ns: int) -> None:
    assert units.parse_duration(text) == ns


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("480 B", 480), ("20 KB", 20_000), ("20 kB", 20_000), ("64 GB", 64 * 10**9), ("1 KiB", 1024), ("2GiB", 2 * 2**30)],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert units.parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "count"),
    [("40", 40), ("5M", 5_000_000), ("1.5k", 1500), ("100M", 10**8), ("2G", 2 * 10**9), ("1e18", 10**18)],
)
def test_counts(text: str, count: int) -> None:
    assert units.parse_count(text) == count


def test_ratios_and_factors() -> None:
    assert units.parse_ratio("99.9%") == 0.999
    assert units.parse_ratio("150 %") == 1.5
    assert units.parse_factor("2x") == 2.0
    assert units.parse_factor("1.5") == 1.5
    assert units.parse_number("0.9") == 0.9


def test_rates() -> None:
    day, month = 86_400 * 10**9, 365 * 86_400 * 10**9 // 12
    assert units.parse_rate("50/user/day") == ((50, 50, 50), day, True)
    assert units.parse_rate("115k/s") == ((115_000, 115_000, 115_000), 10**9, False)
    assert units.parse_rate("100M/month") == ((1e8, 1e8, 1e8), month, False)
    assert units.parse_rate("80..120 / user / day") == ((80, 100, 120), day, True)
    assert units.parse_rate_per_s("60/min") == 1.0
    assert units.parse_amount("1/user") == ((1, 1, 1), 0, True)
    assert units.parse_amount("4M") == ((4e6, 4e6, 4e6), 0, False)


def test_ranges() -> None:
    assert units.parse_range("80..120", units.parse_number) == (80, 100, 120)
    assert units.parse_range("80..90..120", units.parse_number) == (80, 90, 120)
    assert units.parse_range("1 ms..5 ms", units.parse_duration) == (10**6, 3 * 10**6, 5 * 10**6)
    assert units.parse_range("1..5 ms", units.parse_duration) == (10**6, 3 * 10**6, 5 * 10**6)
    assert units.parse_range("7", units.parse_number) == (7, 7, 7)


REFUSED: list[tuple[Callable[[str], object], str, str, str]] = [
    (units.parse_duration, "5m", "5m is ambiguous", "write 5 min or 5M"),
    (units.parse_count, "5m", "5m is ambiguous", "write 5 min or 5M"),
    (units.parse_duration, "5M", '"5M" is ambiguous', "write 5 min or 5 months"),
    (units.parse_duration, "5:30", '"5:30" is ambiguous', "5 min 30 s"),
    (units.parse_duration, "5", '"5" has no unit', "5 ms, 5 s or 5 min"),
    (units.parse_duration, "5 mins", "no unit of time", "write 5 min"),
    (units.parse_duration, "5 S", "no unit of time", "write 5 s"),
    (units.parse_duration, "5 parsecs", "no unit of time", "use ns"),
    (units.parse_duration, "30 s 1 min", "large units to small", "1 min 30 s"),
    (units.parse_duration, "-5 s", "negative", "0 or more"),
    (units.parse_duration, "1,000 s", "comma", "point for decimals"),
    (units.parse_duration, ".5 s", "starts with a point", "write 0.5 s"),
    (units.parse_duration, "101 years", "more than 100 years", "smaller"),
    (units.parse_duration, "1e99 s", "more than 100 years", "smaller"),
    (units.parse_duration, "0.1 ns", "less than 1 ns", "1 ns or more"),
    (units.parse_duration, "inf", "not finite", "such as"),
    (units.parse_duration, "nan", "not finite", "such as"),
    (units.parse_duration, "", "empty", "write a value"),
    (units.parse_duration, "٣ s", "not a duration", "such as"),
    (units.parse_duration, "1" * 200 + " s", "characters long", "short"),
    (units.parse_size, "64G", "ambiguous", "write 64 GB or 64 GiB"),
    (units.parse_size, "64 Gb", "may be bits", "write 64 GB"),
    (units.parse_size, "480", "no unit", "480 B"),
    (units.parse_size, "5 bytes", "no unit of size", "write 5 B"),
    (units.parse_size, "99 EB", "more than 8 EiB", "smaller"),
    (units.parse_count, "1.5", "not a whole number", "write 1 or 2"),
    (units.parse_count, "many", "not a count", "such as 40"),
    (units.parse_count, "1e19", "more than 1e18", "smaller"),
    (units.parse_count, "10 req", "not a plain number", "10/s"),
    (units.parse_ratio, "0.2", "no percent sign", "write 20%"),
    (units.parse_ratio, "20", "no percent sign", "write 20%"),
    (units.parse_factor, "10%", "not a factor", "not a percentage"),
    (units.parse_factor, "x2", "not a factor", "2x"),
    (units.parse_rate, "50/user", "per what time", "write 50/user/day"),
    (units.parse_rate, "100", "per what time", "write 100/s"),
    (units.parse_rate, "50/day/user", "before the user", "write 50/user/day"),
    (units.parse_rate, "5/m", "ambiguous", "write 5/min or 5/month"),
    (units.parse_rate, "5/fortnight", "no unit of time", "per s"),
    (units.parse_rate_per_s, "5/user/s", "per user", "100/s"),
    (lambda text: units.parse_range(text, units.parse_count), "80..120M", "ambiguous", "write 80M..120M"),
    (lambda text: units.parse_range(text, units.parse_count), "120..80", "does not go up", "write 80..120"),
    (lambda text: units.parse_range(text, units.parse_count), "80..", "not a range", "low..high"),
    (lambda text: units.parse_range(text, units.parse_count), "1..2..3..4", "not a range", "low..high"),
]


@pytest.mark.parametrize(("parse", "text", "message", "remedy"), REFUSED)
def test_what_is_refused_says_why_and_what_to_write(
    parse: Callable[[str], object], text: str, message: str, remedy: str
) -> None:
    with pytest.raises(UnitError) as refused:
        parse(text)
    assert message in refused.value.message
    assert remedy in refused.value.remedy


NUMBERS: tuple[Callable[[str], float], ...] = (
    units.parse_duration,
    units.parse_size,
    units.parse_number,
    units.parse_count,
    units.parse_ratio,
    units.parse_factor,
    units.parse_rate_per_s,
)
PARSERS: tuple[Callable[[str], object], ...] = (
    *NUMBERS,
    units.parse_rate,
    units.parse_amount,
    *(partial(units.parse_range, parse=parse) for parse in NUMBERS),
)


def refusal(parse: Callable[[str], object], text: str) -> UnitError | None:
    try:
        parse(text)
    except UnitError as error:
        return error
    return None


@settings(derandomize=True)
@given(st.text(max_size=30) | st.text("0123456789.eE+-_ kKMGTBbi%xXs/minuserday:,", max_size=20))
def test_no_text_raises_anything_but_a_unit_error(text: str) -> None:
    for parse in PARSERS:
        error = refusal(parse, text)
        assert error is None or (error.message and error.remedy and len(error.message) < 200)


@settings(derandomize=True)
@given(st.integers(0, 10**9), st.sampled_from(sorted(DURATION_UNITS)))
def test_whole_durations_are_exact(number: int, unit: str) -> None:
    ns = number * DURATION_UNITS[unit]
    if ns <= units.DURATION_MAX_NS:
        assert units.parse_duration(f"{number} {unit}") == ns
        assert units.parse_duration(f"{number}{unit}") == ns


def close(value: float, text: str, parse: Callable[[str], float]) -> bool:
    return math.isclose(parse(text.replace(",", "")), value, rel_tol=0.006)


@settings(derandomize=True)
@given(st.integers(1, units.DURATION_MAX_NS - units.YEAR))
def test_a_printed_duration_can_be_read_again(ns: int) -> None:
    assert close(ns, units.format_duration(ns), units.parse_duration)


@settings(derandomize=True)
@given(st.integers(1, 9 * 10**18))
def test_a_printed_size_can_be_read_again(size_bytes: int) -> None:
    assert close(size_bytes, units.format_size(size_bytes), units.parse_size)


@settings(derandomize=True)
@given(st.floats(1e-6, 900.0))
def test_a_printed_ratio_can_be_read_again(ratio: float) -> None:
    assert close(ratio, units.format_ratio(ratio), units.parse_ratio)


@settings(derandomize=True)
@given(st.floats(1e-6, 1e6))
def test_a_printed_factor_and_rate_can_be_read_again(value: float) -> None:
    assert close(value, units.format_factor(value), units.parse_factor)
    assert close(value, units.format_rate(value), units.parse_rate_per_s)


@settings(derandomize=True)
@given(st.floats(0.1, 1e17))
def test_a_printed_count_can_be_read_again(value: float) -> None:
    shown = units.format_count(value).replace(",", "")
    assert math.isclose(units.parse_number(shown), value, rel_tol=0.05)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.format_count(115_740.74), "115,741"),
        (units.format_count(57_870.37), "57,870.37"),
        (units.format_count(5.0), "5"),
        (units.format_count(math.inf), "infinite"),
        (units.format_count(math.nan), "unknown"),
        (units.format_duration(300e9), "5 min"),
        (units.format_duration(1.2e6), "1.2 ms"),
        (units.format_duration(90e9), "90 s"),
        (units.format_duration(999_900), "1 ms"),
        (units.format_duration(0), "0 ns"),
        (units.format_duration(-5e9), "-5 s"),
        (units.format_duration(47_304_000e9), "18 months"),
        (units.format_duration(86_400e9), "1 day"),
        (units.format_size(64e9), "64 GB"),
        (units.format_size(999_999), "1 MB"),
        (units.format_size(480), "480 B"),
        (units.format_ratio(0.999), "99.9 %"),
        (units.format_ratio(0.9995), "99.95 %"),
        (units.format_ratio(0.61), "61 %"),
        (units.format_ratio(0), "0 %"),
        (units.format_rate(57_870.37), "57,870 /s"),
        (units.format_rate(4.63), "4.63 /s"),
        (units.format_factor(7.5), "7.5x"),
        (units.format_factor(22), "22x"),
        (units.format_range(4, 9, units.format_count), "4..9"),
        (units.format_range(4, 4, units.format_count), "4"),
    ],
)
def test_what_people_read(shown: str, expected: str) -> None:
    assert shown == expected
