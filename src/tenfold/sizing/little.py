"""Little's law and what follows from it: how many are in flight, how many nodes that takes.

L = lambda W (J. D. C. Little 1961): rate x time held = number held, for workers, connections and queries alike,
whatever the distributions. Nothing here queues: a resource at 100 % has an endless queue, which is what headroom is
for.
"""

import math
from collections.abc import Callable, Iterable, Mapping

from tenfold.design.demand import STANDING, Demand, Load, Need, Visits
from tenfold.design.schema import Range
from tenfold.sizing import interval, words

TENFOLD = 10.0

NodesOf = Callable[[float], Range]
"""Nodes needed for a multiple of the peak load."""


def rate(visits: Iterable[Visits]) -> Range:
    """Visits per s."""
    return interval.add(*(v.rate_per_s for v in visits))


def busy(visits: Iterable[Visits]) -> Range:
    """Mean number being worked on: rate x service time. Of CPU time, that is cores."""
    return interval.add(*(interval.times(v.rate_per_s, v.service_ns, 1e-9) for v in visits))


def in_flight(visits: Iterable[Visits]) -> Range:
    """Mean number of workers or connections held: rate x time held, waiting downstream included."""
    return interval.add(*(interval.times(v.rate_per_s, v.held_ns, 1e-9) for v in visits))


def product_text(visits: Iterable[Visits], number: Range) -> str:
    """`115,740.74 /s x 1.2 ms`: the rate, and the mean time that gives this number in flight."""
    per_s = rate(visits).likely
    mean_ns = number.likely / per_s * 1e9 if per_s else 0.0
    return f"{words.rate(per_s)} x {words.duration(mean_ns)}"


def nodes_for(work: Range, per_node: float) -> Range:
    """Nodes when the work spreads evenly; one at least."""
    return interval.at_least(1.0, interval.whole(interval.times(work, 1.0 / per_node)))


def nodes_beside(pinned: Range, spread: Range, per_node: float) -> Range:
    """Nodes when one of them also carries work that cannot move; infinite when that alone fills it.

    pinned + spread/n <= per_node. More of either never needs less.
    """
    free = interval.each(lambda end: max(0.0, per_node - end), Range(pinned.high, pinned.likely, pinned.low))
    filled = interval.each(lambda end: math.inf if end > per_node * (1.0 + 1e-9) else 1.0, pinned)
    nodes = interval.whole(interval.over(spread, free))
    return interval.largest((interval.at_least(1.0, nodes), filled))


def peak_and_headroom(load: Load) -> float:
    """Factor on the peak that leaves the headroom asked for."""
    return 1.0 + load.requirements.headroom_ratio


def headroom_text(load: Load) -> str:
    """`(1 + 30 % headroom)`."""
    return f"(1 + {words.ratio(load.requirements.headroom_ratio)} headroom)"


def spread_nodes(resources: Mapping[str, tuple[Range, float]], factor: float) -> Range:
    """Nodes for several resources whose work spreads evenly: the one that needs most decides.

    resources: name -> (work at peak, what one node offers).
    """
    return interval.largest(nodes_for(interval.times(work, factor), offer) for work, offer in resources.values())


def spread_demand(
    load: Load,
    nodes: int,
    resources: Mapping[str, tuple[Range, float]],
    needs: tuple[Need, ...],
) -> Demand:
    """The demand of a kind whose nodes are all alike and share the work evenly."""
    return demand_of(
        load,
        needs,
        {name: interval.times(work, 1.0 / (offer * nodes)) for name, (work, offer) in resources.items()},
        nodes,
        lambda factor: spread_nodes(resources, factor),
    )


def demand_of(
    load: Load,
    needs: tuple[Need, ...],
    utilisation: Mapping[str, Range],
    nodes: int,
    nodes_of: NodesOf,
    notes: tuple[str, ...] = (),
    tenfold_excuse: str = "",
) -> Demand:
    """A demand with nodes for peak + headroom, now and at ten times the load."""
    spare = peak_and_headroom(load)
    tenfold = nodes_of(spare * TENFOLD)
    excuse = tenfold_excuse if math.isinf(tenfold.likely) else ""
    return Demand(needs, utilisation, nodes, nodes_of(spare), tenfold, notes, excuse)


def bottleneck(demand: Demand) -> tuple[str, Range]:
    """The resource traffic fills most, and its utilisation; ("", 0) when traffic fills none."""
    moving = {name: used for name, used in demand.utilisation.items() if name not in STANDING}
    if not moving:
        return "", interval.ZERO
    return max(moving.items(), key=lambda item: item[1].likely)
