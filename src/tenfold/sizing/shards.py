"""How much of the work the fullest of several shards gets, by theory.

By hash, keys fall on shards like balls into bins. What the fullest gets on average follows from the number of keys, or
of equal keys with the same chance when some are hotter (`runtime.partition.spread`); never less than the hottest key
and its part of the others. By range, neighbours stay together. They are taken to be in order of their popularity, as
times are (the newest is the hottest), so the first range gets the sum of the first keys' shares.
"""

import math
from collections.abc import Callable
from functools import lru_cache

from tenfold.design.schema import Range
from tenfold.runtime.partition.spread import spread
from tenfold.sizing.popularity import key_classes, top_share

BY_HASH, BY_RANGE = 0, 1
SHARDS_MAX = 4_096
"""As far as `enough` looks."""


@lru_cache(maxsize=4_096)
def hottest_share(shards: int, by: int, keys: int, exponent: float) -> float:
    """The part of all requests the fullest shard gets: 1 / shards when all are alike, never more than 1.

    Args:
        shards: how many.
        by: BY_HASH or BY_RANGE.
        keys: how many there are.
        exponent: of their popularity, see `popularity`.
    """
    if shards <= 1 or keys <= 1:
        return 1.0
    top = top_share(keys, exponent)
    if by == BY_RANGE:
        return min(1.0, max(top / top_share(max(1, keys // shards), exponent), 1.0 / shards))
    alike = 1.0 / sum(share * share * count for share, count in key_classes(keys, exponent))
    by_chance = spread(None, [1.0 / shards] * shards, alike).max_mean / shards
    return min(1.0, max(by_chance, top + (1.0 - top) / shards))


def shares(shards: int, by: int, keys: Range, exponent: float) -> Range:
    """`hottest_share` where the number of keys is a guess; the ends in order."""
    ends = [hottest_share(shards, by, max(1, round(end)), exponent) for end in (keys.low, keys.likely, keys.high)]
    return Range(min(ends), ends[1], max(ends))


def enough(on_hottest: Callable[[int], Range]) -> Range:
    """The smallest number of shards with which the hottest has work for one at most; infinite when none is enough.

    Args:
        on_hottest: what the hottest of so many shards has to do, as a share of what it can; falls with their number.
    """
    return Range(
        _least(lambda count: on_hottest(count).low),
        _least(lambda count: on_hottest(count).likely),
        _least(lambda count: on_hottest(count).high),
    )


def _least(work: Callable[[int], float]) -> float:
    """By doubling, then by halving the gap."""
    full = 1.0 + 1e-9
    high = 1
    while work(high) > full:
        high *= 2
        if high > SHARDS_MAX:
            return math.inf
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if work(middle) > full else (low, middle)
    return float(high)
