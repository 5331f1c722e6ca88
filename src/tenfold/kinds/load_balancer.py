"""A proxy in front of replicas: nginx, HAProxy, Envoy, or a cloud balancer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenfold.design.demand import Demand, Load, Need
from tenfold.design.schema import Component, Step
from tenfold.fields import setting
from tenfold.program.program import BY_BALANCE, BY_REGISTER
from tenfold.sizing import little

if TYPE_CHECKING:
    from tenfold.program.build import Builder

NAME = "load_balancer"
VERBS = ("through",)
TIMING = "cpu"


@dataclass(frozen=True, slots=True)
class Spec:
    """Settings of a load balancer."""

    replicas: int = setting(1, "Independent instances.", low=1, high=100_000, source="one: say so when there are more")
    cores: int = setting(4, "CPU cores of each instance.", low=1, high=10_000, source="a common small proxy machine")
    cpu_ns: int = setting(
        10_000,
        "CPU one proxied request costs.",
        low=1,
        source="nginx reverse proxy, about 10 us of CPU per small request (64 k requests/s on one core, measured)",
    )
    connections: int = setting(
        250_000,
        "Requests one instance has in flight, waiting for what stands behind it; more are refused.",
        low=1,
        high=1_000_000_000,
        source="HAProxy's manual counts about 32 KB for each: 8 GB of memory",
    )
    latency_ns: int = setting(
        200_000,
        "Network round trip from the balancer to what stands behind it.",
        low=0,
        source="same-zone round trip 0.1-0.3 ms (public cloud providers' own figures)",
    )


def demand(component: Component, load: Load) -> Demand:
    """Cores for the requests proxied and connections for those in flight, spread evenly over the instances.

    Args:
        component: the balancer.
        load: its visits at peak.
    """
    spec: Spec = component.spec
    busy, held = little.busy(load.visits), little.in_flight(load.visits)
    held_text = f"{little.product_text(load.visits, held)} held"
    needs = (
        Need("cores", busy, "cores", little.product_text(load.visits, busy), (*component.path, "replicas")),
        Need("connections", held, "connections", held_text, (*component.path, "connections")),
    )
    resources = {"cpu": (busy, float(spec.cores)), "connections": (held, float(spec.connections))}
    return little.spread_demand(load, spec.replicas, resources, needs)


def lower(build: "Builder", component: Component) -> int:
    """Its instances: connections that are held and cores that work. Answers the group's number."""
    spec: Spec = component.spec
    return build.group(
        component, spec.replicas, spec.cores, slots=spec.connections, queue=0, resources=("cpu", "connections")
    )


def visit(build: "Builder", component: Component, parts: int, step: Step, inside: Callable[[], None]) -> None:
    """A connection, held while a little CPU, the network and what stands behind take their time."""
    spec: Spec = component.spec

    def work(register: int) -> None:
        build.work(step, parts, build.timing(step.cpu or spec.cpu_ns), BY_REGISTER, spec.latency_ns, register)
        build.scope(component, register, inside)

    def body() -> None:
        build.held(component, parts, BY_BALANCE, work)

    build.arrow(component.name, body)
