"""Reads `flows`: each an operation's path, started at a rate or once per message of a log."""

from collections.abc import Mapping

from tenfold.design.read import Reader, child, is_blank, lacks
from tenfold.design.schema import CLIENT, Component, Flow, Range, Rate, Requirements
from tenfold.design.steps import Boxes, read_steps
from tenfold.design.tree import Entry, Items, Map, Node
from tenfold.units import parse_rate, quoted

KEYS = ("rate", "trigger", "steps")

_EXAMPLE = "read: {rate: 50/user/day, steps: [{run: api, cpu: 1 ms}]}"


def read_flows(
    reader: Reader,
    node: Node | None,
    components: Mapping[str, Component],
    declared: set[str],
    requirements: Requirements,
) -> dict[str, Flow]:
    """The section `flows`.

    Args:
        reader: notes what is wrong.
        node: the section.
        components: those that could be read. declared: all names the file gives.
        requirements: for data sets, and users behind rates per user.
    """
    boxes = Boxes(components, frozenset(declared | {CLIENT}), requirements.data)
    found = {}
    for name, entry in reader.entries(node, "flows", f"flows: {{{_EXAMPLE}}}").items():
        if reader.name(entry.key, "flow"):
            found[name] = _read_flow(reader, name, entry, boxes)
            _check_users(reader, found[name], entry, requirements)
    reader.has_lost_steps |= isinstance(node, Map) and len(found) < len(node.entries)
    return found


def _read_flow(reader: Reader, name: str, entry: Entry, boxes: Boxes) -> Flow:
    """One flow."""
    entries = reader.entries(entry.value, name, _EXAMPLE)
    if isinstance(entry.value, Map):
        reader.refuse_unknown(entries, KEYS, f"flow {name}")
        _check_start(reader, name, entry, entries)
    nodes = reader.nodes(child(entries, "steps"), f"steps of {name}", "a list: - run: api")
    if lacks(entries, "steps", KEYS) or ("steps" in entries and _is_empty(entries["steps"].value)):
        reader.complain(entry.key, f"flow {name} has no steps", "write steps: with a list of calls: - run: api")
    return Flow(
        name=name,
        steps=read_steps(reader, nodes, boxes),
        rate=reader.value(child(entries, "rate"), f"rate of {name}", _rate, None),
        trigger=_read_trigger(reader, name, child(entries, "trigger"), boxes),
        path=entry.value.path,
    )


def _is_empty(node: Node) -> bool:
    """Whether a list of steps says nothing."""
    return is_blank(node) or (isinstance(node, Items) and not node.nodes)


def _rate(text: str) -> Rate | None:
    """A flow's rate."""
    value, period_ns, is_per_user = parse_rate(text)
    return Rate(Range(*value), period_ns, is_per_user)


def _check_start(reader: Reader, name: str, entry: Entry, entries: Mapping[str, Entry]) -> None:
    """A flow starts in one way."""
    if "rate" in entries and "trigger" in entries:
        remedy = "keep one: rate for what clients send, trigger for what follows a message"
        reader.complain(entries["trigger"].key, f"flow {name} has both a rate and a trigger", remedy)
    elif lacks(entries, "rate", KEYS) and lacks(entries, "trigger", KEYS):
        remedy = "write rate: 50/user/day, or trigger: with the log whose messages start it"
        reader.complain(entry.key, f"flow {name} does not say how often it starts", remedy)


def _read_trigger(reader: Reader, name: str, node: Node | None, boxes: Boxes) -> str:
    """The log whose messages start a flow."""
    trigger = reader.text(node, f"trigger of {name}")
    if node is None or not trigger:
        return ""
    message = f"flow {name}: unknown trigger {quoted(trigger)}"
    logs = [box for box, component in boxes.components.items() if "publish" in component.kind.VERBS]
    if trigger in boxes.components and trigger not in logs:
        kind = boxes.components[trigger].kind.NAME
        message = f"flow {name}: {trigger} is a {kind}, nothing can be published to it"
        reader.complain(node, message, "a trigger is a component of kind log")
        return ""
    is_known = trigger in boxes.declared or reader.known(node, trigger, logs, message, "logs")
    return trigger if is_known and trigger in boxes.components else ""


def _check_users(reader: Reader, flow: Flow, entry: Entry, requirements: Requirements) -> None:
    """A rate per user needs users."""
    if flow.rate and flow.rate.is_per_user and requirements.users is None and isinstance(entry.value, Map):
        message = f"flow {flow.name} has a rate per user, and nobody knows how many users there are"
        reader.complain(entry.value.entries["rate"].value, message, "write requirements: {users: 1M}")
