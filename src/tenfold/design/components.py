"""Reads `components`: boxes by name, each with its kind and the settings of that kind."""

from collections.abc import Mapping
from typing import Any

from tenfold.design.fill import fill
from tenfold.design.mistakes import nearest
from tenfold.design.read import Reader, child, is_blank
from tenfold.design.schema import CLIENT, Component, DataSet
from tenfold.design.tree import Entry, Map, Node, Text
from tenfold.units import quoted

_EXAMPLE = "api: {kind: service, replicas: 2}"


def read_components(reader: Reader, node: Node | None, data: Mapping[str, DataSet]) -> dict[str, Component]:
    """The section `components`; `client` is always there. A component of unknown kind is left out."""
    found: dict[str, Component] = {}
    for name, entry in reader.entries(node, "components", f"components: {{{_EXAMPLE}}}").items():
        if reader.name(entry.key, "component"):
            component = _read_component(reader, name, entry)
            if component:
                found[name] = component
                _check_holds(reader, component, entry, data)
    if CLIENT not in found and CLIENT in reader.kinds:
        kind = reader.kinds[CLIENT]
        found[CLIENT] = Component(CLIENT, kind, kind.Spec(), ("components", CLIENT))
    return found


def declared_names(node: Node | None) -> set[str]:
    """The names the section gives, those that cannot be read included: they are not unknown."""
    return set(node.entries) if isinstance(node, Map) else set()


def _read_component(reader: Reader, name: str, entry: Entry) -> Component | None:
    """One component; None when its kind is unknown."""
    if isinstance(entry.value, Text):
        kind = entry.value.text.strip() or "service"
        reader.complain(
            entry.key if is_blank(entry.value) else entry.value,
            f"{name} should have keys",
            f"write {name}: {{kind: {kind}}}",
        )
        return None
    entries = reader.entries(entry.value, name, _EXAMPLE)
    kind = _read_kind(reader, name, entry, entries)
    if kind is None:
        return None
    rest = {key: value for key, value in entries.items() if key != "kind"}
    count = len(reader.mistakes.found)
    spec = fill(reader, kind.Spec, rest, entry.key.spot, name)
    if len(reader.mistakes.found) > count:
        reader.doubtful.add(name)
    return Component(name, kind, spec, entry.value.path)


def _read_kind(reader: Reader, name: str, entry: Entry, entries: Mapping[str, Entry]) -> Any:
    """The component's kind from the table."""
    node = child(entries, "kind")
    if node is None:
        if isinstance(entry.value, Map):
            remedy = f"write kind: one of {', '.join(kind for kind in reader.kinds if kind != CLIENT)}"
            misspelt = next((key for key in entries if nearest(key, ["kind"])), None)
            if misspelt is None:
                reader.complain(entry.key, f"{name} has no kind", remedy)
            else:
                reader.refuse_unknown({misspelt: entries[misspelt]}, ["kind"], name)
        return None
    kind = reader.text(node, f"kind of {name}")
    if not kind or not reader.known(node, kind, reader.kinds, f"{name}: unknown kind {quoted(kind)}", "kinds"):
        return None
    if (kind == CLIENT) != (name == CLIENT):
        message = f"{name} is of kind {kind}" if kind == CLIENT else f"client is of kind {kind}"
        reader.complain(node, message, "the name client and the kind client belong together: it is who sends requests")
        return None
    return reader.kinds[kind]


def _check_holds(reader: Reader, component: Component, entry: Entry, data: Mapping[str, DataSet]) -> None:
    """What a component holds, and what decides its shard, are data sets of the requirements."""
    for key, does in (("holds", "holds"), ("shard_key", "is sharded by")):
        named = getattr(component.spec, key, "")
        node = child(entry.value.entries, key) if isinstance(entry.value, Map) else None
        if named and node is not None:
            message = f"{component.name} {does} an unknown data set, {quoted(named)}"
            reader.known(node, named, data, message, "data sets (requirements.data)")
    _check_shards(reader, component, entry)


def _check_shards(reader: Reader, component: Component, entry: Entry) -> None:
    """Shards need a key: without one nobody could say which calls meet on which shard."""
    spec, entries = component.spec, entry.value.entries if isinstance(entry.value, Map) else {}
    if component.name in reader.doubtful:
        return
    if getattr(spec, "shards", 1) > 1 and not spec.shard_key:
        remedy = "write shard_key: with a data set (requirements.data)"
        reader.complain(child(entries, "shards") or entry.key, f"{component.name} has shards and no shard_key", remedy)
    is_cache_by_range = getattr(spec, "shard_by", 0) == 1 and not getattr(spec, "holds", "-")
    if is_cache_by_range:
        remedy = "write holds: with a data set (requirements.data)"
        reader.complain(child(entries, "shard_by") or entry.key, f"{component.name} has ranges of no data set", remedy)
