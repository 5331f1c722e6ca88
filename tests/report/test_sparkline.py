"""Sparklines."""

import pytest

from tenfold.report.sparkline import sparkline


def test_a_short_series_is_drawn_value_by_value() -> None:
    assert sparkline([0, 1, 2, 7], 10) == "▁▂▃█"


def test_one_bad_second_in_an_hour_is_seen() -> None:
    hour = [0.0] * 3600
    hour[1800] = 1.0
    assert sparkline(hour, 36, top=1.0).count("█") == 1


def test_a_little_is_not_drawn_as_nothing() -> None:
    assert sparkline([0.0001, 1.0], 2) == "▂█"


def test_a_short_dip_is_seen_when_asked_for() -> None:
    assert "▁" in sparkline([5, 5, 0, 5, 5, 5], 3, pick=min)


def test_terminals_without_blocks_get_plain_characters() -> None:
    assert sparkline([0, 1], 2, unicode=False) == "_@"


@pytest.mark.parametrize(("values", "width"), [([], 10), ([1.0], 0)])
def test_nothing_to_draw_is_drawn_as_nothing(values: list[float], width: int) -> None:
    assert sparkline(values, width) == ""


def test_a_series_of_zeros_is_flat() -> None:
    assert sparkline([0, 0, 0], 3) == "▁▁▁"
