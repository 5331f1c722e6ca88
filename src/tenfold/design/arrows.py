"""Who calls whom: the arrows of a design, as its flows use them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from tenfold.design.schema import CLIENT, Flow, Path, Step

if TYPE_CHECKING:
    from tenfold.design.schema import Design

SCOPES = ("through", "run")


class Call(NamedTuple):
    """One step seen as an arrow."""

    caller: str
    callee: str
    flow: str
    path: Path  # of the step


def calls_of(design: "Design") -> tuple[Call, ...]:
    """Every call of every flow, in the order of the file.

    The caller is the innermost scope around a step: a `through` or `run`, or a step with steps of its own. Outside
    of any scope it is `client`, or in a flow with a trigger the log whose message starts it.
    """
    return calls_of_flows(design.flows)


def calls_of_flows(flows: Mapping[str, Flow]) -> tuple[Call, ...]:
    """The same for flows alone."""
    return tuple(call for flow in flows.values() for call in _calls(flow.steps, flow.trigger or CLIENT, flow.name))


def arrows_of(flows: Mapping[str, Flow]) -> tuple[tuple[str, str], ...]:
    """Every (caller, callee) once, in the order of the file."""
    return tuple(dict.fromkeys((call.caller, call.callee) for call in calls_of_flows(flows)))


def _calls(steps: Iterable[Step], caller: str, flow: str) -> Iterator[Call]:
    """The calls of a list of steps and all below."""
    for step in steps:
        if step.target:
            yield Call(caller, step.target, flow, step.path)
        inside = step.target if step.steps is not None and step.target else caller
        yield from _calls(step.steps or (), inside, flow)
        yield from _calls(step.on_miss, caller, flow)
        for branch in step.branches:
            yield from _calls(branch.steps, caller, flow)
        if step.verb in SCOPES and step.steps is None:
            caller = step.target  # the scope holds the steps after it
