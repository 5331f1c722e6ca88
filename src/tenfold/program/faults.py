"""Faults of a scenario as a timetable of what the engine does, and as triggers in words."""

from typing import TYPE_CHECKING

from tenfold.design.schema import Design, Fault, Scenario
from tenfold.program import program as p
from tenfold.program.program import FaultRow
from tenfold.units import format_duration, format_factor

if TYPE_CHECKING:
    from tenfold.program.build import Builder

Target = str | tuple[str, str]


def switches_of(scenario: Scenario) -> dict[Target, int]:
    """A loss switch for every component or arrow that a drop or partition names."""
    targets = [fault.arrow or fault.target for fault in scenario.faults if fault.verb in ("drop", "partition")]
    return {target: number for number, target in enumerate(dict.fromkeys(targets))}


def timetable(design: Design, scenario: Scenario, build: "Builder") -> tuple[FaultRow, ...]:
    """All rows, in order of time; equal times in the order of the file.

    Faults may overlap: kills are counted by the engine; of several losses or slow-downs the worst is in force.
    """
    rows = [row for fault in scenario.faults for row in _instants(design, fault, build)]
    for levels, action, rest in (_losses(scenario, build), _slow_downs(scenario, build)):
        for target, spans in levels.items():
            rows += [FaultRow(at_ns, action, *target, value=value) for at_ns, value in _worst(spans, rest)]
    return tuple(sorted(rows, key=lambda row: row.at_ns))


def _instants(design: Design, fault: Fault, build: "Builder") -> list[FaultRow]:
    """What an expire or a kill does, and when callers notice: never, when it is over before a health check fails."""
    if fault.verb == "expire":
        return [FaultRow(fault.at_ns, p.EXPIRE, build.caches[fault.target])]
    if fault.verb != "kill":
        return []
    first, size = _nodes(build, fault)
    check_ns = int(getattr(design.components[fault.target].spec, "health_check_ns", 0))
    rows = [FaultRow(fault.at_ns, p.KILL, first, size)]
    is_noticed = not fault.for_ns or fault.for_ns > check_ns
    if is_noticed:
        rows.append(FaultRow(fault.at_ns + check_ns, p.LEAVE, first, size))
    if fault.for_ns:
        end_ns = fault.at_ns + fault.for_ns
        rows.append(FaultRow(end_ns, p.REVIVE, first, size))
        if is_noticed:
            rows.append(FaultRow(end_ns + check_ns, p.REJOIN, first, size))
    return rows


Span = tuple[int, int, float]
"""From, to (0: the end of the run), how bad."""

Levels = tuple[dict[tuple[int, int], list[Span]], int, float]
"""Spans by target and its size, the action that sets the level, the level at rest."""


def _losses(scenario: Scenario, build: "Builder") -> Levels:
    spans: dict[tuple[int, int], list[Span]] = {}
    for fault in scenario.faults:
        if fault.verb in ("drop", "partition"):
            share = 1.0 if fault.verb == "partition" else fault.share_ratio
            spans.setdefault((build.switches[fault.arrow or fault.target], 1), []).append(_span(fault, share))
    return spans, p.LOSS, 0.0


def _slow_downs(scenario: Scenario, build: "Builder") -> Levels:
    spans: dict[tuple[int, int], list[Span]] = {}
    for fault in scenario.faults:
        if fault.verb == "slow":  # always all nodes of a component
            spans.setdefault(_nodes(build, fault), []).append(_span(fault, fault.by_factor))
    return spans, p.SLOW, 1.0


def _span(fault: Fault, value: float) -> Span:
    return fault.at_ns, fault.at_ns + fault.for_ns if fault.for_ns else 0, value


def _worst(spans: list[Span], rest: float) -> list[tuple[int, float]]:
    """The level from each moment on at which it may change."""
    starts = {from_ns for from_ns, _, _ in spans}
    ends = {to_ns for _, to_ns, _ in spans if to_ns}
    levels = []
    for at_ns in sorted(starts | ends):
        active = [value for from_ns, to_ns, value in spans if from_ns <= at_ns and (at_ns < to_ns or not to_ns)]
        levels.append((at_ns, max(active, default=rest)))
    return levels


def _nodes(build: "Builder", fault: Fault) -> tuple[int, int]:
    """First node and how many: all of the component's, or as many as the fault says."""
    number = build.component_numbers[fault.target]
    group = next(group for group in build.tables.groups if group.component == number)
    return group.first, min(group.size, fault.nodes or group.size)


def triggers(design: Design, scenario: Scenario) -> tuple[tuple[str, int, int], ...]:
    """What happens when, in words: faults, and times of load above the first."""
    found = [_trigger(design, scenario, fault) for fault in scenario.faults]
    base = scenario.load[0][1]
    ends = [at_ns for at_ns, _ in scenario.load[1:]] + [scenario.lasts_ns]
    for (at_ns, factor), end_ns in zip(scenario.load, ends, strict=True):
        if factor > base:
            found.append((f"load {format_factor(factor)}", at_ns, end_ns))
    return tuple(sorted(found, key=lambda trigger: trigger[1]))


def _trigger(design: Design, scenario: Scenario, fault: Fault) -> tuple[str, int, int]:
    name = " -> ".join(fault.arrow) if fault.arrow else fault.target
    end_ns = fault.at_ns + fault.for_ns if fault.for_ns else scenario.lasts_ns
    text = f"{fault.verb} {name}"
    if fault.verb == "expire":
        spec = design.components[fault.target].spec
        end_ns = fault.at_ns + int(2 * spec.ttl_jitter_ratio * spec.ttl_ns)
    elif fault.verb == "slow":
        text += f" by {format_factor(fault.by_factor)}"
    elif fault.verb == "drop":
        text += f" {fault.share_ratio:.0%}"
    elif fault.verb == "kill" and fault.nodes:
        text += f" ({fault.nodes} nodes)"
    if fault.for_ns and fault.verb != "expire":
        text += f" for {format_duration(fault.for_ns)}"
    return text, fault.at_ns, min(end_ns, scenario.lasts_ns)
