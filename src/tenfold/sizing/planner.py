"""Design -> Plan: the conductor. Arithmetic lives in the modules around it, what a component costs in its kind."""

from tenfold.design.schema import DataSet, Design, Range
from tenfold.sizing import bandwidth, storage, words
from tenfold.sizing.answer import BYTES, DataPlan, Line, Plan
from tenfold.sizing.caches import cache_plans
from tenfold.sizing.components import component_plan, saturation
from tenfold.sizing.flows import USERS, flow_plan
from tenfold.sizing.places import where
from tenfold.sizing.traffic import kept_data, solve
from tenfold.sizing.walk import HTTP_OVERHEAD_BYTES, WIRE_OVERHEAD_BYTES
from tenfold.units import YEAR

ASSUMPTIONS = (
    "times are means without queueing: worker and connection counts are Little's law at the stated times",
    "parallel takes the longest of its branches' means, which is less than the mean of the longest",
    f"{HTTP_OVERHEAD_BYTES} B of headers per HTTP request and per answer (SPDY white paper: 700-800 B is common)",
    f"{WIRE_OVERHEAD_BYTES} B around a store's command and its answer, each (IP and TCP headers 40 B, command 60 B)",
    "a scope without a size answers with what it reads inside and is sent the largest item inserted or published in it",
    "caches: Poisson requests for keys by their popularity; what has expired frees its memory at once",
    "multiples of the peak keep hit ratios and times as they are at peak",
)
"""What the formulas take for granted, with sources."""


def plan(design: Design) -> Plan:
    """Size a design: what every flow, component and data set needs, for low, likely and high of every guess.

    Args:
        design: a checked design.

    Returns:
        The plan. A component that no number of nodes can save has an `Excuse` and is listed in `Plan.excuses`.
    """
    average, peak = solve(design), solve(design, design.requirements.peak_factor)
    components = {
        name: component_plan(design, component, average, peak)
        for name, component in design.components.items()
        if component.kind.VERBS
    }
    return Plan(
        title=design.title,
        design_path=design.source.path,
        design=design.fingerprint,
        flows={name: flow_plan(design, flow, average, peak) for name, flow in design.flows.items()},
        components=components,
        data={name: _data_plan(design, data) for name, data in design.requirements.data.items()},
        caches=cache_plans(design, average, peak),
        edge=bandwidth.edge_lines(design, peak),
        saturation=saturation(components),
        excuses=tuple(c.excuse for c in components.values() if c.excuse),
        assumptions=ASSUMPTIONS,
    )


def _data_plan(design: Design, data: DataSet) -> DataPlan:
    """The lines of a data set at rest."""
    found = storage.stored(data, design.requirements)
    kept_by = tuple(name for name, sets in kept_data(design).items() if data.name in sets)
    place = where(design.source, data.path, *((USERS,) if data.count.is_per_user else ()))

    def line(name: str, value: Range, unit: str, formula: str) -> Line:
        return Line(name, value, unit, formula, place)

    item = f"{words.size(data.size_bytes.likely)} x (1 + {words.ratio(data.index_ratio.likely)} index)"
    copies = f"{data.copies} {'copies' if data.copies > 1 else 'copy'}"
    copies += f" + {data.backups} backup{'s' if data.backups > 1 else ''}" if data.backups else ""
    return DataPlan(
        data.name,
        kept_by,
        line("items", found.items, "items", _count_text(design, data)),
        line("one copy", found.copy_bytes, BYTES, f"{words.count(found.items.likely)} x {item}"),
        line("all copies", found.total_bytes, BYTES, f"{words.size(found.copy_bytes.likely)} x ({copies})"),
        line("growth per year", found.growth_bytes, BYTES, _growth_text(data)),
    )


def _growth_text(data: DataSet) -> str:
    """How growth is counted, and when it ends."""
    if not data.count.period_ns:
        return "a standing number"
    until = f", until the first is {words.duration(data.keep_ns.likely)} old" if data.keep_ns else ", never deleted"
    return f"all copies, in 365 days{until}"


def _count_text(design: Design, data: DataSet) -> str:
    """`100M users x 1/user/day x 547.5 days`."""
    text = words.count(data.count.value.likely)
    if data.count.is_per_user:
        users = design.requirements.users
        text = f"{words.count(users.likely if users else 0)} users x {text}/user"
    if not data.count.period_ns:
        return text
    keep_ns = data.keep_ns.likely if data.keep_ns else float(YEAR)
    kept = f"{words.plain(keep_ns / 86_400e9)} days" + ("" if data.keep_ns else ", never deleted: after a year")
    return f"{text}/{words.period(data.count.period_ns)} x {kept}"
