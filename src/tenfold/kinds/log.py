"""A queue with consumers: Kafka, NATS JetStream, a queue service. Each message starts the flow it triggers once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenfold.design.demand import CONSUMES, Demand, Excuse, Load, Need
from tenfold.design.schema import Component, Range, Step
from tenfold.fields import setting
from tenfold.program.program import BY_BALANCE
from tenfold.sizing import interval, little, words

if TYPE_CHECKING:
    from tenfold.program.build import Builder

NAME = "log"
VERBS = ("publish",)
TIMING = "takes"


@dataclass(frozen=True, slots=True)
class Spec:
    """Settings of a log."""

    nodes: int = setting(3, "Brokers.", low=1, high=100_000, source="three copies need three brokers")
    partitions: int = setting(
        12, "Parts of the log; order holds within one.", low=1, high=1_000_000, source="a common starting point"
    )
    in_flight: int = setting(
        1,
        "Messages of one partition being worked on at once; 1 keeps the order.",
        low=1,
        high=1_000_000,
        source="one consumer per partition, one message at a time (Kafka)",
    )
    max_length: int = setting(1_000_000, "Messages it keeps waiting; more are refused.", low=1, source="a bound")
    takes_ns: int = setting(
        20_000,
        "Time a broker needs for one message.",
        low=1,
        source="50 k small messages/s per broker with copies, on the safe side of published figures",
    )
    latency_ns: int = setting(
        2_000_000,
        "Time until a publish is acknowledged, besides the broker's own.",
        low=0,
        source="acks=all within one data centre: about 2 ms",
    )


def demand(component: Component, load: Load) -> Demand | Excuse:
    """Brokers for the messages published; partitions for the messages being worked on.

    A partition hands out `in_flight` messages at once, so partitions x in_flight bounds the consumers whatever their
    number: messages per s x time of the triggered flow (Little's law) has to fit.

    Args:
        component: the log.
        load: its publishes at peak, and one CONSUMES visit per flow it triggers.
    """
    spec: Spec = component.spec
    published = [v for v in load.visits if v.verb != CONSUMES]
    consumed = [v for v in load.visits if v.verb == CONSUMES]
    busy, held = little.busy(published), little.in_flight(consumed)
    offered = float(spec.partitions * spec.in_flight)
    needs = (
        Need("brokers", busy, "brokers", little.product_text(published, busy), (*component.path, "nodes")),
        Need("in flight", held, "messages", little.product_text(consumed, held), (*component.path, "partitions")),
    )
    figures = little.demand_of(
        load,
        needs,
        {"broker": interval.times(busy, 1.0 / spec.nodes), "partitions": interval.times(held, 1.0 / offered)},
        spec.nodes,
        lambda factor: _nodes(busy, held, offered, factor),
        tenfold_excuse="more brokers do not add partitions",
    )
    return _excuse(component, load, figures, offered) if math.isinf(figures.nodes_now.likely) else figures


def _nodes(busy: Range, held: Range, offered: float, factor: float) -> Range:
    """Brokers needed, infinite when the partitions cannot hand out messages fast enough."""
    partitions = little.nodes_beside(interval.times(held, factor), interval.ZERO, offered)
    return interval.largest((little.nodes_for(interval.times(busy, factor), 1.0), partitions))


def _excuse(component: Component, load: Load, figures: Demand, offered: float) -> Excuse:
    """Too few messages may be worked on at once."""
    spec: Spec = component.spec
    need = figures.needs[1]
    enough = interval.ceiling(need.value.likely * little.peak_and_headroom(load) / spec.in_flight)
    allowed = f"{words.plain(spec.partitions)} partitions x {words.plain(spec.in_flight)} in flight"
    reason = (
        f"{need.formula} = {words.plain(need.value.likely)} messages worked on at once x {little.headroom_text(load)}, "
        f"where {allowed} allow {words.plain(offered)}"
    )
    remedy = f"partitions: {enough:.0f}, more in_flight where order does not matter, or a shorter triggered flow"
    return Excuse(component.name, "partitions x in_flight", reason, remedy, need.path, figures)


def lower(build: "Builder", component: Component) -> int:
    """Brokers that take messages. Answers the group's number."""
    spec: Spec = component.spec
    return build.group(component, spec.nodes, 1, resources=("broker", "slots"))


def visit(build: "Builder", component: Component, parts: int, step: Step, inside: Callable[[], None]) -> None:
    """A broker takes the message and acknowledges it: the caller goes on, consumers do the rest."""
    spec: Spec = component.spec

    def body() -> None:
        build.work(step, parts, build.timing(step.takes or spec.takes_ns), BY_BALANCE, spec.latency_ns)
        build.publish(component)

    build.arrow(component.name, body)
