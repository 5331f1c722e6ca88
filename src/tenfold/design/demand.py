"""What sizing asks of a kind and what a kind answers. Values only; the arithmetic lives with each kind."""

from collections.abc import Mapping
from dataclasses import dataclass

from tenfold.design.schema import DataSet, Path, Range, Requirements

CREATES, UPDATES, FILLS = "creates", "updates", "fills"
"""How a `set` writes: an entry of its own accord, only an entry that is there (`only_present`), or after a miss."""

CONSUMES = "consumes"
"""Verb of the visits sizing adds to a log: its messages being worked on by the flows it triggers."""

STANDING = ("memory", "disk")
"""Resources filled by data at rest. They do not saturate at a multiple of the traffic."""


@dataclass(frozen=True, slots=True)
class Visits:
    """One step's load on a component at peak: how often, how long, how large, and where the file says so."""

    flow: str
    verb: str
    rate_per_s: Range  # at peak, including `times`, misses and branch weights
    service_ns: Range  # mean time the component works on one visit
    held_ns: Range  # mean time a worker or connection is held, waiting downstream included
    size_bytes: Range  # payload of one visit
    path: Path
    caller: str = ""
    data: str = ""  # data set read or written; "" when the design does not say
    writes: str = ""  # of a `set`: CREATES, UPDATES or FILLS


@dataclass(frozen=True, slots=True)
class Load:
    """Everything one component is asked to carry at peak.

    data: the data sets the component keeps, by name. A log also gets one visit of verb CONSUMES per flow it triggers;
    its `held_ns` is the time from the start of the flow to its end.
    """

    visits: tuple[Visits, ...]
    requirements: Requirements
    data: Mapping[str, DataSet]


@dataclass(frozen=True, slots=True)
class Need:
    """One number of the answer, with the formula that gives it, in words an engineer can check."""

    name: str  # "cores", "connections", "memory", "nodes", "utilisation", ...
    value: Range
    unit: str  # "cores", "connections", "bytes", "nodes", "ratio", "per_s"
    formula: str  # "115,741 /s x 1.2 ms"
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Demand:
    """What a component needs for the load, and what it declares.

    utilisation: resource -> share of the declared resource used at peak ("cpu": 0.43); 1 is all of it, more is too
        little. The largest that is not in STANDING is the bottleneck.
    nodes_now, nodes_tenfold: nodes needed with headroom at peak and at ten times the peak with ten times the data;
        infinite when more nodes do not help, and then `tenfold_excuse` says why.
    """

    needs: tuple[Need, ...]
    utilisation: Mapping[str, Range]
    nodes_declared: int
    nodes_now: Range
    nodes_tenfold: Range
    notes: tuple[str, ...] = ()
    tenfold_excuse: str = ""


@dataclass(frozen=True, slots=True)
class Excuse:
    """Why no number of nodes of this kind carries peak plus headroom, and what is in the way."""

    component: str
    bottleneck: str  # "writes on one primary"
    reason: str  # with the numbers
    remedy: str
    path: Path = ()
    figures: Demand | None = None  # what could be computed all the same
