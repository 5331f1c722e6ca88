"""Low, likely and high go through formulas in order."""

import math

from hypothesis import given
from hypothesis import strategies as st

from tenfold.design.schema import Range
from tenfold.sizing import interval

ends = st.floats(0.0, 1e9, allow_nan=False)
ranges = st.tuples(ends, ends, ends).map(lambda t: Range(*sorted(t)))


def is_ordered(value: Range) -> bool:
    return value.low <= value.likely <= value.high


@given(ranges, ranges)
def test_every_formula_keeps_low_likely_and_high_in_order(a: Range, b: Range) -> None:
    answers = [interval.add(a, b), interval.times(a, b), interval.over(a, b), interval.largest((a, b))]
    answers += [interval.rest(a), interval.whole(a), interval.at_least(1.0, a)]
    assert all(is_ordered(answer) for answer in answers)


@given(ranges, ranges, st.floats(0, 1), st.floats(0, 1))
def test_every_formula_encloses_what_any_two_inputs_give(a: Range, b: Range, u: float, v: float) -> None:
    x, y = a.low + u * (a.high - a.low), b.low + v * (b.high - b.low)
    quotient = interval.over(a, b)
    assert interval.times(a, b).low <= x * y * (1 + 1e-9) + 1e-9
    assert x * y <= interval.times(a, b).high * (1 + 1e-9) + 1e-9
    if y > 0:
        assert quotient.low <= x / y * (1 + 1e-9) + 1e-9
        assert x / y <= quotient.high * (1 + 1e-9) + 1e-9


def test_a_quotient_shrinks_with_its_divisor() -> None:
    assert interval.over(Range(6, 12, 24), Range(1, 2, 3)) == Range(2, 6, 24)


def test_a_share_leaves_its_opposite_ends_over() -> None:
    assert interval.rest(Range(0.25, 0.5, 1.0)) == Range(0.0, 0.5, 0.75)


def test_nothing_of_however_much_is_nothing() -> None:
    assert interval.times(interval.ZERO, math.inf) == interval.ZERO
    assert interval.over(interval.ZERO, interval.ZERO) == interval.ZERO


def test_rounding_errors_are_not_a_node() -> None:
    assert interval.whole(Range.exactly(3.0000000001)) == Range.exactly(3.0)
    assert interval.whole(Range.exactly(3.01)) == Range.exactly(4.0)
    assert math.isinf(interval.whole(Range.exactly(math.inf)).likely)
