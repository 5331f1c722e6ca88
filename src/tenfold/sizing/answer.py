"""What sizing answers: every number with its unit, its formula in words and its place in the design file."""

from collections.abc import Mapping
from dataclasses import dataclass

from tenfold.design.demand import Demand, Excuse
from tenfold.design.schema import Range

PER_S, BYTES, BYTES_PER_S, RATIO, NS, NODES = "per_s", "bytes", "bytes_per_s", "ratio", "ns", "nodes"
"""Units of lines; others ("workers", "connections", "cores") name what is counted."""


@dataclass(frozen=True, slots=True)
class Line:
    """One number of the plan.

    unit: PER_S, BYTES, BYTES_PER_S, RATIO, NS, or the name of what is counted. where: `design.yaml:9,32`.
    """

    name: str
    value: Range
    unit: str
    formula: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """One operation: how often it starts, and how long one takes when nothing queues."""

    name: str
    average: Line
    peak: Line
    headroom: Line
    time: Line


@dataclass(frozen=True, slots=True)
class ComponentPlan:
    """One component: what reaches it, what it needs, how much of what it declares is used at peak.

    reads and writes are the peak split of a store, None elsewhere. demand is None only when it could not be computed.
    """

    name: str
    kind: str
    average: Line
    peak: Line
    headroom: Line
    reads: Line | None
    writes: Line | None
    bytes_in: Line
    bytes_out: Line
    needs: tuple[Line, ...]
    utilisation: tuple[Line, ...]
    nodes_declared: int
    nodes_now: Line
    nodes_tenfold: Line
    demand: Demand | None
    excuse: Excuse | None
    where: str = ""


@dataclass(frozen=True, slots=True)
class DataPlan:
    """One data set at rest."""

    name: str
    kept_by: tuple[str, ...]
    items: Line
    copy: Line
    total: Line
    growth: Line


@dataclass(frozen=True, slots=True)
class Stampede:
    """What reaches a component when a cache has lost everything, at peak, and how that compares with what it serves."""

    component: str
    resource: str
    calls: Line
    serves: Line
    overload: Line


@dataclass(frozen=True, slots=True)
class CachePlan:
    """One data set in a cache: how many reads it answers, what memory that takes, what hangs on it.

    hit_ratio counts the design's stated ratio where there is one; expected is the model's at peak, expected_ample with
    memory for the whole working set, expected_plain without `set` steps of their own, too: rT/(1+rT) alone.
    """

    component: str
    data: str
    hit_ratio: Line
    hit_ratio_average: Line
    expected: Line
    expected_ample: Line
    expected_plain: Line
    working_set: Line
    memory: Line
    if_lost: tuple[Stampede, ...]


@dataclass(frozen=True, slots=True)
class Saturation:
    """A resource and the multiple of the peak load at which it is all used."""

    component: str
    resource: str
    at_multiple: Range


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole answer.

    saturation: first to saturate first. excuses: components for which no number of nodes is enough. assumptions: what
    the formulas take for granted, with sources.
    """

    title: str
    design_path: str
    design: str  # fingerprint
    flows: Mapping[str, FlowPlan]
    components: Mapping[str, ComponentPlan]
    data: Mapping[str, DataPlan]
    caches: tuple[CachePlan, ...]
    edge: tuple[Line, ...]
    saturation: tuple[Saturation, ...]
    excuses: tuple[Excuse, ...]
    assumptions: tuple[str, ...]

    @property
    def is_feasible(self) -> bool:
        """Whether every component can carry peak and headroom with enough nodes."""
        return not self.excuses

    @property
    def short(self) -> tuple[ComponentPlan, ...]:
        """Components that declare fewer nodes than peak and headroom need."""
        return tuple(
            c for c in self.components.values() if c.excuse is None and c.nodes_declared < c.nodes_now.value.likely
        )
