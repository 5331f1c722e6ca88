"""Nodes: a name, a weight, a zone."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from tenfold.errors import UsageError

WEIGHT_MAX = 1e6


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """A node that keeps keys.

    Args:
        name: unique within a map.
        weight: its part compared to the others; above zero.
        zone: what fails together (rack, availability zone); "" says that it stands alone.
    """

    name: str
    weight: float = 1.0
    zone: str = ""


Nodes = Iterable[Node | str] | Mapping[str, float]
"""Nodes, names, or names with weights."""


def nodes_of(given: Nodes) -> tuple[Node, ...]:
    """The nodes sorted by name, so that nothing can depend on the order they came in.

    Raises:
        UsageError: none at all, an empty or repeated name, a weight that is none; every mistake at once.
    """
    listed = [Node(n, w) for n, w in given.items()] if isinstance(given, Mapping) else [node_of(n) for n in given]
    names = Counter(node.name for node in listed)
    wrong = [f"two nodes are called {name!r}" for name, count in sorted(names.items()) if count > 1]
    wrong += [trouble for node in listed for trouble in _troubles(node)]
    if not listed:
        wrong.append("there are no nodes")
    if wrong:
        raise UsageError("; ".join(wrong), f"give every node its own name and a weight above 0, at most {WEIGHT_MAX:g}")
    return tuple(sorted(listed))


def node_of(given: Node | str) -> Node:
    """A node; a name alone is one of weight 1."""
    return given if isinstance(given, Node) else Node(given)


def _troubles(node: Node) -> list[str]:
    found = [] if node.name else ["a node has no name"]
    is_weight = isinstance(node.weight, int | float) and math.isfinite(node.weight) and 0 < node.weight <= WEIGHT_MAX
    return found if is_weight else [*found, f"the weight of {node.name!r} is {node.weight!r}"]


def with_node(nodes: tuple[Node, ...], node: Node) -> tuple[Node, ...]:
    """The nodes and one more.

    Raises:
        UsageError: it is there already.
    """
    return nodes_of([*nodes, node])


def without_node(nodes: tuple[Node, ...], name: str) -> tuple[Node, ...]:
    """The nodes but for one.

    Raises:
        UsageError: there is no such node, or it is the last.
    """
    found(nodes, name)
    if len(nodes) == 1:
        raise UsageError(f"{name!r} is the last node", "add another before removing it")
    return tuple(node for node in nodes if node.name != name)


def found(nodes: tuple[Node, ...], name: str) -> Node:
    """The node of a name.

    Raises:
        UsageError: there is none.
    """
    for node in nodes:
        if node.name == name:
            return node
    raise UsageError(f"there is no node {name!r}", f"there are: {', '.join(node.name for node in nodes[:20])}")


def digest_of(*parts: Any) -> str:
    """A fingerprint of 16 hex digits of plain values: equal on two machines when the maps are."""
    return blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()
