"""A stateless service of ours: replicas with workers (held while a request waits downstream) and CPU cores."""

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

NAME = "service"
VERBS = ("run", "call")
TIMING = "cpu"


@dataclass(frozen=True, slots=True)
class Spec:
    """Settings of a service."""

    replicas: int = setting(1, "Instances.", low=1, high=100_000, source="one: say so when there are more")
    cores: int = setting(4, "CPU cores of each instance.", low=1, high=10_000, source="a common container size")
    workers: int = setting(
        64,
        "Requests one instance has in flight; held while a request waits downstream.",
        low=1,
        high=1_000_000_000,
        source="thread pools of 50-200 are usual (Tomcat ships 200, gunicorn threads 2-4 x cores)",
    )
    queue: int = setting(
        4096,
        "Requests that wait for a worker of one instance; more are refused.",
        low=0,
        high=1_000_000_000,
        source="Linux listen backlog net.core.somaxconn, 4096 since kernel 5.4",
    )
    discipline: int = setting(
        0,
        "Who is served next: first come, last come, or first come with expired requests dropped.",
        choices=("fifo", "lifo", "drop_expired"),
        source="sockets queue first come, first served",
    )
    balance: int = setting(
        0,
        "How callers choose among the instances.",
        choices=("round_robin", "random", "least_in_flight", "two_choices"),
        source="round robin: nginx, Envoy and Kubernetes' kube-proxy (IPVS) default",
    )
    latency_ns: int = setting(
        500_000,
        "Network round trip to reach the service from another of ours.",
        low=0,
        source="round trip within one data centre 0.5 ms (J. Dean, Numbers everyone should know)",
    )
    contention_factor: float = setting(
        0.0,
        "Extra service time per extra request in flight beyond the cores, as a share (0.01: 1 % each).",
        low=0.0,
        high=10.0,
        source="0: none assumed",
    )
    health_check_ns: int = setting(
        10_000_000_000,
        "A dead instance gets traffic for this long.",
        low=0,
        source="Kubernetes readiness probe: every 10 s by default",
    )


def demand(component: Component, load: Load) -> Demand:
    """Cores for the CPU time and workers for the requests in flight, spread evenly over the instances.

    A worker is held for its own CPU time and all it waits for downstream (Little's law: rate x time held).

    Args:
        component: the service.
        load: its visits at peak.
    """
    spec: Spec = component.spec
    busy, held = little.busy(load.visits), little.in_flight(load.visits)
    held_text = f"{little.product_text(load.visits, held)} held"
    needs = (
        Need("cores", busy, "cores", little.product_text(load.visits, busy), (*component.path, "cores")),
        Need("workers", held, "workers", held_text, (*component.path, "workers")),
    )
    resources = {"cpu": (busy, float(spec.cores)), "workers": (held, float(spec.workers))}
    return little.spread_demand(load, spec.replicas, resources, needs)


def lower(build: "Builder", component: Component) -> int:
    """Instances with workers that are held and cores that work. Answers the group's number."""
    spec: Spec = component.spec
    return build.group(
        component,
        spec.replicas,
        spec.cores,
        slots=spec.workers,
        queue=spec.queue,
        discipline=spec.discipline,
        balance=spec.balance,
        contention=spec.contention_factor,
        resources=("cpu", "workers"),
    )


def visit(build: "Builder", component: Component, parts: int, step: Step, inside: Callable[[], None]) -> None:
    """A worker of one instance, held for its CPU time and for all that happens inside."""
    spec: Spec = component.spec

    def work(register: int) -> None:
        if step.cpu is not None:
            build.work(step, parts, build.timing(step.cpu), BY_REGISTER, 0, register)
        build.scope(component, register, inside)

    def body() -> None:
        build.delay(spec.latency_ns)
        build.held(component, parts, BY_BALANCE, work)

    build.arrow(component.name, body)
