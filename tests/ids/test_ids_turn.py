"""Which millisecond comes next: transition by transition, and whatever the clock does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.runtime.ids.turn import BACK, TICK, WAIT, Progress, turn

DRIFT = 10


@pytest.mark.parametrize(
    ("last", "seen", "wall", "is_full", "answer"),
    [
        (-1, -1, 1000, True, (TICK, 1000)),  # the first ever
        (1000, 1000, 1001, False, (TICK, 1001)),  # time has passed
        (1000, 1000, 1000, False, (TICK, 1000)),  # the same millisecond
        (1000, 1000, 1000, True, (TICK, 1001)),  # borrowed
        (1009, 1000, 1000, True, (TICK, 1010)),  # the last that can be borrowed
        (1010, 1000, 1000, True, (WAIT, 1)),  # back pressure
        (1010, 1000, 1000, False, (TICK, 1010)),
        (1000, 1000, 995, False, (TICK, 1000)),  # a small step back: the time is kept
        (1000, 1000, 990, False, (TICK, 1000)),
        (1008, 1000, 995, False, (WAIT, 3)),  # a small step back, and ahead already
        (1000, 1000, 989, False, (BACK, 11)),
        (1000, 1000, -4000, True, (BACK, 5000)),
    ],
)
def test_the_answer_to_what_the_clock_shows(
    last: int, seen: int, wall: int, is_full: bool, answer: tuple[int, int]
) -> None:
    assert turn(Progress(last, seen), wall, DRIFT, DRIFT, is_full) == answer


def test_a_clock_that_went_back_changes_nothing() -> None:
    progress = Progress(1000, 1000)
    assert turn(progress, 100, DRIFT, DRIFT, True) == (BACK, 900)
    assert progress == Progress(1000, 1000)


@given(
    st.lists(st.tuples(st.integers(-6000, 6000), st.booleans()), min_size=1, max_size=200),
    st.integers(0, 50),
)
def test_whatever_the_clock_does_time_never_falls_nor_runs_ahead(steps: list[tuple[int, bool]], drift: int) -> None:
    progress, wall = Progress(), 100_000
    for step, is_full in steps:
        wall = max(0, wall + step)
        before = progress.last_ms
        answer, amount = turn(progress, wall, drift, drift, is_full)
        assert progress.last_ms >= before
        if answer == TICK:
            assert amount == progress.last_ms
            assert amount > before or not is_full
            assert amount - wall <= drift
        elif answer == WAIT:
            assert amount >= 1
            assert progress.last_ms == before
        else:
            assert amount > drift
            assert progress.last_ms == before
