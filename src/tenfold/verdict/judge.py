"""Did it recover? The state of a system after its triggers, and every promise against what was measured.

A *metastable failure* is a bad state that stays when the trigger that caused it is gone, because an effect of the
failure keeps it going: retries, cold caches, work for callers who have left (Bronson, Aghayev, Charapko, Zhu:
"Metastable Failures in Distributed Systems", HotOS 2021; Huang et al.: "Metastable Failures in the Wild", OSDI 2022).
In numbers:

- *baseline*: every flow's level over the bins between warm-up and the first trigger;
- *trigger gone*: the last fault has ended and the load is not above what it was at the start. An `expire` is an instant
  (with jitter its expiries last for 2 x jitter x ttl);
- *back to baseline*: of every flow, success ratio, good answers per offered request and p95 are within `Tolerances` of
  the baseline, and stay so for `lasting_ns`;
- **recovered**: back within the stated time (the scenario's `recovers within`, else 60 s), to the end of the run;
- **METASTABLE**: trigger gone, the stated time has passed, not back at the end of the run, and some flow has less than
  `partly_ratio` of its baseline's goodput;
- **degraded**: in between: recovered late, fell back in between, slow but answering, or the trigger never left;
- **steady**: there was no trigger; **undecided**: the run ended too early to tell, or has no baseline.
"""

from dataclasses import dataclass

from tenfold.design.schema import Design, Expectation, Scenario
from tenfold.results.run import FlowRun, Run
from tenfold.verdict import why
from tenfold.verdict.checks import expectation_checks, slo_checks
from tenfold.verdict.levels import Levels, bin_count, bins_between, failures
from tenfold.verdict.saturation import saturations
from tenfold.verdict.triggers import Trouble, trouble
from tenfold.verdict.verdict import (
    DEGRADED,
    METASTABLE,
    RECOVERED,
    STEADY,
    UNDECIDED,
    Check,
    Level,
    Tolerances,
    Verdict,
    Worst,
)

_ENDED_MIN = 20
"""A bin in which fewer requests end says nothing about the worst moment."""


@dataclass(frozen=True, slots=True)
class Course:
    """How the run went, seen from the baseline: what the state is decided on."""

    within_ns: int
    recovery_ns: int | None = None  # None: not back, or the run ended first
    relapse_ns: int | None = None
    is_back_at_end: bool = False
    left_ns: int = 0  # time between the reference and the end of what was simulated


def judge(design: Design, scenario: Scenario, run: Run, allowed: Tolerances | None = None) -> Verdict:
    """Judge one run of one scenario.

    Args:
        design: the design that ran; its SLOs are checked.
        scenario: the scenario that ran; its expectations are checked.
        run: what happened, simulated or drilled.
        allowed: what counts as "back to baseline"; None is the documented default.

    Returns:
        The verdict; the same arguments give the same verdict.
    """
    allowed = allowed or Tolerances()
    around = trouble(scenario, run)
    flows = {name: Levels(flow, bin_count(run), run.bin_ns) for name, flow in run.flows.items()}
    baseline = _baseline(flows, run, around)
    course = _course(flows, baseline, scenario, run, around, allowed)
    ending = {name: _ending(flows[name], level, allowed) for name, level in baseline.items()}
    state = _state(run, around, baseline, ending, course, allowed)
    found = Verdict(
        state=state,
        why="",
        checks=_checks(design, scenario, run, state, course),
        recovery_ns=course.recovery_ns,
        gone_ns=around.reference_ns if around and around.is_gone else None,
        relapse_ns=course.relapse_ns,
        worst=_worst(run),
        saturated=saturations(design, run, around.first_ns if around else run.warmup_ns),
        baseline=baseline,
        ending=ending,
    )
    return why.explained(found, run, around)


def _baseline(flows: dict[str, Levels], run: Run, around: Trouble | None) -> dict[str, Level]:
    """Levels of the flows that had requests between warm-up and the first trigger (the end, without one)."""
    bins = bins_between(run, run.warmup_ns, around.first_ns if around else run.lasts_ns)
    if not bins:
        return {}
    levels = {name: levels.over(bins.start, bins.stop) for name, levels in flows.items()}
    return {name: level for name, level in levels.items() if level.offered_per_s > 0}


def _ending(levels: Levels, baseline: Level, allowed: Tolerances) -> Level:
    """The level over the last window of the run."""
    return levels.over(levels.bins - levels.window(baseline, allowed), levels.bins)


def _course(
    flows: dict[str, Levels],
    baseline: dict[str, Level],
    scenario: Scenario,
    run: Run,
    around: Trouble | None,
    allowed: Tolerances,
) -> Course:
    """Follow the flows from the reference to the end of the run."""
    within_ns = _within(scenario, allowed)
    bins = bin_count(run)
    reference_bin = -(-around.reference_ns // run.bin_ns) if around else bins
    if not around or not baseline or reference_bin >= bins:
        return Course(within_ns, left_ns=max(0, run.lasts_ns - around.reference_ns) if around else 0)
    by_flow = [flows[name].at_baseline(level, allowed) for name, level in baseline.items()]
    is_back = [all(flags) for flags in zip(*by_flow, strict=True)]
    window = max(flows[name].window(level, allowed) for name, level in baseline.items())
    reached = _first_lasting(is_back, reference_bin, -(-allowed.lasting_ns // run.bin_ns))
    return Course(
        within_ns=within_ns,
        recovery_ns=None if reached is None else max(0, reached * run.bin_ns - around.reference_ns),
        relapse_ns=None if reached is None else _relapse_ns(is_back, reached, window, run),
        is_back_at_end=is_back[-1],
        left_ns=run.lasts_ns - around.reference_ns,
    )


def _within(scenario: Scenario, allowed: Tolerances) -> int:
    """The scenario's own time to recover (the shortest it names), or the default."""
    stated = [int(e.limit) for e in scenario.expect if e.kind == "recovers"]
    return min(stated, default=allowed.within_ns)


def _first_lasting(flags: list[bool], first: int, lasting: int) -> int | None:
    """First bin from which the flags hold for `lasting` bins, or to the end."""
    start = None
    for number in range(first, len(flags)):
        if not flags[number]:
            start = None
            continue
        start = number if start is None else start
        if number - start + 1 >= lasting:
            return start
    return start


def _relapse_ns(flags: list[bool], reached: int, window: int, run: Run) -> int | None:
    """When a system that was back left its baseline: the last bin of the first bad window is the bad one."""
    for number in range(reached, len(flags)):
        if not flags[number]:
            return min(number + window - 1, len(flags) - 1) * run.bin_ns
    return None


def _state(
    run: Run,
    around: Trouble | None,
    baseline: dict[str, Level],
    ending: dict[str, Level],
    course: Course,
    allowed: Tolerances,
) -> str:
    """The state, as the module's text defines it."""
    if around is None:
        return STEADY
    if not baseline or course.left_ns <= 0:
        return UNDECIDED
    if course.recovery_ns is not None and course.recovery_ns <= course.within_ns and course.relapse_ns is None:
        return RECOVERED
    if course.left_ns < course.within_ns and not run.is_complete:
        return UNDECIDED
    if course.is_back_at_end or not around.is_gone or course.left_ns < course.within_ns:
        return DEGRADED
    has_collapsed = any(
        level.goodput_ratio < allowed.partly_ratio * baseline[name].goodput_ratio for name, level in ending.items()
    )
    return METASTABLE if has_collapsed else DEGRADED


def _checks(design: Design, scenario: Scenario, run: Run, state: str, course: Course) -> tuple[Check, ...]:
    def recovers(expectation: Expectation) -> Check:
        return _recovery_check(expectation, state, course)

    return expectation_checks(scenario, run, recovers) + slo_checks(tuple(design.slo.values()), run)


def _recovery_check(expectation: Expectation, state: str, course: Course) -> Check:
    """`recovers within`: passed when back in time and to the end; a run without trigger has nothing to recover from."""
    passed: bool | None = state == STEADY or (
        course.recovery_ns is not None and course.recovery_ns <= expectation.limit and course.relapse_ns is None
    )
    if state == UNDECIDED:
        passed = None
    return Check("expect", expectation.text, passed, course.recovery_ns, expectation.limit, "ns")


def _worst(run: Run) -> Worst | None:
    """The bin with the largest share of failures after warm-up; the earliest of several."""
    bins = range(run.warmup_ns // run.bin_ns, bin_count(run))
    moments = [
        moment for name, flow in run.flows.items() for number in bins if (moment := _moment(name, flow, number, run))
    ]
    return max(moments, key=lambda m: (m.errors_ratio, -m.at_ns, m.flow), default=None)


def _moment(name: str, flow: FlowRun, number: int, run: Run) -> Worst | None:
    failed = failures(flow, number)
    ended = failed + flow.good[number]
    return Worst(name, failed / ended, number * run.bin_ns) if ended >= _ENDED_MIN else None
