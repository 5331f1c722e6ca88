"""How evenly a map spreads what is asked of it, held against chance, and whether a single key is to blame."""

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tenfold.errors import UsageError
from tenfold.runtime.partition.hashing import Key
from tenfold.runtime.partition.hot import HotKey
from tenfold.runtime.partition.ring import Ring, points_of
from tenfold.runtime.partition.slots import SlotTable
from tenfold.runtime.partition.spread import Spread, effective_keys, spread

BY_CHANCE, SINGLE_KEY, UNEXPLAINED = "by chance", "single key", "unexplained"
"""Verdicts: chance explains it; one key is more than a node's part; neither."""

CLOSE = 1.05
"""Up to 5 % above the fair part nobody need do anything."""

_MOSTLY = 2.0  # the spread with keys is so many times the map's own: the keys make it


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """What one node got."""

    name: str
    fair: float  # its part by weight, 0 to 1
    owned: float  # its part of all hashes
    load: float  # in the unit of the loads given
    share: float  # of the whole load
    key_count: int

    @property
    def times_fair(self) -> float:
        """Its load divided by its fair part: 1.2 is a fifth too much."""
        return self.share / self.fair


@dataclass(frozen=True, slots=True)
class Skew:
    """The report. `map_alone` is what chance does to the map, `with_keys` to the map and these keys."""

    nodes: tuple[NodeLoad, ...]
    load: float
    key_count: int
    max_over_fair: float
    cv: float
    map_alone: Spread
    with_keys: Spread
    hottest: tuple[HotKey, ...]
    verdict: str
    reason: str
    remedy: str

    @property
    def fullest(self) -> NodeLoad:
        """The node with most above its fair part."""
        return max(self.nodes, key=lambda node: node.times_fair)


def skew(loads: Mapping[Key, float] | Iterable[tuple[Key, float]], of: Ring | SlotTable, top: int = 10) -> Skew:
    """Spread keys with their loads over a map and judge the result.

    Args:
        loads: load per key, in any unit; pairs of one key are added up.
        of: the map.
        top: how many of the hottest keys to name.

    Raises:
        UsageError: no load at all, or one that is negative or no number.
    """
    summed = _summed(loads)
    whole = math.fsum(summed.values())
    if whole <= 0:
        raise UsageError("there is no load to spread", "give at least one key with a load above 0")
    nodes = _spread_over(summed, whole, of)
    fair = [node.fair for node in nodes]
    points = [points_of(node, of.points) for node in of.nodes] if isinstance(of, Ring) else None
    alone = spread(points, fair)
    expected = spread(points, fair, effective_keys(list(summed.values())))
    hottest = _hottest(summed, whole, top)
    largest = max(node.times_fair for node in nodes)
    cv = math.sqrt(math.fsum((node.times_fair - 1) ** 2 for node in nodes) / len(nodes))
    judged = _judge(nodes, hottest[0], largest, alone, expected, isinstance(of, Ring))
    return Skew(nodes, whole, len(summed), largest, cv, alone, expected, hottest, *judged)


def _summed(loads: Mapping[Key, float] | Iterable[tuple[Key, float]]) -> dict[Key, float]:
    summed: dict[Key, float] = {}
    for key, load in loads.items() if isinstance(loads, Mapping) else loads:
        if not (load >= 0 and math.isfinite(load)):
            raise UsageError(f"the load of {key!r} is {load!r}", "a load is a number from 0 on")
        summed[key] = summed.get(key, 0.0) + load
    return summed


def _spread_over(summed: Mapping[Key, float], whole: float, of: Ring | SlotTable) -> tuple[NodeLoad, ...]:
    """What each node gets."""
    loads = {node.name: 0.0 for node in of.nodes}
    counts = dict.fromkeys(loads, 0)
    for (_, load), name in zip(summed.items(), of.many(list(summed)), strict=True):
        loads[name] += load
        counts[name] += 1
    weight = sum(node.weight for node in of.nodes)
    owned = of.ranges().shares()
    return tuple(
        NodeLoad(
            n.name, n.weight / weight, owned.get(n.name, 0.0), loads[n.name], loads[n.name] / whole, counts[n.name]
        )
        for n in of.nodes
    )


def _hottest(summed: Mapping[Key, float], whole: float, top: int) -> tuple[HotKey, ...]:
    """Counted one by one, so without an error."""
    best = heapq.nlargest(max(1, top), summed.items(), key=lambda pair: pair[1])
    return tuple(HotKey(key, load, 0.0, load / whole) for key, load in best)


def _judge(
    nodes: tuple[NodeLoad, ...], hottest: HotKey, largest: float, alone: Spread, expected: Spread, is_ring: bool
) -> tuple[str, str, str]:
    """(verdict, reason, remedy)."""
    fullest = max(nodes, key=lambda node: node.times_fair)
    most = max(node.fair for node in nodes)
    if len(nodes) > 1 and hottest.share > most * max(alone.max_p95, CLOSE):
        reason = (
            f"cannot split: a single key, {hottest.key!r}, has {hottest.share:.1%} of the load, "
            f"where a node's part is {most:.1%}; no placement of keys helps"
        )
        return (
            SINGLE_KEY,
            reason,
            "keep that key in the callers' memory for a second, or store copies under several keys",
        )
    said = f"{fullest.name} has {fullest.times_fair:.3f} times its part; by chance"
    if largest <= max(expected.max_p95, CLOSE):
        remedy = _more_even(is_ring, expected.cv > _MOSTLY * alone.cv) if largest > CLOSE else ""
        return BY_CHANCE, f"{said} 19 of 20 such maps stay below {expected.max_p95:.3f}", remedy
    reason = f"{said} only 1 of 20 such maps would have more than {expected.max_p95:.3f}"
    return UNEXPLAINED, reason, f"look at the hottest keys of {fullest.name}; {_more_even(is_ring, False)}"


def _more_even(is_ring: bool, is_by_keys: bool) -> str:
    """What makes it more even. Where few heavy keys make it uneven, the map is not what helps."""
    if is_by_keys:
        return "few heavy keys make it uneven, not the map: cache or copy the hottest ones"
    bounded = "bounded loads hold any bound on the keys of a node"
    return f"a slot table is even, four times the points halve the spread; {bounded}" if is_ring else bounded
