"""Whoever sends the requests: browsers, phones, other companies' servers. Reserved name `client`, always there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenfold.design.demand import Demand, Load
from tenfold.design.schema import Component, Step
from tenfold.fields import setting
from tenfold.sizing.interval import ONE

if TYPE_CHECKING:
    from tenfold.program.build import Builder

NAME = "client"
VERBS: tuple[str, ...] = ()
TIMING = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """Settings of the clients as a crowd."""

    latency_ns: int = setting(
        0,
        "Round trip between a client and the first component; added to every request.",
        low=0,
        source="0: server-side latency, what an SLO usually promises",
    )


def demand(component: Component, load: Load) -> Demand:
    """Nothing: the crowd brings its own machines.

    Args:
        component: the clients.
        load: what is asked of them, which is nothing.
    """
    del component, load
    return Demand((), {}, 1, ONE, ONE)


def lower(build: "Builder", component: Component) -> None:
    """Clients have no nodes: they wait for nothing but answers."""


def visit(build: "Builder", component: Component, parts: None, step: Step, inside: Callable[[], None]) -> None:
    """Nobody calls a client."""
    raise AssertionError("the loader lets no step name the client")
