"""Applies `--set components.cache.ttl_jitter=10%` to the tree of a design, before anything is read.

A path is the keys from the top, with dots; a list's items go by number. Arrows may be quoted: both
`policies."api -> db".retry.attempts=2` and `policies.api -> db.timeout=1 s` are understood. What the file does not say
can be added, except that a name of a component, flow, scenario or data set which is only passed through must exist.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenfold.design.mistakes import Mistakes, Spot
from tenfold.design.read import is_blank
from tenfold.design.schema import Path, Place
from tenfold.design.tree import Entry, Items, Map, Node, Text, compose_value
from tenfold.fields import key_of
from tenfold.settings import main_of
from tenfold.units import quoted

_NAMES = {
    ("components",): "component",
    ("flows",): "flow",
    ("scenarios",): "scenario",
    ("requirements", "data"): "data set",
}
_PART = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^."']*))\s*(\.|$)""")
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Part:
    """One key of an override's path and where it stands in the text, 0-based."""

    key: str
    start: int
    end: int
    is_quoted: bool


@dataclass(frozen=True, slots=True)
class Override:
    """One override: its text, path and value."""

    text: str
    parts: tuple[Part, ...]
    value: str
    value_start: int

    def spot(self, part: Part) -> Spot:
        """Where a part of the path stands."""
        return Spot(Place(1, part.start + 1, 1, part.end + 1), self.text)

    def value_spot(self) -> Spot:
        """Where the value stands."""
        return Spot(Place(1, self.value_start + 1, 1, len(self.text) + 1), self.text)


def apply_overrides(
    root: Map, overrides: tuple[str, ...], mistakes: Mistakes, policies: Mapping[str, Any]
) -> tuple[tuple[Path, str], ...]:
    """Change the tree; what is wrong with a path is noted.

    Args:
        root: the tree; it is changed.
        overrides: `path=value` each; later ones win.
        mistakes: where trouble is noted.
        policies: to expand `timeout: 1 s` when one of its keys is set.

    Returns:
        The path and value of every override in force, in the order of their paths.
    """
    applied: dict[Path, str] = {}
    for text in overrides:
        override = parse_override(text, mistakes)
        path = _apply(root, override, mistakes, policies) if override else None
        if override and path is not None:
            applied[path] = override.value
    return tuple(sorted(applied.items(), key=lambda item: [str(part) for part in item[0]]))


def parse_override(text: str, mistakes: Mistakes) -> Override | None:
    """The path and the value of one override; None, and a mistake, when it has none."""
    whole = Spot(Place(1, 1, 1, len(text) + 1), text or " ")
    outside = re.sub(r'"[^"]*"|\'[^\']*\'', lambda match: " " * len(match.group()), text[:_LONGEST])
    at = outside.find("=")
    if len(text) > _LONGEST or at < 1 or not text[:at].strip():
        example = "write path=value, such as components.cache.ttl_jitter=10%"
        mistakes.add(whole, f"{quoted(text)} is no override", example)
        return None
    parts = _parts(text[:at])
    if parts is None:
        spot = Spot(Place(1, 1, 1, at + 1), text)
        mistakes.add(spot, f"{quoted(text[:at])} is no path", "write keys with dots: components.api.replicas")
        return None
    value = text[at + 1 :].strip()
    return Override(text, parts, value, at + 1 + len(text[at + 1 :]) - len(text[at + 1 :].lstrip()))


def _parts(path: str) -> tuple[Part, ...] | None:
    """The keys of a path; None when a quote is left open or a key is empty."""
    parts: list[Part] = []
    at = 0
    while match := _PART.match(path, at):
        group = next(index for index in (1, 2, 3) if match.group(index) is not None)
        key = match.group(group) if group < 3 else match.group(group).strip()
        if not key:
            return None
        parts.append(Part(key, match.start(group), match.start(group) + len(key), group < 3))
        at = match.end()
        if not match.group(4):
            return tuple(parts)
    return None


def _apply(root: Map, override: Override, mistakes: Mistakes, policies: Mapping[str, Any]) -> Path | None:
    """Walk down to the value and set it; the path that was set, or None after a mistake."""
    node: Map | Items = root
    left = override.parts
    while True:
        part, rest = _take(node, left)
        if not rest:
            return _set(node, part, override, mistakes)
        below = _below(node, part, override, mistakes, policies)
        if below is None:
            return None
        node, left = below, rest


def _take(node: Map | Items, parts: tuple[Part, ...]) -> tuple[Part, tuple[Part, ...]]:
    """The next key and what is left: the longest run of parts that is a key (`p99.9` has a dot), else one part."""
    for count in range(len(parts), 1, -1):
        if any(part.is_quoted for part in parts[:count]):
            continue
        joined = Part(".".join(part.key for part in parts[:count]), parts[0].start, parts[count - 1].end, False)
        is_there = isinstance(node, Map) and _find(node, joined.key) is not None
        if is_there or (joined.key == "p99.9" and count == 2):
            return joined, parts[count:]
    return parts[0], parts[1:]


def _find(node: Map, key: str) -> str | None:
    """The key as the file writes it; arrows are the same with any spaces."""
    if key in node.entries:
        return key
    if "->" not in key:
        return None
    squeezed = _squeezed(key)
    return next((known for known in node.entries if _squeezed(known) == squeezed), None)


def _squeezed(key: str) -> str:
    """A key without spaces."""
    return "".join(key.split())


def _below(
    node: Map | Items, part: Part, override: Override, mistakes: Mistakes, policies: Mapping[str, Any]
) -> Map | Items | None:
    """The mapping or list under a key, made when the file does not have it; None after a mistake."""
    if isinstance(node, Items):
        index = _index(node, part, override, mistakes, len(node.nodes) - 1)
        return None if index is None else _opened(node.nodes[index], part, override, mistakes)
    key = _find(node, part.key)
    if key is None:
        return _made(node, part, override, mistakes)
    below = node.entries[key].value
    if isinstance(below, Text):
        expanded = _expanded(below, part, override, policies)
        if expanded is not None:
            node.entries[key] = Entry(node.entries[key].key, expanded)
            return expanded
    return _opened(below, part, override, mistakes)


def _opened(node: Node, part: Part, override: Override, mistakes: Mistakes) -> Map | Items | None:
    """A mapping or list to go on in; None, and a mistake, at a single value."""
    if not isinstance(node, Text):
        return node
    message = f"{quoted(part.key)} is one value, {quoted(node.text)}: nothing is below it"
    mistakes.add(override.spot(part), message, "set it as a whole: path={key: value}")
    return None


def _made(node: Map, part: Part, override: Override, mistakes: Mistakes) -> Map | None:
    """A key the file does not have, with nothing below yet."""
    what = _NAMES.get(tuple(str(step) for step in node.path))
    if what:
        mistakes.unknown(override.spot(part), f"unknown {what} {quoted(part.key)}", part.key, node.entries, f"{what}s")
        return None
    return _put(node, part.key, part, override, Map(override.value_spot(), (*node.path, part.key)))


def _put(node: Map, key: str, part: Part, override: Override, value: Map) -> Map:
    """Hang a new mapping under a key."""
    node.entries[key] = Entry(Text(override.spot(part), value.path, key), value)
    return value


def _expanded(node: Text, part: Part, override: Override, policies: Mapping[str, Any]) -> Map | None:
    """`timeout: 1 s` as `timeout: {limit: 1 s}`, and an empty section as one without keys; None for other values."""
    opened = Map(node.spot, node.path)
    if is_blank(node):
        return opened
    is_policy = len(node.path) == 3 and node.path[0] == "policies" and part.key in policies
    main = main_of(policies[part.key].Config) if is_policy else None
    if main is None:
        return None
    key = key_of(main.name)
    opened.entries[key] = Entry(Text(node.spot, (*node.path, key), key), Text(node.spot, (*node.path, key), node.text))
    return opened


def _index(node: Items, part: Part, override: Override, mistakes: Mistakes, last: int) -> int | None:
    """A list's index; None, and a mistake, when there is no such item."""
    if part.key.isascii() and part.key.isdigit() and len(part.key) < 9 and int(part.key) <= last:
        return int(part.key)
    message = f"{quoted(part.key)} is no item of this list"
    remedy = f"items go by number: 0 to {len(node.nodes) - 1}" if node.nodes else "the list is empty"
    mistakes.add(override.spot(part), message, remedy)
    return None


def _set(node: Map | Items, part: Part, override: Override, mistakes: Mistakes) -> Path | None:
    """Put the value in its place; the path, or None after a mistake."""
    if isinstance(node, Items):
        index = _index(node, part, override, mistakes, len(node.nodes))
        if index is None:
            return None
        path: Path = (*node.path, index)
        value = compose_value(override.value, mistakes, path, override.text, override.value_start)
        node.nodes[index : index + 1] = [value]
        return path
    key = _find(node, part.key) or part.key
    path = (*node.path, key)
    value = compose_value(override.value, mistakes, path, override.text, override.value_start)
    node.entries[key] = Entry(Text(override.spot(part), path, key), value)
    return path
