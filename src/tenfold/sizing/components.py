"""The lines of components: traffic, bandwidth, what the kind needs, what is used of what the design declares."""

import math
from dataclasses import replace

from tenfold.design.demand import CONSUMES, STANDING, Demand, Excuse, Need
from tenfold.design.schema import Component, Design, Range
from tenfold.sizing import bandwidth, interval, little, words
from tenfold.sizing.answer import NODES, PER_S, RATIO, ComponentPlan, Line, Saturation
from tenfold.sizing.flows import peak_lines
from tenfold.sizing.places import where
from tenfold.sizing.traffic import Traffic, load_of
from tenfold.sizing.walk import READS, WRITES, Visit

_DESCRIBED_MAX = 3  # steps named in the formula of a component's rate; the rest are counted


def component_plan(design: Design, component: Component, average: Traffic, peak: Traffic) -> ComponentPlan:
    """A component's lines.

    Args:
        design: the whole.
        component: one box of it.
        average, peak: the traffic at the average second and at the busiest.
    """
    answer = component.kind.demand(component, load_of(design, peak, component.name))
    excuse = answer if isinstance(answer, Excuse) else None
    demand = answer.figures if isinstance(answer, Excuse) else answer
    asked = _asked(average, component.name)
    mean = little.rate(v.visits for v in asked)
    place = where(design.source, *(v.visits.path for v in asked))
    bytes_in, bytes_out = bandwidth.lines_of(design, peak, component.name)
    return ComponentPlan(
        component.name,
        component.kind.NAME,
        Line("average", mean, PER_S, _sum_text(asked), place),
        *_peak_lines(design, mean, _asked(peak, component.name)),
        _split(design, component, peak, "reads", READS),
        _split(design, component, peak, "writes", WRITES),
        bytes_in,
        bytes_out,
        tuple(Line(n.name, n.value, n.unit, n.formula, where(design.source, n.path)) for n in _needs(demand)),
        _utilisation(design, component, demand),
        demand.nodes_declared if demand else 0,
        *_nodes(design, component, demand),
        demand,
        excuse,
        where(design.source, component.path),
    )


def _peak_lines(design: Design, average: Range, visits: list[Visit]) -> tuple[Line, Line]:
    """Peak and headroom; what a cache lets through does not simply double when its traffic does."""
    peak = little.rate(v.visits for v in visits)
    line, spare = peak_lines(design, average, peak)
    if math.isclose(peak.likely, average.likely * design.requirements.peak_factor.likely, rel_tol=1e-3):
        return line, spare
    place = where(design.source, *(v.visits.path for v in visits))
    return replace(line, formula=_sum_text(visits), where=place), spare


def _asked(traffic: Traffic, component: str) -> list[Visit]:
    """Visits that callers make (a log's handing out is its own affair)."""
    return [v for v in traffic.visits[component] if v.visits.verb != CONSUMES]


def _sum_text(visits: list[Visit]) -> str:
    """`read_timeline get 57,870.37 /s + deliver set 86,805.56 /s`."""
    mine = sorted(visits, key=lambda v: -v.visits.rate_per_s.likely)
    texts = [f"{v.visits.flow} {v.visits.verb} {words.rate(v.visits.rate_per_s.likely)}" for v in mine[:_DESCRIBED_MAX]]
    more = len(mine) - _DESCRIBED_MAX
    return " + ".join(texts) + (f" + {more} more" if more > 0 else "")


def _split(design: Design, component: Component, peak: Traffic, name: str, verbs: tuple[str, ...]) -> Line | None:
    """Reads or writes of a store at peak; None for what reads and writes nothing."""
    if "call" in component.kind.VERBS or not set(component.kind.VERBS) & set(verbs):
        return None
    mine = [v for v in _asked(peak, component.name) if v.visits.verb in verbs]
    place = where(design.source, *(v.visits.path for v in mine))
    return Line(name, little.rate(v.visits for v in mine), PER_S, _sum_text(mine), place)


def _needs(demand: Demand | None) -> tuple[Need, ...]:
    return demand.needs if demand else ()


def _utilisation(design: Design, component: Component, demand: Demand | None) -> tuple[Line, ...]:
    """Share of what the design declares, the fullest first."""
    if demand is None:
        return ()
    used = sorted(demand.utilisation.items(), key=lambda item: -item[1].likely)
    place = where(design.source, component.path)
    return tuple(Line(name, share, RATIO, _left_text(name, share), place) for name, share in used)


def _left_text(name: str, used: Range) -> str:
    """What is left, and how far that goes."""
    if name in STANDING:
        return "full" if used.likely >= 1.0 else f"{words.ratio(1.0 - used.likely)} left"
    if used.likely <= 0.0:
        return "not used"
    left = "none left" if used.likely >= 1.0 else f"{words.ratio(1.0 - used.likely)} left"
    return f"{left}, all used at {words.factor(1.0 / used.likely)}x the peak"


def _nodes(design: Design, component: Component, demand: Demand | None) -> tuple[Line, Line]:
    """Nodes for peak + headroom, now and at ten times everything."""
    now, tenfold = (demand.nodes_now, demand.nodes_tenfold) if demand else (interval.ONE, interval.ONE)
    spare = words.ratio(design.requirements.headroom_ratio)
    place = where(design.source, component.path)
    declared = f"declared {demand.nodes_declared}" if demand else ""
    why = demand.tenfold_excuse if demand and math.isinf(tenfold.likely) else "ten times the traffic and the data"
    return (
        Line("nodes needed", now, NODES, f"peak x (1 + {spare}); {declared}", place),
        Line("nodes at 10x", tenfold, NODES, why, place),
    )


def saturation(components: dict[str, ComponentPlan]) -> tuple[Saturation, ...]:
    """The fullest resource of every component as a multiple of the peak, first to saturate first.

    Hit ratios and times are those at peak: a cache hits more under more load, a queue holds workers longer.
    """
    found = []
    for plan in components.values():
        resource, used = little.bottleneck(plan.demand) if plan.demand else ("", interval.ZERO)
        if used.likely > 0.0:
            found.append(Saturation(plan.name, resource, interval.over(interval.ONE, used)))
    return tuple(sorted(found, key=lambda s: (s.at_multiple.likely, s.component)))
