"""What must fit together across sections: arrows that flows use, triggers that are published to, loops that end."""

from collections.abc import Mapping

from tenfold.design.arrows import SCOPES, arrows_of, calls_of_flows
from tenfold.design.mistakes import Spot, did_you_mean
from tenfold.design.read import Reader
from tenfold.design.schema import Arrow, Flow, Scenario, Step

HOPS = 300
LEFT_OVER = 0.05
"""A loop is refused when of one message more than this goes on after `HOPS` turns: about 99 % and more per turn."""

_TOO_MANY = 1e6

SCOPES_MAX = 50
"""`through`, `run` and blocks inside each other: nobody follows a longer chain, and recursion has to end."""


def check_flows(reader: Reader, flows: Mapping[str, Flow]) -> None:
    """Somebody must start something, every trigger must be published to, and loops must end."""
    if flows and all(flow.trigger for flow in flows.values()):
        first = next(iter(flows.values()))
        message = "no flow starts at a client: every one waits for a message"
        reader.complain(reader.spot((*first.path, "trigger")), message, "write a flow with a rate: 50/user/day")
        return
    _check_triggers(reader, flows)
    _check_loops(reader, flows)
    _check_depth(reader, flows)


def _check_triggers(reader: Reader, flows: Mapping[str, Flow]) -> None:
    """What is consumed is published."""
    if reader.has_lost_steps:
        return
    published = {call.callee for call in calls_of_flows(flows)}
    for flow in flows.values():
        if flow.trigger and flow.trigger not in published:
            message = f"flow {flow.name} never starts: nothing publishes to {flow.trigger}"
            reader.complain(reader.spot((*flow.path, "trigger")), message, f"add - publish: {flow.trigger} to a flow")


def _check_depth(reader: Reader, flows: Mapping[str, Flow]) -> None:
    """Calls inside calls have an end."""
    for flow in flows.values():
        if step := _too_deep(flow.steps, 0):
            message = f"flow {flow.name}: more than {SCOPES_MAX} calls inside each other end here"
            remedy = "list the steps of a run under it (steps: [...]), so that what follows is not inside"
            reader.complain(reader.spot(step.path), message, remedy)


def _too_deep(steps: tuple[Step, ...], depth: int) -> Step | None:
    """The first step that stands inside more than `SCOPES_MAX` scopes and blocks."""
    for step in steps:
        for inner in (step.on_miss, step.steps or (), *(branch.steps for branch in step.branches)):
            if found := _too_deep(inner, depth + 1):
                return found
        depth += step.verb in SCOPES and step.steps is None
        if depth > SCOPES_MAX:
            return step
    return None


def check_arrows(reader: Reader, flows: Mapping[str, Flow], policies: Mapping[tuple[str, str], Arrow]) -> None:
    """Every arrow with policies is used by a flow."""
    for ends, arrow in policies.items():
        _check_arrow(reader, flows, ends, reader.key_spots.get(arrow.path) or reader.spot(arrow.path), "policies")


def check_faults(reader: Reader, flows: Mapping[str, Flow], scenarios: Mapping[str, Scenario]) -> None:
    """Every arrow that a fault strikes is used by a flow."""
    for scenario in scenarios.values():
        for fault in scenario.faults:
            if fault.arrow:
                _check_arrow(reader, flows, fault.arrow, reader.spot((*fault.path, fault.verb)), "this fault")


def _check_arrow(reader: Reader, flows: Mapping[str, Flow], ends: tuple[str, str], spot: Spot, what: str) -> None:
    """Note an arrow that no flow uses, with those there are."""
    used = arrows_of(flows)
    if ends in used or reader.mistakes.is_full or reader.has_lost_steps:
        return
    names = [f"{caller} -> {callee}" for caller, callee in used]
    near = [f"{caller} -> {callee}" for caller, callee in used if callee == ends[1]]
    name = f"{ends[0]} -> {ends[1]}"
    if near:
        remedy = f"{ends[1]} is called by {' and '.join(arrow.split(' -> ')[0] for arrow in near)}: write {near[0]}"
    else:
        remedy = did_you_mean(name, names) or f"{ends[1]} is called by nobody; there are {', '.join(names[:12])}"
    reader.mistakes.add(spot, f"no flow goes along {name}: {what} would do nothing", remedy)


def _check_loops(reader: Reader, flows: Mapping[str, Flow]) -> None:
    """Messages that make messages must die out."""
    gains: dict[str, dict[str, float]] = {}
    for flow in flows.values():
        if flow.trigger:
            made = gains.setdefault(flow.trigger, {})
            for log, count in published_by(flow.steps).items():
                made[log] = made.get(log, 0.0) + count
    for flow in flows.values():
        if flow.trigger in gains and _is_endless(gains, flow.trigger):
            loop = " -> ".join(_loop(gains, flow.trigger))
            message = f"messages of {flow.trigger} make messages of {flow.trigger} without end: {loop}"
            remedy = "publish less than one message per message (choose), or to another log"
            reader.complain(reader.spot((*flow.path, "trigger")), message, remedy)
            return


def published_by(steps: tuple[Step, ...], times: float = 1.0) -> dict[str, float]:
    """Log -> messages one pass through the steps publishes to it, on average; an unstated hit ratio counts as 0."""
    made: dict[str, float] = {}
    for step in steps:
        often = times * step.times.likely
        miss = 1.0 - step.hit_ratio.likely if step.hit_ratio else 1.0
        parts = [published_by(step.steps or (), often), published_by(step.on_miss, often * miss)]
        parts += [published_by(branch.steps, often * branch.weight) for branch in step.branches]
        if step.verb == "publish":
            parts.append({step.target: often})
        for part in parts:
            for log, count in part.items():
                made[log] = made.get(log, 0.0) + count
    return made


def _is_endless(gains: Mapping[str, Mapping[str, float]], start: str) -> bool:
    """Whether one message of `start` leads back to `start` and its descendants do not die out."""
    if not _loop(gains, start):
        return False
    messages = {start: 1.0}
    for _ in range(HOPS):
        after: dict[str, float] = {}
        for log, count in messages.items():
            for made, gain in gains.get(log, {}).items():
                after[made] = after.get(made, 0.0) + count * gain
        messages = after
        if sum(messages.values()) > _TOO_MANY:
            return True
    return sum(messages.values()) > LEFT_OVER


def _loop(gains: Mapping[str, Mapping[str, float]], start: str) -> list[str]:
    """The shortest way from a log back to itself; empty when there is none."""
    ways = {start: [start]}
    pending = [start]
    for log in pending:
        for made, gain in gains.get(log, {}).items():
            if made == start and gain > 0:
                return [*ways[log], start]
            if made not in ways and gain > 0:
                ways[made] = [*ways[log], made]
                pending.append(made)
    return []
