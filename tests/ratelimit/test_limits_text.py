"""Limits as text, and what they promise."""

import pytest
from limiting import MS, S

from tenfold.errors import UsageError
from tenfold.ratelimit import Limit, Limiter, MemoryLimits, limit


@pytest.mark.parametrize(
    ("text", "quota", "period_ns", "burst"),
    [
        ("100/min", 100, 60 * S, 100),
        ("10/s burst 20", 10, S, 20),
        ("1k/h burst 1", 1_000, 3_600 * S, 1),
        ("5/2 s", 5, 2 * S, 5),
        ("5 per 1 min 30 s", 5, 90 * S, 5),
        ("3/100 ms", 3, 100 * MS, 3),
    ],
)
def test_a_limit_is_read_as_people_write_it(text: str, quota: int, period_ns: int, burst: int) -> None:
    assert limit(text) == Limit(quota, period_ns, burst, "gcra", text)


@pytest.mark.parametrize(
    ("text", "algorithm", "message"),
    [
        ("100", "gcra", "is not a limit"),
        ("100/m", "gcra", "ambiguous"),
        ("0/s", "gcra", "out of bounds"),
        ("1.5/s", "gcra", "not a whole number"),
        ("10/s burst 0", "gcra", "nothing ever passes"),
        ("10/s burst 20", "sliding", "has no burst"),
        ("1M/day", "log", "more than 100,000 entries"),
        ("1/us", "gcra", "period is out of bounds"),
        ("1/year burst 1k", "gcra", "36 years"),
        ("1/s", "fixed", "no algorithm"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_remedy(text: str, algorithm: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        limit(text, algorithm)
    assert caught.value.remedy


def test_a_name_that_cannot_stand_in_a_header_is_refused() -> None:
    with pytest.raises(UsageError, match="header"):
        limit("1/s", name='a"b')


@pytest.mark.parametrize(
    ("text", "algorithm", "window_ns", "bound"),
    [
        ("100/2 s", "gcra", 2 * S, 200),
        ("10/s burst 20", "token_bucket", S, 30),
        ("10/s burst 20", "token_bucket", 10 * S, 120),
        ("7/s burst 1", "gcra", 100 * MS, 2),
        ("100/2 s", "sliding", 2 * S, 100),
        ("100/2 s", "log", 5 * S, 300),
        ("100/100 ms", "log", S, 1_000),
    ],
)
def test_the_bound_is_burst_and_rate_or_the_quota(text: str, algorithm: str, window_ns: int, bound: int) -> None:
    assert limit(text, algorithm).bound(window_ns) == bound


def test_limits_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(UsageError, match="two limits"):
        Limiter(MemoryLimits(), "10/s", "10/s")
    with pytest.raises(UsageError, match="two limits"):
        Limiter(MemoryLimits(), "10/s", limit("10/s", name="other"))
    with pytest.raises(UsageError, match="without a limit"):
        Limiter(MemoryLimits())


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="no key"):
        Limiter(MemoryLimits(), "10/s", on_stor_down="open")
    with pytest.raises(UsageError, match="unknown word"):
        Limiter(MemoryLimits(), "10/s", on_store_down="shut")
