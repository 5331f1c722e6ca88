"""Somebody else's service: it answers after a while, may limit what is in flight, may fail."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenfold.design.demand import Demand, Excuse, Load, Need
from tenfold.design.schema import Component, Range, Step, Timing
from tenfold.fields import setting
from tenfold.program.program import BY_BALANCE
from tenfold.sizing import interval, little, words

if TYPE_CHECKING:
    from tenfold.program.build import Builder

NAME = "external"
VERBS = ("call",)
TIMING = "takes"


@dataclass(frozen=True, slots=True)
class Spec:
    """Settings of an external dependency."""

    takes_ns: int = setting(
        50_000_000, "Answer time of a call that does not state its own.", low=1, source="a public HTTPS API nearby"
    )
    in_flight: int = setting(
        1_000_000,
        "Calls it works on at once; more wait.",
        low=1,
        high=1_000_000_000,
        source="practically no limit, unless you know one",
    )
    latency_ns: int = setting(0, "Network round trip besides `takes`.", low=0, source="0: contained in `takes`")
    errors_ratio: float = setting(0.0, "Share of calls that fail on their own.", low=0.0, high=1.0, source="none")


def demand(component: Component, load: Load) -> Demand | Excuse:
    """Calls in flight at somebody else's, whose limit we cannot raise by adding nodes.

    Args:
        component: the dependency.
        load: its visits at peak.
    """
    spec: Spec = component.spec
    path = (*component.path, "in_flight")
    held = little.busy(load.visits)
    need = Need("in flight", held, "calls", little.product_text(load.visits, held), path)
    figures = little.demand_of(
        load,
        (need,),
        {"in_flight": interval.times(held, 1.0 / spec.in_flight)},
        1,
        lambda factor: little.nodes_beside(interval.times(held, factor), interval.ZERO, float(spec.in_flight)),
        tenfold_excuse="its limit of calls in flight is theirs to raise",
    )
    if not math.isinf(figures.nodes_now.likely):
        return figures
    used = figures.utilisation["in_flight"].likely
    reason = (
        f"{need.formula} = {words.plain(held.likely)} calls in flight at peak, {words.ratio(used)} "
        f"of the {words.plain(spec.in_flight)} it works on at once, before {little.headroom_text(load)}"
    )
    remedy = "call it less (cache, batch, queue behind a log) or have the limit raised"
    return Excuse(component.name, "calls in flight", reason, remedy, path, figures)


PRACTICALLY_UNLIMITED = 100_000
"""With more calls in flight than this, nobody waits."""


def lower(build: "Builder", component: Component) -> int:
    """One node that works on many calls at once. Answers the group's number."""
    spec: Spec = component.spec
    servers = 0 if spec.in_flight >= PRACTICALLY_UNLIMITED else spec.in_flight
    return build.group(component, 1, servers, resources=("in_flight", "slots"))


def visit(build: "Builder", component: Component, parts: int, step: Step, inside: Callable[[], None]) -> None:
    """It answers after a while, or with an error of its own."""
    spec: Spec = component.spec
    takes = step.takes or Timing("exponential", Range.exactly(float(spec.takes_ns)))

    def body() -> None:
        build.work(step, parts, build.timing(takes), BY_BALANCE, spec.latency_ns)
        build.sometimes_fail(step, spec.errors_ratio)

    build.arrow(component.name, body)
