"""Reads one fault of a scenario: `{at: 5 min, expire: cache}`, `{at: 2 min, slow: db, by: 10x, for: 30 s}`."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from tenfold.design.mistakes import meant
from tenfold.design.policies import arrow_in, check_ends
from tenfold.design.read import Reader, child, lacks
from tenfold.design.requirements import positive
from tenfold.design.schema import CLIENT, Component, Fault
from tenfold.design.steps import parse_share
from tenfold.design.tree import Entry, Map, Node
from tenfold.units import UnitError, parse_count, parse_duration, parse_factor, quoted

VERBS: Mapping[str, tuple[str, ...]] = {
    "expire": (),
    "kill": ("for", "nodes"),
    "slow": ("by", "for"),
    "drop": ("share", "for"),
    "partition": ("for",),
}
"""Fault -> the keys it has besides `at`."""

NEEDED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "slow": (("by", "by: 10x"), ("for", "for: 30 s")),
    "drop": (("for", "for: 30 s"),),
}
"""Fault -> the keys it cannot do without, with an example."""

KEYS = ("at", *VERBS, "by", "for", "share", "nodes")
_EXAMPLE = "{at: 5 min, expire: cache} or {at: 2 min, slow: db, by: 10x, for: 30 s}"


def read_fault(
    reader: Reader, node: Node, components: Mapping[str, Component], declared: Collection[str]
) -> Fault | None:
    """One fault; None when it has no verb."""
    entries = reader.entries(node, "a fault", _EXAMPLE)
    if not isinstance(node, Map):
        return None
    reader.refuse_unknown(entries, KEYS, "a fault")
    verbs = [key for key in entries if key in VERBS]
    if lacks(entries, "at", KEYS):
        reader.complain(node, "this fault does not say when", "write at: 5 min")
    if not verbs and meant(entries, KEYS) & set(VERBS):
        return None
    if len(verbs) != 1:
        message = f"a fault does one thing, this one {' and '.join(verbs)}" if verbs else "this fault does nothing"
        reader.complain(entries[verbs[1]].key if verbs else node, message, f"write one of {', '.join(VERBS)}")
        return None
    _check_keys(reader, node, entries, verbs[0])
    fault = _read_fields(reader, node, entries, verbs[0])
    return _with_target(reader, entries[verbs[0]].value, fault, components, declared)


def _check_keys(reader: Reader, node: Map, entries: Mapping[str, Entry], verb: str) -> None:
    """Keys that this fault does not have, and those it needs."""
    for key in ("by", "for", "share", "nodes"):
        if key in entries and key not in VERBS[verb]:
            known = ", ".join(("at", *VERBS[verb]))
            reader.complain(entries[key].key, f"{key} means nothing for {verb}", f"{verb} has {known}")
    for key, example in NEEDED.get(verb, ()):
        if lacks(entries, key, KEYS):
            reader.complain(entries[verb].key, f"this {verb} does not say {key}", f"write {example}")


def _read_fields(reader: Reader, node: Map, entries: Mapping[str, Entry], verb: str) -> Fault:
    """The fault without its target."""
    return Fault(
        at_ns=reader.value(child(entries, "at"), "at", parse_duration, 0),
        verb=verb,
        for_ns=int(reader.value(child(entries, "for"), "for", positive(parse_duration, "time"), 0)),
        by_factor=reader.value(child(entries, "by"), "by", positive(parse_factor, "factor"), 1.0),
        share_ratio=reader.value(child(entries, "share"), "share", _share, 1.0),
        nodes=reader.value(child(entries, "nodes"), "nodes", _nodes, 0),
        path=node.path,
    )


def _share(text: str) -> float:
    """A share of the calls above 0."""
    return positive(parse_share, "share")(text)


def _nodes(text: str) -> int:
    """Nodes to kill; 0 would mean all of them, which is written by leaving the key out."""
    value = parse_count(text)
    if value < 1:
        raise UnitError(f"{quoted(text)} nodes", "write 1 or more, or leave nodes out to kill all")
    return value


def _with_target(
    reader: Reader, node: Node, fault: Fault, components: Mapping[str, Component], declared: Collection[str]
) -> Fault | None:
    """The fault with what it strikes: a component, or an arrow."""
    text = reader.text(node, fault.verb)
    ends = arrow_in(text)
    if ends and fault.verb in ("drop", "partition"):
        is_known = check_ends(reader, node, ends, declared)
        return replace(fault, arrow=ends) if is_known else None
    if not text or not _is_target(reader, node, fault, text, components, declared):
        return None
    return replace(fault, target=text)


def _is_target(
    reader: Reader,
    node: Node,
    fault: Fault,
    target: str,
    components: Mapping[str, Component],
    declared: Collection[str],
) -> bool:
    """Whether the component can suffer this fault."""
    if fault.verb == "partition":
        reader.complain(node, f"{quoted(target)} is no arrow", "partition an arrow: a -> b")
        return False
    names = sorted(name for name in declared if name != CLIENT)
    if target == CLIENT or arrow_in(target):
        remedy = f"name a component: {', '.join(names[:8])}"
        reader.complain(node, f"{fault.verb} cannot strike {quoted(target)}", remedy)
        return False
    if not reader.known(node, target, names, f"unknown component {quoted(target)}", "components"):
        return False
    component = components.get(target)
    if component is None:
        return False
    if fault.verb == "expire" and "get" not in component.kind.VERBS:
        caches = [name for name, other in components.items() if "get" in other.kind.VERBS]
        remedy = f"expire a cache: {', '.join(caches)}" if caches else "there is no cache in this design"
        reader.complain(node, f"{target} is a {component.kind.NAME}, it has nothing that expires", remedy)
        return False
    if fault.verb == "expire" and not getattr(component.spec, "holds", "") and target not in reader.doubtful:
        message = f"{target} holds no data set, so that nothing in it can expire"
        reader.complain(node, message, f"write holds: with a data set (requirements.data) at {target}")
        return False
    return _has_nodes(reader, node, fault, component)


def _has_nodes(reader: Reader, node: Node, fault: Fault, component: Component) -> bool:
    """Whether there are as many nodes as the fault kills."""
    spec = component.spec
    if component.name in reader.doubtful:
        return True
    declared = getattr(spec, "nodes", None) or getattr(spec, "replicas", 0) + ("query" in component.kind.VERBS)
    if fault.nodes and declared and fault.nodes > declared:
        message = f"{component.name} has {declared} nodes, this fault kills {fault.nodes}"
        reader.complain(reader.spot((*fault.path, "nodes")), message, f"write {declared} or less, or leave nodes out")
        return False
    return True
