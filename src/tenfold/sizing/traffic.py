"""From users to visits: how often every flow starts and every component is asked.

Hit ratios follow from rates and rates from hit ratios (a cache behind a cache, a flow whose trigger is published on a
miss), so both are found together, by repeating until nothing moves; most designs need two rounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tenfold.design.demand import CONSUMES, Load, Visits
from tenfold.design.schema import Component, DataSet, Design, Flow, Range, Step
from tenfold.sizing import cache, interval
from tenfold.sizing.interval import ONE, ZERO
from tenfold.sizing.walk import Visit, Walk, all_steps, data_of, walk

_ROUNDS = 30  # of the search for hit ratios; a chain of caches needs one round each
_HOPS_MAX = 100  # publishes that cause publishes; a retry loop with share q has converged to q^100

Hits = Mapping[tuple[str, str], Range]
"""(cache, data set) -> hit ratio."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """A design under one load.

    flow_per_s: starts of every flow. walks: one start of each. visits: component -> visits with rates per s.
    hits: hit ratios expected; caches: the answer behind them.
    """

    flow_per_s: Mapping[str, Range]
    walks: Mapping[str, Walk]
    visits: Mapping[str, tuple[Visit, ...]]
    hits: Hits
    caches: Mapping[str, cache.CacheAnswer]


def solve(design: Design, factor: Range = ONE, lost: str = "") -> Traffic:
    """The traffic at `factor` times the average load.

    Args:
        design: what to size.
        factor: of the average rates; the peak factor for the peak.
        lost: a cache that answers nothing (after a restart), "" for none.
    """
    kept = kept_data(design)
    hits: Hits = {}
    for _ in range(_ROUNDS):
        traffic = _round(design, factor, hits, lost, kept)
        if _is_close(hits, traffic.hits):
            break
        hits = traffic.hits
    return traffic


def _round(design: Design, factor: Range, hits: Hits, lost: str, kept: Mapping[str, Mapping[str, DataSet]]) -> Traffic:
    """One round of the search: walk with these hit ratios, see which ones follow."""

    def hit_of(step: Step, component: Component) -> Range:
        if component.name == lost:
            return ZERO
        return step.hit_ratio or hits.get((component.name, data_of(step, component)), ZERO)

    walks = {name: walk(design, flow, hit_of) for name, flow in design.flows.items()}
    rates = _flow_rates(design, factor, walks)
    visits = _visits(design, rates, walks)
    users = design.requirements.users or ZERO
    caches = {
        name: cache.answer(tuple(v.visits for v in visits[name]), kept[name], users, component.spec)
        for name, component in design.components.items()
        if "get" in component.kind.VERBS and name != lost
    }
    found = {(name, data): hit for name, answer in caches.items() for data, hit in answer.hit_ratio.items()}
    return Traffic(rates, walks, visits, found, caches)


def _is_close(before: Hits, after: Hits) -> bool:
    """Whether no hit ratio moved by more than rounding."""
    ends = [(before.get(key, ZERO), hit) for key, hit in after.items()]
    return all(abs(a.low - b.low) + abs(a.likely - b.likely) + abs(a.high - b.high) < 1e-9 for a, b in ends)


def own_rate(design: Design, flow: Flow) -> Range:
    """Average starts per s of a flow that has a rate: users x rate / period."""
    if flow.rate is None:
        return ZERO
    per_s = interval.times(flow.rate.value, 1e9 / flow.rate.period_ns)
    return interval.times(design.requirements.users or ZERO, per_s) if flow.rate.is_per_user else per_s


def _flow_rates(design: Design, factor: Range, walks: Mapping[str, Walk]) -> dict[str, Range]:
    """Starts per s of every flow; a triggered flow starts as often as its log is published to."""
    rates = {name: interval.times(own_rate(design, flow), factor) for name, flow in design.flows.items()}
    for _ in range(_HOPS_MAX):
        after = {
            name: _published(flow.trigger, rates, walks) if flow.trigger else rates[name]
            for name, flow in design.flows.items()
        }
        if after == rates:
            break
        rates = after
    return rates


def _published(log: str, rates: Mapping[str, Range], walks: Mapping[str, Walk]) -> Range:
    """Messages per s put on a log by all flows."""
    return interval.add(
        *(
            interval.times(rates[name], visit.visits.rate_per_s)
            for name, walked in walks.items()
            for visit in walked.visits
            if visit.target == log and visit.visits.verb == "publish"
        )
    )


def _visits(design: Design, rates: Mapping[str, Range], walks: Mapping[str, Walk]) -> dict[str, tuple[Visit, ...]]:
    """Visits per component with rates per s, and what logs hand to the flows they trigger."""
    found: dict[str, list[Visit]] = {name: [] for name in design.components}
    for name, walked in walks.items():
        for visit in walked.visits:
            rate = interval.times(rates[name], visit.visits.rate_per_s)
            found[visit.target].append(replace(visit, visits=replace(visit.visits, rate_per_s=rate)))
        trigger = design.flows[name].trigger
        if trigger:
            found[trigger].append(_consumed(design.flows[name], rates[name], walked))
    return {name: tuple(visits) for name, visits in found.items()}


def _consumed(flow: Flow, rate: Range, walked: Walk) -> Visit:
    """The messages of a log in the hands of a flow it triggers."""
    visits = Visits(flow.name, CONSUMES, rate, ZERO, walked.elapsed_ns, ZERO, flow.path, flow.trigger)
    return Visit(flow.trigger, visits, ZERO, ZERO)


def load_of(design: Design, traffic: Traffic, component: str) -> Load:
    """What a component is asked to carry."""
    visits = tuple(visit.visits for visit in traffic.visits[component])
    return Load(visits, design.requirements, kept_data(design)[component])


def kept_data(design: Design) -> dict[str, dict[str, DataSet]]:
    """Which data sets every component keeps.

    A component keeps what it `holds` and what steps read from or write to it (`data`). A data set that is named nowhere
    stands in the only database, when there is exactly one component that takes an `insert`.
    """
    kept: dict[str, dict[str, DataSet]] = {name: {} for name in design.components}
    for name, data in _named(design):
        if data in design.requirements.data:
            kept[name][data] = design.requirements.data[data]
    homeless = design.requirements.data.keys() - {data for sets in kept.values() for data in sets}
    databases = [name for name, component in design.components.items() if "insert" in component.kind.VERBS]
    if len(databases) == 1:
        kept[databases[0]] |= {n: d for n, d in design.requirements.data.items() if n in homeless}
    return kept


def _named(design: Design) -> list[tuple[str, str]]:
    """(component, data set) as the design names them."""
    held = [(name, str(getattr(c.spec, "holds", ""))) for name, c in design.components.items()]
    steps = [step for flow in design.flows.values() for step in all_steps(flow.steps) if step.target]
    return held + [(step.target, data_of(step, design.components[step.target])) for step in steps]
