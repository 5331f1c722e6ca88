"""Reads `scenarios`: what happens over time, and what is expected to come of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tenfold.design.expect import read_expectation
from tenfold.design.faults import read_fault
from tenfold.design.read import Reader, child, lacks
from tenfold.design.requirements import positive
from tenfold.design.schema import Component, Flow, Range, Scenario
from tenfold.design.tree import Entry, Map, Node, Text
from tenfold.units import UnitError, format_duration, parse_duration, parse_factor, quoted

KEYS = ("lasts", "load", "faults", "expect", "warmup", "starts")
STARTS = ("warm", "cold")
WARMUP = "a tenth of the run, at most 1 min, at most half of the time before the first fault"
"""What is not counted at the start when the file does not say."""

LOAD_WORDS = ("peak", "average")

_EXAMPLE = "stampede: {lasts: 15 min, load: peak, faults: [{at: 5 min, expire: cache}], expect: [recovers within 60 s]}"
_NO_END_NS = 2**62


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario may name."""

    components: Mapping[str, Component]
    declared: frozenset[str]
    flows: Mapping[str, Flow]
    peak: Range


def read_scenarios(reader: Reader, node: Node | None, stage: Stage) -> dict[str, Scenario]:
    """The section `scenarios`."""
    return {
        name: _read_scenario(reader, name, entry, stage)
        for name, entry in reader.entries(node, "scenarios", f"scenarios: {{{_EXAMPLE}}}").items()
        if reader.name(entry.key, "scenario")
    }


def _read_scenario(reader: Reader, name: str, entry: Entry, stage: Stage) -> Scenario:
    """One scenario."""
    entries = reader.entries(entry.value, name, _EXAMPLE)
    reader.refuse_unknown(entries, KEYS, f"scenario {name}")
    if lacks(entries, "lasts", KEYS):
        reader.complain(entry.key, f"scenario {name} does not say how long it lasts", "write lasts: 15 min")
    lasts_ns = reader.value(child(entries, "lasts"), f"lasts of {name}", positive(parse_duration, "time"), _NO_END_NS)
    faults = reader.nodes(child(entries, "faults"), f"faults of {name}", "- {at: 5 min, expire: cache}")
    expect = reader.nodes(child(entries, "expect"), f"expect of {name}", "[recovers within 60 s]")
    read = [read_fault(reader, fault, stage.components, stage.declared) for fault in faults]
    scenario = Scenario(
        name=name,
        lasts_ns=int(lasts_ns),
        load=_read_load(reader, child(entries, "load"), name, int(lasts_ns), stage.peak),
        faults=tuple(fault for fault in read if fault is not None),
        expect=tuple(read_expectation(reader, line, stage.flows, stage.components) for line in expect),
        warmup_ns=reader.value(child(entries, "warmup"), f"warmup of {name}", _duration, None),
        starts=reader.word(child(entries, "starts"), f"starts of {name}", STARTS, STARTS[0]),
        path=entry.value.path,
    )
    _check_times(reader, scenario, entries)
    return scenario


def _duration(text: str) -> int | None:
    """A duration."""
    return parse_duration(text)


def _check_times(reader: Reader, scenario: Scenario, entries: Mapping[str, Entry]) -> None:
    """Nothing happens after the end."""
    end = format_duration(scenario.lasts_ns)
    for fault in scenario.faults:
        if fault.at_ns >= scenario.lasts_ns:
            message = f"this fault comes at {format_duration(fault.at_ns)}, the scenario lasts {end}"
            spot = reader.spot((*fault.path, "at"))
            reader.complain(spot, message, "write an earlier at, or a longer lasts")
    if scenario.warmup_ns is not None and scenario.warmup_ns >= scenario.lasts_ns:
        message = f"the warm-up takes {format_duration(scenario.warmup_ns)}, the scenario lasts {end}"
        reader.complain(entries["warmup"].value, message, "write a shorter warmup, or a longer lasts")


def _read_load(
    reader: Reader, node: Node | None, name: str, lasts_ns: int, peak: Range
) -> tuple[tuple[int, float], ...]:
    """The load as steps of (from_ns, multiple of the peak second)."""
    what = f"load of {name}"
    if not isinstance(node, Map):
        return ((0, reader.value(node, what, lambda text: _factor(text, peak), 1.0)),)
    steps: list[tuple[int, float]] = []
    for entry in node.entries.values():
        factor = reader.value(entry.value, what, lambda text: _factor(text, peak), 1.0)
        from_ns = _read_time(reader, entry.key, what)
        if from_ns is not None and _fits(reader, entry.key, steps, from_ns, lasts_ns):
            steps.append((from_ns, factor))
    if not node.entries:
        reader.complain(node, f"{what} has no times", "write {0 min: 1x, 2 min: 3x}")
    return tuple(steps) or ((0, 1.0),)


def _read_time(reader: Reader, key: Text, what: str) -> int | None:
    """A time of the load; None after a mistake."""
    try:
        return parse_duration(key.text)
    except UnitError as error:
        reader.complain(key, f"{what}: {error.message}", error.remedy)
        return None


def _fits(reader: Reader, key: Text, before: list[tuple[int, float]], from_ns: int, lasts_ns: int) -> bool:
    """Whether a time of the load comes after the one before and within the scenario."""
    if not before and from_ns != 0:
        reader.complain(key, "nothing says what the load is from the start", "begin with 0 min: 1x")
    elif before and from_ns <= before[-1][0]:
        reader.complain(key, f"{quoted(key.text)} is not later than the time before it", "write the times in order")
    elif from_ns >= lasts_ns:
        message = f"the load changes at {format_duration(from_ns)}, the scenario lasts {format_duration(lasts_ns)}"
        reader.complain(key, message, "write an earlier time, or a longer lasts")
    else:
        return True
    return False


def _factor(text: str, peak: Range) -> float:
    """A load: a multiple of the peak second."""
    if text in LOAD_WORDS:
        return 1.0 if text == "peak" else 1.0 / peak.likely
    try:
        return parse_factor(text)
    except UnitError as error:
        remedy = error.remedy if "more than" in error.message else "write peak, average, 2x or {0 min: 1x, 2 min: 3x}"
        raise UnitError(f"{quoted(text)} is no load", remedy) from error
