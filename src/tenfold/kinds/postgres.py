"""PostgreSQL: one primary that takes the writes, read replicas, a pool of connections to each."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenfold.design.demand import Demand, Excuse, Load, Need
from tenfold.design.schema import Component, Range, Step, Timing
from tenfold.fields import setting
from tenfold.program.program import BY_BALANCE, BY_FIRST, BY_REGISTER, LEAST_IN_FLIGHT
from tenfold.sizing import interval, little, storage, words

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
        0, "Read replicas besides the primary.", low=0, high=100_000, source="none: say so when there are"
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
    """What the servers carry of one resource: on the primary only, and shared by all; one server offers `offer`."""

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
    spend on replaying the primary's writes is left out.

    Args:
        component: the cluster.
        load: its visits at peak and the data sets it keeps.
    """
    spec: Spec = component.spec
    pinned = [v for v in load.visits if v.verb == "insert" or spec.reads == 1]
    spread = [v for v in load.visits if v not in pinned]
    statements = _Work(little.busy(pinned), little.busy(spread), float(spec.active_per_core * spec.cores))
    connections = _Work(little.in_flight(pinned), little.in_flight(spread), float(spec.pool))
    stored = interval.add(*(storage.stored(d, load.requirements).copy_bytes for d in load.data.values()))
    disk = _Work(stored, interval.ZERO, float(spec.disk_bytes))
    works = {"statements": statements, "connections": connections, "disk": disk}
    figures = little.demand_of(
        load,
        _needs(component, load, works),
        {name: work.used(1 + spec.replicas) for name, work in works.items()},
        1 + spec.replicas,
        lambda factor: _nodes(works, factor, little.peak_and_headroom(load)),
        _notes(spec, load, works),
        _tenfold_excuse(works, load),
    )
    return _excuse(component, load, works, figures) if math.isinf(figures.nodes_now.likely) else figures


def _nodes(works: Mapping[str, _Work], factor: float, spare: float) -> Range:
    """Servers for all resources. Headroom is for traffic; the disk has to hold the data, ten times the data at 10x."""
    factors = {name: factor / spare if name == "disk" else factor for name in works}
    return interval.largest(work.nodes(factors[name]) for name, work in works.items())


def _needs(component: Component, load: Load, works: Mapping[str, _Work]) -> tuple[Need, ...]:
    """The numbers of the answer, over all servers."""
    total = {name: interval.add(work.pinned, work.spread) for name, work in works.items()}
    held = f"{little.product_text(load.visits, total['connections'])} held"
    texts = [("statements", "statements", little.product_text(load.visits, total["statements"]), "cores")]
    texts.append(("connections", "connections", held, "pool"))
    if load.data:
        texts.append(("disk", "bytes", f"one copy of {', '.join(load.data)} with indexes", "disk"))
    return tuple(Need(name, total[name], unit, text, (*component.path, key)) for name, unit, text, key in texts)


def _notes(spec: Spec, load: Load, works: Mapping[str, _Work]) -> tuple[str, ...]:
    """What does not add up without being impossible, and what the disk hides."""
    servers = 1 + spec.replicas
    hold = f"{servers} server{'s hold' if servers > 1 else ' holds'} {servers}"
    copies = tuple(
        f"{data.name} is to have {data.copies} copies, {hold}" for data in load.data.values() if data.copies > servers
    )
    traffic = {name: work for name, work in works.items() if name != "disk"}
    enough = _nodes(traffic, little.peak_and_headroom(load), 1.0).likely
    if works["disk"].used(1).likely <= 1.0 or math.isinf(enough):
        return copies
    return (f"the traffic alone needs {enough:.0f} server{'s' if enough > 1 else ''}", *copies)


_CAUSES = {
    "statements": (
        "statements on the primary",
        "spread the writes over several primaries by key, batch them, or let replicas answer the queries (reads: any)",
    ),
    "connections": ("connections to the primary", "a larger pool, or statements that hold a connection for less"),
    "disk": ("data on one server", "split the data over several clusters by key, keep it for less, or larger disks"),
}
"""Resource -> what is in the way on the one primary, and what helps."""


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
    spare = little.peak_and_headroom(load)
    name = _blocking(works, spare, spare)
    work = works[name]
    bottleneck, remedy = _CAUSES[name]
    show = words.size if name == "disk" else words.plain
    spare_text = "" if name == "disk" else f" x {little.headroom_text(load)}"
    reason = (
        f"{show(work.pinned.likely)} {name}{spare_text} on a primary that offers {show(work.offer)}: "
        f"{words.ratio(work.pinned.likely / work.offer)} used at peak, and replicas do not take any of it over"
    )
    path = next((need.path for need in figures.needs if need.name == name), component.path)
    return Excuse(component.name, bottleneck, reason, remedy, path, figures)


def lower(build: "Builder", component: Component) -> tuple[int, int]:
    """The primary and its replicas: connections that are held, statements that make progress. Answers the group."""
    spec: Spec = component.spec
    group = build.group(
        component,
        1 + spec.replicas,
        spec.cores * spec.active_per_core,
        slots=spec.pool,
        queue=spec.pool_queue,
        balance=LEAST_IN_FLIGHT,
        contention=spec.contention_factor,
        is_left=True,
        resources=("active", "connections"),
    )
    return group, BY_BALANCE if spec.reads == 0 else BY_FIRST


def visit(
    build: "Builder", component: Component, parts: tuple[int, int], step: Step, inside: Callable[[], None]
) -> None:
    """A connection, held while one of the server's active places works on the statement. Writes go to the primary."""
    spec: Spec = component.spec
    group, reads = parts
    takes = step.takes or Timing("exponential", Range.exactly(float(spec.takes_ns)))

    def work(register: int) -> None:
        build.work(step, group, build.timing(takes), BY_REGISTER, spec.latency_ns, register)

    def body() -> None:
        build.held(component, group, reads if step.verb == "query" else BY_FIRST, work)

    build.arrow(component.name, body)
