"""Expectations and SLOs against what was measured after warm-up."""

import operator
from collections.abc import Callable

from tenfold.design.schema import Expectation, Scenario, Slo
from tenfold.results.run import NO_SAMPLE, ComponentRun, FlowRun, Run
from tenfold.verdict.levels import bin_count, failures
from tenfold.verdict.verdict import Check
from tenfold.verdict.words import duration, share

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PERCENTILES = {50.0: "p50_ns", 95.0: "p95_ns", 99.0: "p99_ns", 99.9: "p999_ns"}


def expectation_checks(scenario: Scenario, run: Run, recovers: Callable[[Expectation], Check]) -> tuple[Check, ...]:
    """One check per line of `expect`; those about recovery are answered by `recovers`."""
    return tuple(recovers(e) if e.kind == "recovers" else _metric_check(e, run) for e in scenario.expect)


def slo_checks(slos: tuple[Slo, ...], run: Run) -> tuple[Check, ...]:
    """One check per promised percentile and availability, over the run after warm-up."""
    return tuple(check for slo in slos for check in _slo_checks(slo, run))


def _metric_check(expectation: Expectation, run: Run) -> Check:
    measured, unit = metric(run, expectation.subject, expectation.metric)
    return _check("expect", expectation.text, measured, expectation.comparison, expectation.limit, unit)


def _slo_checks(slo: Slo, run: Run) -> list[Check]:
    checks = []
    for percentile, limit_ns in slo.latency_ns.items():
        name = f"p{percentile:g}"
        measured, unit = metric(run, slo.flow, name)
        checks.append(_check("slo", f"{slo.flow}.{name} <= {duration(limit_ns)}", measured, "<=", limit_ns, unit))
    if slo.availability_ratio is not None:
        text = f"{slo.flow}.availability >= {share(slo.availability_ratio)}"
        measured, unit = metric(run, slo.flow, "availability")
        checks.append(_check("slo", text, measured, ">=", slo.availability_ratio, unit))
    return checks


def _check(kind: str, text: str, measured: float | None, comparison: str, limit: float, unit: str) -> Check:
    if measured is None:
        return Check(kind, text, None, None, limit, unit, "nothing was measured")
    return Check(kind, text, _COMPARISONS[comparison](measured, limit), measured, limit, unit)


def metric(run: Run, subject: str, name: str) -> tuple[float | None, str]:
    """A flow's or a component's figure after warm-up, and its unit; None when nothing was measured.

    Flows: p50 p95 p99 p99.9 mean (of successes), errors and availability (of requests that ended), goodput (per s).
    Components: utilisation (of the busiest resource), calls (per s) and queue at their highest; hit_ratio over all.
    """
    bins = range(min(run.warmup_ns // run.bin_ns, bin_count(run)), bin_count(run))
    if subject in run.flows:
        return _flow_metric(run.flows[subject], name, bins, run.bin_ns)
    if subject in run.components:
        return _component_metric(run.components[subject], name, bins, run.bin_ns)
    return None, ""


def _flow_metric(flow: FlowRun, name: str, bins: range, bin_ns: int) -> tuple[float | None, str]:
    if name.startswith("p") or name == "mean":
        return _latency(flow, name), "ns"
    good = sum(flow.good[number] for number in bins)
    if name == "goodput":
        return (good / len(bins) / bin_ns * 1e9 if bins else None), "per_s"
    ended = good + sum(failures(flow, number) for number in bins)
    if not ended:
        return None, "ratio"
    return (good / ended if name == "availability" else 1 - good / ended), "ratio"


def _latency(flow: FlowRun, name: str) -> float | None:
    if flow.latency.count == 0:
        return None
    if name == "mean":
        return flow.latency.mean_ns
    column = _PERCENTILES.get(float(name[1:]))
    value = NO_SAMPLE if column is None else getattr(flow.latency, column)
    return None if value == NO_SAMPLE else float(value)


def _component_metric(part: ComponentRun, name: str, bins: range, bin_ns: int) -> tuple[float | None, str]:
    if not bins:
        return None, ""
    if name == "hit_ratio":
        return hit_ratio(part, bins), "ratio"
    if name == "calls":
        return max(part.calls[number] for number in bins) / bin_ns * 1e9, "per_s"
    if name == "queue":
        return max(part.queue[number] for number in bins), ""
    busy = [series[number] for series in part.utilisation.values() for number in bins]
    return (max(busy) if busy else None), "ratio"


def hit_ratio(part: ComponentRun, bins: range) -> float | None:
    """Lookups served from the cache; None for what is no cache, or was not asked."""
    if not part.hits:
        return None
    hits = sum(part.hits[number] for number in bins)
    asked = hits + sum(part.misses[number] for number in bins)
    return hits / asked if asked else None
