"""What ran out first: utilisation that passed 95 %, or a queue that took off."""

from collections.abc import Iterable, Mapping
from statistics import fmean

from tenfold.design.schema import Design, Step
from tenfold.results.run import ComponentRun, Run
from tenfold.verdict.levels import bin_count
from tenfold.verdict.verdict import Saturation

FULL_RATIO = 0.95
QUEUE_MIN = 10.0
QUEUE_FACTOR = 10.0
LASTING_NS = 1_000_000_000
"""A resource is out when it is so for a second, and for two bins on end: one busy bin is what bursts look like."""


def saturations(design: Design, run: Run, from_ns: int) -> tuple[Saturation, ...]:
    """The first moment each component ran out of something after `from_ns`, first things first.

    Of two that ran out in the same bin the one further down the flows comes first: callers wait for callees, so a full
    database fills the workers above it within the second, never the other way round.
    """
    depth = _depths(design)
    first_bin = from_ns // run.bin_ns
    found = [_of_component(name, part, run, first_bin) for name, part in run.components.items()]
    out = [saturation for saturation in found if saturation]
    return tuple(sorted(out, key=lambda s: (s.at_ns, -depth.get(s.component, 0), -s.utilisation, s.component)))


def _of_component(name: str, part: ComponentRun, run: Run, first_bin: int) -> Saturation | None:
    """The earliest of the component's resources to fill up, else its queue taking off."""
    bins = bin_count(run)
    lasting = max(2, LASTING_NS // run.bin_ns)
    starts = {
        resource: _first_lasting([busy >= FULL_RATIO for busy in series[:bins]], first_bin, lasting)
        for resource, series in part.utilisation.items()
    }
    full = [(start, -part.utilisation[resource][start], resource) for resource, start in starts.items() if start >= 0]
    queued = _queue_takes_off(part, first_bin, bins, lasting)
    if full and (queued < 0 or min(full)[0] <= queued):
        start, busy, resource = min(full)
        return Saturation(name, resource, start * run.bin_ns, -busy, part.queue[start])
    if queued >= 0:
        busiest = max((series[queued] for series in part.utilisation.values()), default=0.0)
        return Saturation(name, "queue", queued * run.bin_ns, busiest, part.queue[queued])
    return None


def _queue_takes_off(part: ComponentRun, first_bin: int, bins: int, lasting: int) -> int:
    """First bin where many more wait than before `first_bin`; -1: none."""
    before = fmean(part.queue[:first_bin]) if first_bin and part.queue else 0.0
    limit = max(QUEUE_MIN, QUEUE_FACTOR * before)
    return _first_lasting([waiting >= limit for waiting in part.queue[:bins]], first_bin, lasting)


def _first_lasting(flags: list[bool], first_bin: int, lasting: int) -> int:
    """First bin from which `lasting` flags in a row are set; -1: none."""
    in_a_row = 0
    for number in range(first_bin, len(flags)):
        in_a_row = in_a_row + 1 if flags[number] else 0
        if in_a_row == lasting:
            return number - lasting + 1
    return -1


def _depths(design: Design) -> Mapping[str, int]:
    """How far down the flows each component first appears: 1 is next to the client."""
    depths: dict[str, int] = {}
    for flow in design.flows.values():
        for number, name in enumerate(_targets(flow.steps), start=1):
            depths[name] = max(depths.get(name, 0), number)
    return depths


def _targets(steps: Iterable[Step]) -> Iterable[str]:
    """Components in the order a request meets them; filling a cache (`set`) is not waited for, so it does not count."""
    for step in steps:
        if step.target and step.verb != "set":
            yield step.target
        yield from _targets(step.on_miss)
        yield from _targets(step.steps or ())
        for branch in step.branches:
            yield from _targets(branch.steps)
