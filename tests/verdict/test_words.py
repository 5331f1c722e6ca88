"""Numbers in words."""

import pytest

from tenfold.verdict.words import clock, count, duration, factor, share, value


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (812, "812"),
        (3541.4, "3,541"),
        (9999.4, "9,999"),
        (9999.6, "10 k"),
        (57_870, "57.9 k"),
        (849_243, "849 k"),
        (999_600, "1 M"),
        (104_166_667, "104 M"),
        (2e9, "2 G"),
        (3e12, "3 T"),
    ],
)
def test_counts(number: float, text: str) -> None:
    assert count(number) == text


def test_moments() -> None:
    assert [clock(ns * 10**9) for ns in (0, 65, 300, 3_723)] == ["0:00", "1:05", "5:00", "1:02:03"]


def test_shares_are_neither_all_nor_nothing_by_rounding_alone() -> None:
    assert [share(x) for x in (0, 1e-7, 0.5, 0.99999, 1)] == ["0 %", "<0.01 %", "50 %", "99.999 %", "100 %"]


def test_durations_and_factors() -> None:
    assert [duration(0), duration(1_400_000), duration(9e11)] == ["0 s", "1.4 ms", "15 min"]
    assert [factor(x) for x in (0.5, 2.94, 9.96, 22.4)] == ["0.5x", "2.9x", "10x", "22x"]
    assert [factor(x) for x in (0.25, 0.0432, 0.00001, 0.0, 0.97)] == ["0.25x", "0.043x", "<0.0001x", "0.0x", "1.0x"]


def test_what_was_not_measured_is_a_dash() -> None:
    assert value(None, "ns") == "-"
