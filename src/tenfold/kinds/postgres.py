"""PostgreSQL: a primary that takes the writes, read replicas, a pool of connections to each; or several such shards."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenfold.design.demand import Demand, Excuse, Load, Need, Visits
from tenfold.design.schema import Component, Range, Step, Timing
from tenfold.fields import setting
from tenfold.program.program import BY_BALANCE, BY_FIRST, BY_KEY, BY_RANGE, BY_REGISTER, LEAST_IN_FLIGHT
from tenfold.sizing import cache, interval, little, shards, storage, words
from tenfold.sizing.popularity import top_share

if TYPE_CHECKING:
    from tenfold.program.build import Builder

NAME = "postgres"
VERBS = ("query", "insert")
TIMING = "takes"


@dataclass(frozen=True, slots=True)
class Spec:
    """Settings of a PostgreSQL cluster."""

    cores: int = setting(8, "CPU cores of each server.", low=1, high=10_000, source="a common database machine")
    replicas: int = setting(
        0, "Read replicas besides each primary.", low=0, high=100_000, source="none: say so when there are"
    )
    shards: int = setting(
        1,
        "Primaries the rows are divided over, each with its own replicas.",
        low=1,
        high=4_096,
        source="one: say so when there are more",
    )
    shard_by: int = setting(
        0,
        "How keys are divided: by hash, or in ranges of neighbours, the most popular first.",
        choices=("hash", "range"),
        source="hash: spreads whatever is asked most",
    )
    shard_key: str = setting(
        "", "The data set whose item decides the shard; needed with shards.", source="nothing: no shards, no key"
    )
    pool: int = setting(
        100,
        "Connections open to each server, all callers together.",
        low=1,
        high=1_000_000_000,
        source="max_connections = 100 as shipped",
    )
    pool_queue: int = setting(
        -1,
        "Callers that may wait for a connection; -1 is no limit.",
        low=-1,
        high=1_000_000_000,
        source="SQLAlchemy, HikariCP: no limit",
    )
    active_per_core: int = setting(
        2,
        "Queries per core that make progress at once; more only wait inside the server.",
        low=1,
        high=1000,
        source="PostgreSQL wiki, Number Of Database Connections: cores x 2 + spindles",
    )
    reads: int = setting(
        0,
        "Which servers answer queries.",
        choices=("any", "primary"),
        source="any: replicas exist to be read; use primary where stale reads are wrong",
    )
    memory_bytes: int = setting(64_000_000_000, "Memory of each server.", low=1, source="8 GB per core, a common ratio")
    disk_bytes: int = setting(16_000_000_000_000, "Disk of each server.", low=1, source="16 TB, a large cloud volume")
    takes_ns: int = setting(
        1_000_000,
        "Service time of a statement that does not state its own `takes`.",
        low=1,
        source="indexed point read with its data in memory: about 1 ms with the client's share",
    )
    latency_ns: int = setting(
        500_000,
        "Network round trip to reach it.",
        low=0,
        source="round trip within one data centre 0.5 ms (J. Dean, Numbers everyone should know)",
    )
    contention_factor: float = setting(
        0.0,
        "Extra service time per extra query in flight beyond the active ones, as a share (0.01: 1 % each).",
        low=0.0,
        high=10.0,
        source="0: none assumed",
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """What the servers of the fullest shard carry of one resource: on its primary only, and shared by all; one server
    offers `offer`."""

    pinned: Range
    spread: Range
    offer: float

    def used(self, servers: int) -> Range:
        """Utilisation of the primary, which has most to do."""
        on_primary = interval.add(self.pinned, interval.times(self.spread, 1.0 / servers))
        return interval.times(on_primary, 1.0 / self.offer)

    def nodes(self, factor: float) -> Range:
        """Servers needed."""
        return little.nodes_beside(interval.times(self.pinned, factor), interval.times(self.spread, factor), self.offer)


def demand(component: Component, load: Load) -> Demand | Excuse:
    """Statements running and connections held, on the primary and over all servers, and the disk for one copy.

    Inserts run on the primary; queries spread evenly over primary and replicas unless `reads: primary`. What replicas
    spend on replaying the primary's writes is left out. With shards the fullest one decides: what every other one gets
    is less. Rows are taken to be spread evenly over shards, calls by the popularity of `shard_key`.

    Args:
        component: the cluster.
        load: its visits at peak and the data sets it keeps.
    """
    spec: Spec = component.spec
    works = _works(spec, load, spec.shards)
    servers = spec.shards * (1 + spec.replicas)
    figures = little.demand_of(
        load,
        _needs(component, load),
        {name: work.used(1 + spec.replicas) for name, work in works.items()},
        servers,
        lambda factor: interval.times(_nodes(works, factor, little.peak_and_headroom(load)), float(spec.shards)),
        (*_shard_notes(spec, load), *_notes(spec, load, works)),
        _tenfold_excuse(works, load),
    )
    return _excuse(component, load, works, figures) if math.isinf(figures.nodes_now.likely) else figures


def _works(spec: Spec, load: Load, count: int) -> dict[str, _Work]:
    """What the fullest of so many shards carries."""
    pinned = [v for v in load.visits if v.verb == "insert" or spec.reads == 1]
    spread = [v for v in load.visits if v not in pinned]
    share = _hottest_share(spec, load, count)
    even = 1.0 / count

    def on_fullest(visits: list[Visits], amount: Callable[[Iterable[Visits]], Range]) -> Range:
        missed = [v for v in visits if "on_miss" in v.path]
        asked = [v for v in visits if v not in missed]
        return interval.add(interval.times(amount(asked), share), interval.times(amount(missed), even))

    stored = _stored(load)
    return {
        "statements": _Work(
            on_fullest(pinned, little.busy),
            on_fullest(spread, little.busy),
            float(spec.active_per_core * spec.cores),
        ),
        "connections": _Work(
            on_fullest(pinned, little.in_flight), on_fullest(spread, little.in_flight), float(spec.pool)
        ),
        "disk": _Work(interval.times(stored, even), interval.ZERO, float(spec.disk_bytes)),
    }


def _stored(load: Load) -> Range:
    """Bytes of one copy of everything."""
    return interval.add(*(storage.stored(d, load.requirements).copy_bytes for d in load.data.values()))


def _hottest_share(spec: Spec, load: Load, count: int) -> Range:
    """The part of the calls the fullest shard gets. Calls after a cache's miss are spread evenly: a hot key hits."""
    data = load.requirements.data.get(spec.shard_key)
    if data is None:
        return Range.exactly(1.0 / count)
    keys = cache.keys_of(data, load.requirements.users or interval.ZERO)
    return shards.shares(count, spec.shard_by, keys, data.popularity.exponent)


def _hottest_key(spec: Spec, load: Load) -> float:
    """The part of the calls the hottest key gets; 0 when keys are not known."""
    data = load.requirements.data.get(spec.shard_key)
    if data is None:
        return 0.0
    keys = cache.keys_of(data, load.requirements.users or interval.ZERO)
    return top_share(max(1, round(keys.likely)), data.popularity.exponent)


def _shard_notes(spec: Spec, load: Load) -> tuple[str, ...]:
    """How uneven the shards are by theory."""
    if spec.shards == 1:
        return ()
    share = _hottest_share(spec, load, spec.shards).likely
    how = ("hash", "range")[spec.shard_by]
    return (
        f"{spec.shards} shards by {how} of {spec.shard_key}: by theory the fullest gets "
        f"{words.factor(share * spec.shards)} times its part of the calls, the hottest key alone "
        f"{words.ratio(_hottest_key(spec, load))} of all",
    )


def _nodes(works: Mapping[str, _Work], factor: float, spare: float) -> Range:
    """Servers of a shard for all resources. Headroom is for traffic; the disk has to hold the data."""
    factors = {name: factor / spare if name == "disk" else factor for name in works}
    return interval.largest(work.nodes(factors[name]) for name, work in works.items())


def _needs(component: Component, load: Load) -> tuple[Need, ...]:
    """The numbers of the answer, over all servers; with shards, those of the fullest one, too."""
    spec: Spec = component.spec
    busy, in_flight = little.busy(load.visits), little.in_flight(load.visits)
    held = f"{little.product_text(load.visits, in_flight)} held"
    found = [Need("statements", busy, "statements", little.product_text(load.visits, busy), (*component.path, "cores"))]
    found.append(Need("connections", in_flight, "connections", held, (*component.path, "pool")))
    if load.data:
        text = f"one copy of {', '.join(load.data)} with indexes"
        found.append(Need("disk", _stored(load), "bytes", text, (*component.path, "disk")))
    if spec.shards > 1:
        work = _works(spec, load, spec.shards)["statements"]
        fullest = interval.add(work.pinned, work.spread)
        part = fullest.likely / busy.likely if busy.likely else 0.0
        text = f"{words.ratio(part)} of the statements, where an even part is {words.ratio(1.0 / spec.shards)}"
        found.append(Need("fullest shard", fullest, "statements", text, (*component.path, "shards")))
    return tuple(found)


def _notes(spec: Spec, load: Load, works: Mapping[str, _Work]) -> tuple[str, ...]:
    """What does not add up without being impossible, and what the disk hides."""
    servers = 1 + spec.replicas
    hold = f"{servers} server{'s hold' if servers > 1 else ' holds'} {servers}"
    copies = tuple(
        f"{data.name} is to have {data.copies} copies, {hold}" for data in load.data.values() if data.copies > servers
    )
    traffic = {name: work for name, work in works.items() if name != "disk"}
    enough = _nodes(traffic, little.peak_and_headroom(load), 1.0).likely * spec.shards
    if works["disk"].used(1).likely <= 1.0 or math.isinf(enough):
        return copies
    return (f"the traffic alone needs {enough:.0f} server{'s' if enough > 1 else ''}", *copies)


_CAUSES = {
    "statements": ("statements on the primary", "batch them, or let replicas answer the queries (reads: any)"),
    "connections": ("connections to the primary", "a larger pool, or statements that hold a connection for less"),
    "disk": ("data on one server", "keep it for less, or larger disks"),
}
"""Resource -> what is in the way on the one primary, and what helps besides more shards."""


def _blocking(works: Mapping[str, _Work], factor: float, spare: float) -> str:
    """The resource that no number of replicas relieves at this load; "" for none."""
    return next((n for n, w in works.items() if math.isinf(_nodes({n: w}, factor, spare).likely)), "")


def _tenfold_excuse(works: Mapping[str, _Work], load: Load) -> str:
    """Why ten times the load finds no number of servers."""
    spare = little.peak_and_headroom(load)
    blocking = _blocking(works, spare * little.TENFOLD, spare)
    return f"{_CAUSES[blocking][0]}: replicas do not relieve it" if blocking else ""


def _excuse(component: Component, load: Load, works: Mapping[str, _Work], figures: Demand) -> Excuse:
    """No number of replicas carries what only the primary can do."""
    spec: Spec = component.spec
    spare = little.peak_and_headroom(load)
    name = _blocking(works, spare, spare)
    work = works[name]
    bottleneck, other = _CAUSES[name]
    show = words.size if name == "disk" else words.plain
    spare_text = "" if name == "disk" else f" x {little.headroom_text(load)}"
    of_shard = f" of the fullest of {spec.shards} shards" if spec.shards > 1 else ""
    reason = (
        f"{show(work.pinned.likely)} {name}{spare_text} on a primary{of_shard} that offers {show(work.offer)}: "
        f"{words.ratio(work.pinned.likely / work.offer)} used at peak, and replicas do not take any of it over"
    )
    path = next((need.path for need in figures.needs if need.name == name), component.path)
    count = _shards_needed(spec, load, name)
    if math.isinf(count):
        top = _hottest_key(spec, load)
        if top and name != "disk":
            bottleneck = "hottest key"
            reason += (
                f"; the hottest {spec.shard_key} alone gets {words.ratio(top)} of the calls: a key cannot be split"
            )
        return Excuse(component.name, bottleneck, reason, f"keep the hottest in a cache, or {other}", path, figures)
    how = "" if spec.shard_by == shards.BY_HASH else " (fewer with shard_by: hash)"
    key = "" if spec.shard_key else " with a shard_key"
    return Excuse(component.name, bottleneck, reason, f"shards: {count:.0f}{key}{how}, {other}", path, figures)


def _shards_needed(spec: Spec, load: Load, name: str) -> float:
    """The smallest number of shards whose fullest primary carries the resource; infinite when one key is too much."""
    spare = 1.0 if name == "disk" else little.peak_and_headroom(load)

    def on_primary(count: int) -> Range:
        work = _works(spec, load, count)[name]
        return interval.times(work.pinned, spare / work.offer)

    return shards.enough(on_primary).likely


@dataclass(frozen=True, slots=True)
class _Parts:
    """The nodes: who takes writes, who answers queries (one of these groups at random), and how a shard is found."""

    writes: int
    reads: tuple[int, ...]
    write_choice: int
    read_choice: int
    keys: int = 0


def lower(build: "Builder", component: Component) -> _Parts:
    """Primaries and replicas: connections that are held, statements that make progress. Answers who does what.

    Without shards the least busy server answers a query. With shards every copy of all shards is a group of its own, in
    which the key finds its node.
    """
    spec: Spec = component.spec
    group = build.group(
        component,
        spec.shards * (1 + spec.replicas),
        spec.cores * spec.active_per_core,
        slots=spec.pool,
        queue=spec.pool_queue,
        balance=LEAST_IN_FLIGHT,
        contention=spec.contention_factor,
        is_left=True,
        resources=("active", "connections", "hottest shard"),
        is_apart=spec.shards > 1,
    )
    if spec.shards == 1:
        return _Parts(group, (group,), BY_FIRST, BY_BALANCE if spec.reads == 0 else BY_FIRST)
    copies = [build.part(group, copy * spec.shards, spec.shards) for copy in range(1 + spec.replicas)]
    reads = tuple(copies) if spec.reads == 0 else (copies[0],)
    if spec.shard_by == shards.BY_HASH:
        return _Parts(copies[0], reads, BY_KEY, BY_KEY)
    return _Parts(copies[0], reads, BY_RANGE, BY_RANGE, build.keys_of(component))


def visit(build: "Builder", component: Component, parts: _Parts, step: Step, inside: Callable[[], None]) -> None:
    """A connection, held while one of the server's active places works on the statement. Writes go to the primary."""
    spec: Spec = component.spec
    takes = step.takes or Timing("exponential", Range.exactly(float(spec.takes_ns)))
    is_read = step.verb == "query"
    groups, choice = (parts.reads, parts.read_choice) if is_read else ((parts.writes,), parts.write_choice)

    def work(register: int) -> None:
        build.work(step, parts.writes, build.timing(takes), BY_REGISTER, spec.latency_ns, register)

    def body() -> None:
        build.held(component, groups, choice, work, parts.keys)

    build.by_own_key(component, lambda: build.arrow(component.name, body))
