"""Reads the steps of a flow: one verb each, towards one component, or a block of branches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenfold.design.read import Reader, child, lacks
from tenfold.design.schema import CLIENT, Branch, Component, DataSet, Range, Step
from tenfold.design.timing import read_timing
from tenfold.design.tree import Entry, Items, Map, Node
from tenfold.units import UnitError, parse_count, parse_ratio, parse_size, quoted

SCOPES = ("through", "run")
VERBS = ("through", "run", "get", "set", "query", "insert", "call", "publish")
BLOCKS = ("parallel", "choose")
KEYS = ("cpu", "takes", "times", "hit_ratio", "size", "errors", "only_present", "data", "on_miss", "steps")

ONLY_UNDER: Mapping[str, tuple[str, ...]] = {
    "hit_ratio": ("get",),
    "on_miss": ("get",),
    "only_present": ("set",),
    "data": ("get", "set", "query", "insert", "publish"),
    "steps": ("through", "run", "call"),
}
"""Keys of a step that only some verbs have."""

TIMES_MAX = 1_000_000
_ONE = Range.exactly(1.0)
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Boxes:
    """What steps may name. declared: also the components that could not be read, which are not unknown."""

    components: Mapping[str, Component]
    declared: frozenset[str]
    data: Mapping[str, DataSet]


def read_steps(reader: Reader, nodes: list[Node], boxes: Boxes) -> tuple[Step, ...]:
    """A list of steps; those that cannot be read are left out."""
    steps = [_read_step(reader, node, boxes) for node in nodes]
    return tuple(step for step in steps if step is not None)


def _read_step(reader: Reader, node: Node, boxes: Boxes) -> Step | None:
    """One step."""
    if not isinstance(node, Map):
        reader.complain(node, "a step is a verb and a component", "write - run: api")
        reader.has_lost_steps = True
        return None
    entries = node.entries
    verbs = [key for key in entries if key in VERBS or key in BLOCKS]
    reader.refuse_unknown(entries, (*VERBS, *BLOCKS, *KEYS), "a step")
    if len(verbs) > 1:
        message = f"a step has one verb, this one has {' and '.join(verbs)}"
        reader.complain(entries[verbs[1]].key, message, "write them as two steps, each with its own -")
    if not verbs:
        reader.has_lost_steps = True
        if all(key in KEYS for key in entries):
            reader.complain(node, "this step has no verb", f"write one of {', '.join((*VERBS, *BLOCKS))}")
        return None
    verb = verbs[0]
    return _read_block(reader, node, verb, boxes) if verb in BLOCKS else _read_visit(reader, node, verb, boxes)


def _read_visit(reader: Reader, node: Map, verb: str, boxes: Boxes) -> Step | None:
    """A step towards a component."""
    entries = node.entries
    target = reader.text(entries[verb].value, verb)
    what = f"{verb} {target}"
    component = _read_target(reader, entries[verb].value, verb, target, boxes)
    _check_keys(reader, entries, verb, component)
    step = Step(
        verb=verb,
        target=target,
        cpu=read_timing(reader, child(entries, "cpu"), f"cpu of {what}"),
        takes=read_timing(reader, child(entries, "takes"), f"takes of {what}"),
        times=reader.range(child(entries, "times"), f"times of {what}", _times) or _ONE,
        hit_ratio=reader.range(child(entries, "hit_ratio"), f"hit_ratio of {what}", parse_share),
        size_bytes=reader.range(child(entries, "size"), f"size of {what}", parse_size),
        errors_ratio=reader.value(child(entries, "errors"), f"errors of {what}", parse_share, 0.0),
        only_present=reader.switch(child(entries, "only_present"), f"only_present of {what}", False),
        data=_read_data(reader, child(entries, "data"), what, boxes),
        on_miss=read_steps(reader, reader.nodes(child(entries, "on_miss"), "on_miss", "a list of steps"), boxes),
        steps=_read_inner(reader, child(entries, "steps"), boxes),
        path=node.path,
    )
    if component is not None:
        _check_hits(reader, entries, step, component)
    return step if target else None


def _read_inner(reader: Reader, node: Node | None, boxes: Boxes) -> tuple[Step, ...] | None:
    """The steps a scope lists itself; None when it does not."""
    return None if node is None else read_steps(reader, reader.nodes(node, "steps", "a list of steps"), boxes)


def _read_target(reader: Reader, node: Node, verb: str, target: str, boxes: Boxes) -> Component | None:
    """The component a step names, when it is one the verb can name."""
    if not target:
        return None
    if target == CLIENT:
        reader.complain(node, f"{verb} client: the client only sends requests", "name the component that is called")
        return None
    if target not in boxes.declared:
        names = [name for name in sorted(boxes.declared) if name != CLIENT]
        reader.mistakes.unknown(node.spot, f"unknown component {quoted(target)}", target, names, "components")
        reader.has_lost_steps = True
        return None
    component = boxes.components.get(target)
    if component is None or verb in component.kind.VERBS:
        return component
    verbs = component.kind.VERBS
    does = f"{' or '.join(verbs)} it" if verbs else "it takes no steps"
    reader.complain(node, f"{target} is a {component.kind.NAME}, it has no {verb}", does)
    return None


def _check_keys(reader: Reader, entries: Mapping[str, Entry], verb: str, component: Component | None) -> None:
    """Keys that mean nothing under this verb."""
    for key, verbs in ONLY_UNDER.items():
        if key in entries and verb not in verbs:
            reader.complain(
                entries[key].key, f"{key} means nothing under {verb}", f"it belongs under {', '.join(verbs)}"
            )
    if component is None:
        return
    if "steps" in entries and verb == "call" and "run" not in component.kind.VERBS:
        message = f"{component.name} is a {component.kind.NAME}: what it does inside is not ours to say"
        reader.complain(entries["steps"].key, message, "remove the steps")
    for key in ("cpu", "takes"):
        if key in entries and key != component.kind.TIMING:
            instead = f"write {component.kind.TIMING}" if component.kind.TIMING else f"remove {key}"
            message = f"{component.name} is a {component.kind.NAME}: its steps have no {key}"
            reader.complain(entries[key].key, message, instead)


def _check_hits(reader: Reader, entries: Mapping[str, Entry], step: Step, component: Component) -> None:
    """A `get` must lead to a hit ratio: stated, or following from a data set."""
    holds = getattr(component.spec, "holds", "")
    if step.verb == "get" and "hit_ratio" not in entries and not holds and "data" not in entries:
        message = f"nothing says how often get {step.target} finds what it looks for"
        remedy = f"write hit_ratio: 95%, or holds: with a data set at {step.target}"
        reader.complain(entries["get"].value, message, remedy)


def _read_data(reader: Reader, node: Node | None, what: str, boxes: Boxes) -> str:
    """The data set a step reads or writes."""
    data = reader.text(node, f"data of {what}")
    if node is not None and data:
        reader.known(node, data, boxes.data, f"unknown data set {quoted(data)}", "data sets (requirements.data)")
    return data


def _read_block(reader: Reader, node: Map, verb: str, boxes: Boxes) -> Step:
    """`parallel` or `choose`."""
    entries = node.entries
    for key in KEYS:
        if key in entries and key != "times":
            reader.complain(entries[key].key, f"{key} means nothing beside {verb}", "write it at the steps inside")
    example = "- [{get: cache}]" if verb == "parallel" else "- {weight: 30%, steps: [{run: api}]}"
    nodes = reader.nodes(entries[verb].value, verb, f"a list of branches: {example}")
    if not nodes and isinstance(entries[verb].value, Items):
        reader.complain(entries[verb].key, f"{verb} has no branches", f"write {example}")
    read = _read_parallel if verb == "parallel" else _read_choice
    branches = tuple(read(reader, branch, boxes) for branch in nodes)
    if verb == "choose" and branches:
        _check_weights(reader, entries[verb].key, nodes, branches)
    times = reader.range(child(entries, "times"), f"times of {verb}", _times) or _ONE
    return Step(verb=verb, times=times, branches=branches, path=node.path)


def _read_parallel(reader: Reader, node: Node, boxes: Boxes) -> Branch:
    """One branch of a `parallel`: a list of steps."""
    example = "each branch of parallel as a list: - [{get: cache}, {run: api}]"
    return Branch(1.0, read_steps(reader, reader.nodes(node, "a branch", example), boxes))


def _read_choice(reader: Reader, node: Node, boxes: Boxes) -> Branch:
    """One branch of a `choose`: a weight and steps, which may be none."""
    entries = reader.entries(node, "a branch", "{weight: 30%, steps: [{run: api}]}")
    if isinstance(node, Map):
        reader.refuse_unknown(entries, ("weight", "steps"), "a branch")
        if lacks(entries, "weight", ("weight", "steps")):
            reader.complain(node, "this branch has no weight", "write weight: 30%; all weights make 100%")
    steps = reader.nodes(child(entries, "steps"), "steps", "a list of steps")
    weight = reader.value(child(entries, "weight"), "weight", parse_share, 0.0)
    return Branch(weight, read_steps(reader, steps, boxes))


def _check_weights(reader: Reader, key: Any, nodes: list[Node], branches: tuple[Branch, ...]) -> None:
    """The weights of a `choose` make 100 %."""
    if not all(isinstance(node, Map) and "weight" in node.entries for node in nodes):
        return
    total = sum(branch.weight for branch in branches)
    if abs(total - 1.0) > _ROUNDING:
        message = f"the weights make {total * 100:.6g} %, not 100 %"
        reader.complain(key, message, "add a branch with the rest (its steps may be empty: [])")


def parse_share(text: str) -> float:
    """A ratio that cannot be more than everything.

    Raises:
        UnitError: when it is, or is no ratio.
    """
    value = parse_ratio(text)
    if value > 1:
        raise UnitError(f"{quoted(text)} is more than everything", "write 100% or less")
    return value


def _times(text: str) -> int:
    """How often a step is repeated."""
    value = parse_count(text)
    if not 1 <= value <= TIMES_MAX:
        raise UnitError(f"{quoted(text)} times", f"write 1 to {TIMES_MAX:,}; for less than once use choose")
    return value
