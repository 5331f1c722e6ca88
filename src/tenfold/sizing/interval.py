"""Arithmetic on guessed numbers: low, likely and high go through a formula side by side.

All quantities of sizing are non-negative, so sums, products and other formulas that grow with an input map low to low;
formulas that shrink with an input take its high end for their low. An input that stands on both sides of a formula is
treated as two independent guesses, so the answer may be wider than need be, never narrower.
"""

import math
from collections.abc import Callable, Iterable

from tenfold.design.schema import Range

ZERO = Range(0.0, 0.0, 0.0)
ONE = Range(1.0, 1.0, 1.0)


def add(*terms: Range) -> Range:
    """The sum of the terms; nothing adds up to 0."""
    return Range(sum(t.low for t in terms), sum(t.likely for t in terms), sum(t.high for t in terms))


def times(*factors: Range | float) -> Range:
    """The product of non-negative factors; plain numbers are exact."""
    low = likely = high = 1.0
    for factor in factors:
        one = factor if isinstance(factor, Range) else Range.exactly(factor)
        low, likely, high = _product(low, one.low), _product(likely, one.likely), _product(high, one.high)
    return Range(low, likely, high)


def _product(a: float, b: float) -> float:
    # Nothing, of however much, is nothing (0 x infinity is not a number otherwise).
    return 0.0 if a == 0.0 or b == 0.0 else a * b


def over(upper: Range, lower: Range) -> Range:
    """The quotient: shrinks with `lower`. Anything over nothing is infinite, nothing over nothing is 0."""
    return Range(
        _quotient(upper.low, lower.high), _quotient(upper.likely, lower.likely), _quotient(upper.high, lower.low)
    )


def _quotient(a: float, b: float) -> float:
    if a == 0.0:
        return 0.0
    return math.inf if b <= 0.0 else a / b


def rest(share: Range) -> Range:
    """What a share leaves over: 1 - share, never below 0."""
    return Range(max(0.0, 1.0 - share.high), max(0.0, 1.0 - share.likely), max(0.0, 1.0 - share.low))


def each(formula: Callable[[float], float], value: Range) -> Range:
    """A formula that never shrinks as its input grows, at all three ends."""
    return Range(formula(value.low), formula(value.likely), formula(value.high))


def at_least(floor: float, value: Range) -> Range:
    """The value, or the floor where the value is below it."""
    return each(lambda end: max(floor, end), value)


def largest(values: Iterable[Range]) -> Range:
    """The largest of some ranges, end by end; of none it is 0."""
    low = likely = high = 0.0
    for value in values:
        low, likely, high = max(low, value.low), max(likely, value.likely), max(high, value.high)
    return Range(low, likely, high)


def whole(value: Range) -> Range:
    """Rounded up to whole things; a hair above a whole number counts as that number (floating point is not a node)."""
    return each(ceiling, value)


def ceiling(value: float) -> float:
    """The next whole number, forgiving one part in 10^9; infinity stays."""
    return value if math.isinf(value) else float(math.ceil(value * (1.0 - 1e-9)))
