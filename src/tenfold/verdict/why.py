"""Why: the state of a run in one sentence, with the numbers it rests on."""

from dataclasses import replace
from statistics import fmean

from tenfold.results.run import ComponentRun, FlowRun, Run
from tenfold.verdict.checks import hit_ratio
from tenfold.verdict.levels import bins_between
from tenfold.verdict.saturation import FULL_RATIO
from tenfold.verdict.triggers import Trouble
from tenfold.verdict.verdict import DEGRADED, METASTABLE, RECOVERED, STEADY, Level, Verdict
from tenfold.verdict.words import clock, duration, factor, share

_TAIL_NS = 10_000_000_000
"""What "at the end" means for causes: the last ten seconds."""
_NOTABLE_FACTOR = 1.2
_NOTABLE_HITS = 0.05
_NOTABLE_ERRORS = 0.01


def explained(found: Verdict, run: Run, around: Trouble | None) -> Verdict:
    """The verdict with its sentence."""
    if around is None or found.state == STEADY:
        return replace(found, why=_steady(found, run))
    sentence = {METASTABLE: _metastable, DEGRADED: _degraded, RECOVERED: _recovered}.get(found.state, _undecided)
    return replace(found, why=sentence(found, run, around))


def _steady(found: Verdict, run: Run) -> str:
    if not found.baseline:
        return "no fault and no raised load, and nothing was measured after warm-up"
    name, level = _hardest_hit(found.baseline, found.baseline)
    errors = f"{share(1 - level.success_ratio)} of {name} failed" if level.success_ratio < 1 else f"no {name} failed"
    return f"no fault and no raised load: {errors}, p95 {duration(max(0.0, level.p95_ns))}{_ran_out(found)}"


def _recovered(found: Verdict, run: Run, around: Trouble) -> str:
    assert found.recovery_ns is not None
    worst = found.worst
    at_worst = (
        f"; at worst {share(worst.errors_ratio)} of {worst.flow} failed, at {clock(worst.at_ns)}"
        if worst and worst.errors_ratio >= _NOTABLE_ERRORS
        else ""
    )
    if not around.is_gone:
        return f"at baseline at the end, though the trigger ({around.text}) stays{at_worst}"
    if found.recovery_ns == 0:
        return f"at baseline when {_gone(around)}{at_worst}"
    return f"back to baseline {duration(found.recovery_ns)} after {_gone(around)}{at_worst}"


def _degraded(found: Verdict, run: Run, around: Trouble) -> str:
    if found.recovery_ns is not None and found.relapse_ns is not None:
        first = "at baseline at first" if found.recovery_ns == 0 else f"back after {duration(found.recovery_ns)}"
        return f"{first}, but left its baseline again at {clock(found.relapse_ns)}; trigger: {around.text}"
    if found.recovery_ns is not None:
        return f"back to baseline only {duration(found.recovery_ns)} after {_gone(around)}"
    left = f"{_still(found, run)} at {clock(run.lasts_ns)}"
    if not around.is_gone:
        return f"{left}: the trigger ({around.text}) stays to the end{_because(found, run, around)}"
    return f"{left}, {duration(run.lasts_ns - around.reference_ns)} after {_gone(around)}{_because(found, run, around)}"


def _metastable(found: Verdict, run: Run, around: Trouble) -> str:
    waited = duration(run.lasts_ns - around.reference_ns)
    return (
        f"{_still(found, run)} at {clock(run.lasts_ns)}, {waited} after {_gone(around)}{_because(found, run, around)}"
    )


def _undecided(found: Verdict, run: Run, around: Trouble) -> str:
    if not found.baseline:
        return (
            f"nothing to compare with: no whole bin lies between warm-up ({clock(run.warmup_ns)}) "
            f"and the first trigger ({clock(around.first_ns)})"
        )
    gone = "came" if run.lasts_ns <= around.first_ns else "could show its outcome"
    return f"the run ended at {clock(run.lasts_ns)}, before the trigger ({around.text}) {gone}"


def _gone(around: Trouble) -> str:
    return f"the trigger ({around.text}) was gone at {clock(around.reference_ns)}"


def _still(found: Verdict, run: Run) -> str:
    """What is wrong with the hardest-hit flow in the last window."""
    name, level = _hardest_hit(found.ending, found.baseline)
    before = found.baseline[name]
    if before.success_ratio - level.success_ratio > _NOTABLE_ERRORS:
        return f"{share(1 - level.success_ratio)} of {name} still fail"
    if level.goodput_ratio < 0.95 * before.goodput_ratio:
        return f"only {share(level.goodput_ratio)} of {name} are answered"
    return f"p95 of {name} is still {duration(max(0.0, level.p95_ns))} ({duration(max(0.0, before.p95_ns))} before)"


def _hardest_hit(levels: dict[str, Level], baseline: dict[str, Level]) -> tuple[str, Level]:
    """The flow that lost most of its goodput; among equals the one whose p95 grew most, then the busiest."""

    def loss(item: tuple[str, Level]) -> tuple[float, float, float]:
        name, level = item
        before = baseline[name]
        slower = level.p95_ns / max(1.0, before.p95_ns)
        return round(level.goodput_ratio / max(1e-9, before.goodput_ratio), 2), -round(slower, 1), -before.offered_per_s

    return min(((n, level) for n, level in levels.items()), key=loss)


def _because(found: Verdict, run: Run, around: Trouble) -> str:
    """What keeps it going: full resources, more calls than before, tries per request, fewer hits."""
    tail = bins_between(run, max(0, run.lasts_ns - _TAIL_NS), run.lasts_ns)
    before = bins_between(run, run.warmup_ns, around.first_ns)
    clauses = [*_full(found, run, tail, before), *_tries(run, tail), *_lost_hits(run, tail, before)]
    return f": {'; '.join(clauses)}" if clauses else ""


def _full(found: Verdict, run: Run, tail: range, before: range) -> list[str]:
    """The first saturated component that is still full."""
    for saturation in found.saturated:
        part = run.components[saturation.component]
        busy = {name: _mean(series, tail) for name, series in part.utilisation.items()}
        resource, ratio = max(busy.items(), key=lambda item: item[1], default=("", 0.0))
        if ratio >= FULL_RATIO:
            return [f"{saturation.component} {resource} {share(min(1.0, ratio))} busy{_more_calls(part, tail, before)}"]
    return []


def _more_calls(part: ComponentRun, tail: range, before: range) -> str:
    usual = _mean(part.calls, before)
    now = _mean(part.calls, tail) / usual if usual else 0.0
    return f" with {factor(now)} its usual calls" if now >= _NOTABLE_FACTOR else ""


def _tries(run: Run, tail: range) -> list[str]:
    """Client retries, of the flow that repeats most."""
    tries = max((_tries_of(flow, tail) for flow in run.flows.values()), default=0.0)
    return [f"clients try {tries:.1f} times per request"] if tries >= _NOTABLE_FACTOR else []


def _tries_of(flow: FlowRun, bins: range) -> float:
    offered = sum(flow.offered[number] for number in bins)
    return sum(flow.attempts[number] for number in bins) / offered if offered else 0.0


def _lost_hits(run: Run, tail: range, before: range) -> list[str]:
    clauses = []
    for name, part in run.components.items():
        usual, now = hit_ratio(part, before), hit_ratio(part, tail)
        if usual is not None and now is not None and usual - now >= _NOTABLE_HITS:
            clauses.append(f"{name} hits {share(now)} instead of {share(usual)}")
    return clauses


def _ran_out(found: Verdict) -> str:
    if not found.saturated:
        return ""
    first = found.saturated[0]
    return f"; {first.component} {first.resource} ran out at {clock(first.at_ns)}"


def _mean(series: tuple[int, ...] | tuple[float, ...], bins: range) -> float:
    return fmean(series[number] for number in bins) if bins and bins.stop <= len(series) else 0.0
