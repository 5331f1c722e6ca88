"""The lines of caches: hit ratio, working set and memory, and what happens to the others when a cache is lost."""

import math

from tenfold.design.demand import CREATES, Demand, Excuse
from tenfold.design.schema import Component, Design, Range
from tenfold.sizing import cache, interval, little, words
from tenfold.sizing.answer import BYTES, PER_S, RATIO, CachePlan, Line, Stampede
from tenfold.sizing.places import where
from tenfold.sizing.traffic import Traffic, kept_data, load_of, solve
from tenfold.sizing.walk import all_steps


def cache_plans(design: Design, average: Traffic, peak: Traffic) -> tuple[CachePlan, ...]:
    """One plan per data set in a cache.

    Args:
        design: the whole.
        average, peak: the traffic at the average second and at the busiest.
    """
    plans: list[CachePlan] = []
    for name, answer in peak.caches.items():
        lost = _if_lost(design, peak, name) if answer.hit_ratio else ()
        plans += [_plan(design, average, peak, (name, data), lost) for data in answer.hit_ratio]
    return tuple(plans)


def _plan(
    design: Design, average: Traffic, peak: Traffic, key: tuple[str, str], lost: tuple[Stampede, ...]
) -> CachePlan:
    """The lines of one data set in one cache."""
    name, data = key
    component, answer = design.components[name], peak.caches[name]
    place = where(design.source, (*component.path, "ttl"), design.requirements.data[data].path)
    text, at_memory = _model_text(component, design, data), where(design.source, (*component.path, "memory"))
    renewed = little.rate(v.visits for v in peak.visits[name] if v.visits.data == data and v.visits.writes == CREATES)
    text += f", sets at {words.rate(renewed.likely)} renew it" if renewed.likely else ""
    text += "" if math.isinf(answer.window_s) else ", memory bound after Che"
    expected = Line("expected hit ratio", answer.hit_ratio[data], RATIO, text, place)
    declared = Range.exactly(cache.memory_of(component.spec))
    return CachePlan(
        name,
        data,
        _counted(design, peak, key, expected),
        Line("hit ratio, average", average.caches[name].hit_ratio[data], RATIO, "the same at the average load", place),
        expected,
        Line("with ample memory", answer.ample_hit_ratio[data], RATIO, "with the whole working set kept", place),
        Line(
            "by time to live alone", answer.plain_hit_ratio[data], RATIO, "ample memory, sets only after a miss", place
        ),
        Line("working set", answer.working_set_bytes, BYTES, "keys present under this TTL x item size", place),
        Line("memory", declared, BYTES, _memory_text(component, answer), at_memory),
        lost,
    )


def _model_text(component: Component, design: Design, data: str) -> str:
    """Which model, with its numbers."""
    ttl_s, popularity = cache.ttl_of(component.spec), design.requirements.data[data].popularity
    keys = words.count(cache.keys_of(design.requirements.data[data], design.requirements.users or interval.ZERO).likely)
    shape = f"Zipf {popularity.exponent:g}" if popularity.exponent else "uniform"
    ttl = "no TTL" if math.isinf(ttl_s) else f"T = {words.duration(ttl_s * 1e9)}"
    return f"sum of p rT/(1+rT) over {keys} keys {shape}, {ttl}"


def _memory_text(component: Component, answer: cache.CacheAnswer) -> str:
    """Nodes x memory, and what a memory smaller than the working set means."""
    spec = component.spec
    text = f"{getattr(spec, 'nodes', 1)} x {words.size(getattr(spec, 'memory_bytes', 0))}"
    if math.isinf(answer.window_s):
        return text
    return f"{text}, evicts what was not asked for within {words.duration(answer.window_s * 1e9)} (Che)"


def _counted(design: Design, peak: Traffic, key: tuple[str, str], expected: Line) -> Line:
    """The hit ratio the plan counts with: the reads' own, weighted, where the design states some."""
    reads = [v.visits for v in peak.visits[key[0]] if v.visits.verb == "get" and v.visits.data == key[1]]
    stated = {path: ratio for path, ratio in _stated(design).items() if path in {v.path for v in reads}}
    total = little.rate(reads)
    if not stated or not total.likely:
        return Line("hit ratio", expected.value, RATIO, expected.formula, expected.where)
    ratios = [(v.rate_per_s.likely / total.likely, stated.get(v.path, expected.value)) for v in reads]
    mean = interval.add(*(interval.times(ratio, share) for share, ratio in ratios))
    model = f"as stated; the model expects {words.ratio(expected.value.likely)}"
    return Line("hit ratio", mean, RATIO, model, where(design.source, *((*path, "hit_ratio") for path in stated)))


def _stated(design: Design) -> dict[tuple[str | int, ...], Range]:
    """Hit ratios stated by gets, by the path of the step."""
    steps = [step for flow in design.flows.values() for step in all_steps(flow.steps)]
    return {step.path: step.hit_ratio for step in steps if step.hit_ratio is not None}


def _if_lost(design: Design, peak: Traffic, cache_name: str) -> tuple[Stampede, ...]:
    """Components that get more to do when the cache has nothing, the worst first."""
    cold = solve(design, design.requirements.peak_factor, lost=cache_name)
    kept = kept_data(design)
    found = []
    for name, component in design.components.items():
        before, after = _rate(peak, name), _rate(cold, name)
        if name == cache_name or name not in kept or after.likely <= before.likely * (1.0 + 1e-6):
            continue
        found.append(_stampede(design, cold, component, cache_name))
    return tuple(sorted(found, key=lambda s: -s.overload.value.likely))


def _rate(traffic: Traffic, name: str) -> Range:
    return little.rate(v.visits for v in traffic.visits[name])


def _stampede(design: Design, cold: Traffic, component: Component, cache_name: str) -> Stampede:
    """Calls against what the component serves of this mix of calls."""
    answer = component.kind.demand(component, load_of(design, cold, component.name))
    demand = answer.figures if isinstance(answer, Excuse) else answer
    resource, used = little.bottleneck(demand) if isinstance(demand, Demand) else ("", interval.ZERO)
    calls = _rate(cold, component.name)
    serves = calls.likely / used.likely if used.likely else math.inf
    place = where(design.source, component.path)
    over = f"{words.rate(calls.likely)} / {words.rate(serves)}" if used.likely else ""
    return Stampede(
        component.name,
        resource,
        Line("calls", calls, PER_S, f"all reads of {cache_name} miss", place),
        Line("serves", Range.exactly(serves), PER_S, f"calls / {resource} utilisation", place),
        Line("overload", used, RATIO, over, place),
    )
