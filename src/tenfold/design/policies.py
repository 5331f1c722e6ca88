"""Reads `policies`: what a caller does about a callee that is slow or fails, arrow by arrow."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from tenfold.design.fill import fill_node
from tenfold.design.read import Reader, child
from tenfold.design.schema import Arrow, Component
from tenfold.design.tree import Entry, Node, Text
from tenfold.settings import OFF
from tenfold.units import quoted

ON_FAILURE = ("miss", "skip")

_ARROW = re.compile(r"\s*([^\s>-][^\s>]*?)\s*->\s*([^\s>-][^\s>]*)\s*")
_EXAMPLE = "api -> db: {timeout: 1 s}"


def arrow_in(text: str) -> tuple[str, str] | None:
    """The two ends of `a -> b`; None when the text is no arrow."""
    match = _ARROW.fullmatch(text) if len(text) < 1000 else None
    return (match.group(1), match.group(2)) if match else None


def read_policies(
    reader: Reader, node: Node | None, components: Mapping[str, Component], declared: Collection[str]
) -> dict[tuple[str, str], Arrow]:
    """The section `policies`: (caller, callee) -> its policies."""
    found: dict[tuple[str, str], Arrow] = {}
    for text, entry in reader.entries(node, "policies", f"policies: {{{_EXAMPLE}}}").items():
        ends = arrow_in(text)
        if ends is None:
            reader.complain(entry.key, f"{quoted(text)} is no arrow", "policies belong to arrows: caller -> callee")
        elif ends in found:
            reader.complain(entry.key, f"the policies of {ends[0]} -> {ends[1]} are there twice", "put them together")
        elif check_ends(reader, entry.key, ends, declared):
            found[ends] = _read_arrow(reader, ends, entry, components)
    return found


def check_ends(reader: Reader, node: Node, ends: tuple[str, str], declared: Collection[str]) -> bool:
    """Whether both ends of an arrow are components; a mistake for each that is not."""
    names = sorted(declared)
    are_known = [reader.known(node, end, names, f"unknown component {quoted(end)}", "components") for end in ends]
    return all(are_known)


def _read_arrow(reader: Reader, ends: tuple[str, str], entry: Entry, components: Mapping[str, Component]) -> Arrow:
    """The policies of one arrow."""
    name = f"{ends[0]} -> {ends[1]}"
    entries = reader.entries(entry.value, name, f"{name}: {{timeout: 1 s}}")
    reader.refuse_unknown(entries, (*reader.policies, "on_failure"), name)
    configs: dict[str, Any] = {}
    for policy, module in reader.policies.items():
        if policy in entries and not _is_off(entries[policy].value):
            at = entries[policy].key.spot
            configs[policy] = fill_node(reader, module.Config, entries[policy].value, at, policy)
    on_failure = reader.word(child(entries, "on_failure"), "on_failure", ON_FAILURE, "")
    callee = components.get(ends[1])
    if on_failure == "miss" and callee and "get" not in callee.kind.VERBS:
        message = f"{ends[1]} is a {callee.kind.NAME}: a failed call to it cannot count as a miss"
        reader.complain(entries["on_failure"].value, message, "on_failure: skip goes on without the answer")
    return Arrow(ends[0], ends[1], configs, on_failure, entry.value.path)


def _is_off(node: Node) -> bool:
    """`retry: none`: the arrow goes without (of use in overrides)."""
    return isinstance(node, Text) and node.text in OFF
