"""Redis as a cache: nodes that each serve one command at a time, keys spread over them by hash."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenfold.design.demand import Demand, Excuse, Load, Need
from tenfold.design.schema import Component, Range, Step
from tenfold.fields import setting
from tenfold.policies.cache import freshness
from tenfold.program.program import BY_CHANCE, BY_KEY, BY_RANGE
from tenfold.sizing import cache, interval, little, shards, words
from tenfold.sizing.popularity import top_share

if TYPE_CHECKING:
    from tenfold.program.build import Builder

NAME = "redis"
VERBS = ("get", "set")
TIMING = "takes"


@dataclass(frozen=True, slots=True)
class Spec(freshness.Config):
    """Settings of a Redis cache: the freshness policy's own, and the servers'."""

    nodes: int = setting(
        1, "Primaries the keys are spread over.", low=1, high=100_000, source="one: say so when there are more"
    )
    memory_bytes: int = setting(
        8_000_000_000, "Memory for values on each node.", low=1, source="a common small cache node"
    )
    shard_by: int = setting(
        0,
        "How keys are spread over the nodes: by hash, or in ranges of neighbours, the most popular first.",
        choices=("hash", "range"),
        source="hash: Redis Cluster's 16,384 slots",
    )
    holds: str = setting("", "The data set it caches.", source="nothing: then a get must state its hit_ratio")
    takes_ns: int = setting(
        10_000,
        "Time one command occupies the node.",
        low=1,
        source="redis-benchmark: 100 k GET/s on one thread without pipelining",
    )
    latency_ns: int = setting(
        500_000,
        "Network round trip to reach it.",
        low=0,
        source="round trip within one data centre 0.5 ms (J. Dean, Numbers everyone should know)",
    )


def demand(component: Component, load: Load) -> Demand | Excuse:
    """Time of the one thread of each node, the hottest key on one of them, and memory for the working set.

    By hash all but the most popular key spread evenly over the nodes, that one lies on one node, which is the busiest.
    By range the busiest node has the most popular range. Memory short of the working set costs hits (see
    `sizing.cache`), it does not ask for nodes.

    Args:
        component: the cache.
        load: its visits at peak and the data sets it keeps.
    """
    spec: Spec = component.spec
    users = load.requirements.users or interval.ZERO
    busy = little.busy(load.visits)
    hot = _hot(load, users)
    cold = interval.each(lambda end: max(0.0, end), _minus(busy, hot))
    working = cache.answer(load.visits, load.data, users, spec).working_set_bytes
    top = f"{words.ratio(_part(hot, busy))} of the requests"
    needs = (
        Need("threads", busy, "threads", little.product_text(load.visits, busy), (*component.path, "nodes")),
        Need("hottest key", hot, "threads", top, (*component.path, "holds")),
        Need("memory", working, "bytes", "keys present under this TTL x item size", (*component.path, "memory")),
    )

    def nodes_of(factor: float) -> Range:
        if spec.shard_by == shards.BY_HASH:
            return little.nodes_beside(interval.times(hot, factor), interval.times(cold, factor), 1.0)
        return shards.enough(lambda count: interval.times(_on_hottest(load, users, count), factor))

    on_busiest = interval.add(hot, interval.times(cold, 1.0 / spec.nodes))
    if spec.shard_by == shards.BY_RANGE:
        on_busiest = _on_hottest(load, users, spec.nodes)
    figures = little.demand_of(
        load,
        needs,
        {"thread": on_busiest, "memory": interval.times(working, 1.0 / (spec.nodes * spec.memory_bytes))},
        spec.nodes,
        nodes_of,
        tenfold_excuse="its hottest key alone is more than a node serves",
    )
    return _excuse(component, load, figures) if math.isinf(figures.nodes_now.likely) else figures


def _on_hottest(load: Load, users: Range, nodes: int) -> Range:
    """Threads the busiest node needs when keys lie on the nodes by range; what names no data set spreads evenly."""
    parts = [interval.times(little.busy(v for v in load.visits if v.data not in load.data), 1.0 / nodes)]
    for name, data in load.data.items():
        share = shards.shares(nodes, shards.BY_RANGE, cache.keys_of(data, users), data.popularity.exponent)
        parts.append(interval.times(little.busy(v for v in load.visits if v.data == name), share))
    return interval.add(*parts)


def _hot(load: Load, users: Range) -> Range:
    """Share of one thread the most popular key takes; fewer keys make it larger."""
    tops = []
    for name, data in load.data.items():
        mine = little.busy(v for v in load.visits if v.data == name)
        keys = cache.keys_of(data, users)
        low, likely, high = (
            top_share(max(1, round(end)), data.popularity.exponent) for end in (keys.high, keys.likely, keys.low)
        )
        tops.append(interval.times(mine, Range(low, likely, high)))
    return interval.largest(tops)


def _minus(whole: Range, part: Range) -> Range:
    """What is left of the same visits, end by end: part and whole grow together."""
    likely = whole.likely - part.likely
    return Range(min(likely, whole.low - part.low), likely, max(likely, whole.high - part.high))


def _part(part: Range, whole: Range) -> float:
    """A share at the likely figures."""
    return part.likely / whole.likely if whole.likely else 0.0


def _excuse(component: Component, load: Load, figures: Demand) -> Excuse:
    """One key cannot be spread over nodes."""
    hot = figures.needs[1]
    reason = (
        f"the most popular key gets {hot.formula} and at peak takes {words.ratio(hot.value.likely)} of the one thread "
        f"of its node, x {little.headroom_text(load)}; more nodes do not split a key"
    )
    remedy = "keep the hottest keys in the callers' memory for a second or so, or store copies under several keys"
    return Excuse(component.name, "hottest key", reason, remedy, hot.path, figures)


def lower(build: "Builder", component: Component) -> int:
    """Nodes with one thread each. Answers the group's number."""
    spec: Spec = component.spec
    resources = ("thread", "slots", "hottest node")
    return build.group(component, spec.nodes, 1, resources=resources, is_apart=True)


def visit(build: "Builder", component: Component, parts: int, step: Step, inside: Callable[[], None]) -> None:
    """One command on the key's node; a get then hits or misses, a set stores."""
    spec: Spec = component.spec
    choice = BY_RANGE if spec.shard_by == shards.BY_RANGE else BY_KEY
    if not spec.holds:
        choice = BY_CHANCE  # without a data set there is no key, but keys spread all the same

    build.use_key(component)

    def command() -> None:
        keys = build.keys_of(component) if choice == BY_RANGE else 0
        build.work(step, parts, build.timing(step.takes or spec.takes_ns), choice, spec.latency_ns, keys=keys)

    if step.verb == "set":
        build.arrow(component.name, command)
        build.store(component, step)
    elif step.hit_ratio is not None or not spec.holds:
        build.get_by_chance(component, step, command, inside)
    else:
        build.get_by_key(component, step, command, inside)
