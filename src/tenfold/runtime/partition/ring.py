"""A consistent-hash ring: adding a node takes keys from all others, and moves no key between them.

Every node has points on a circle of 2^64 places, by default 150 per weight of 1; a key belongs to the first point at or
after its own place (Karger et al., Consistent hashing and random trees, STOC 1997). The shares of the nodes are
Dirichlet distributed, so how uneven a ring is by chance is known exactly: see `spread`.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from tenfold.errors import UsageError
from tenfold.runtime.partition import nodes as members
from tenfold.runtime.partition.hashing import XXH3, Hashing, Key, hashing_of
from tenfold.runtime.partition.nodes import Node, Nodes
from tenfold.runtime.partition.ranges import HashRanges, ranges_of
from tenfold.runtime.partition.replicas import Zones

POINTS = 150
"""Points of a node of weight 1: shares vary by 8 %, the fullest of 10 nodes has 13 % more than its part. Four times as
many points halve that."""

POINTS_MAX = 16_000_000
"""Points of all nodes together: about 1 GB."""

_POINTS_PER_CELL = 64
_CELLS_PER_POINT = 8

Points = tuple["array[int]", list[str]]
"""Hashes in order, and the owner of each."""


class Ring:
    """An immutable ring.

    Args:
        nodes: nodes, names, or names with weights; their order does not matter.
        points: points of a node of weight 1. A node never has none, however small its weight.
        hashing: `xxh3`, `blake2b`, or your own; the same on every machine.

    Raises:
        UsageError: nodes or points that cannot be.
    """

    __slots__ = (
        "_cells",
        "_first",
        "_hashes",
        "_key_hash",
        "_nodes",
        "_owners",
        "_shift",
        "_zones",
        "hashing",
        "points",
        "version",
    )

    def __init__(self, nodes: Nodes, *, points: int = POINTS, hashing: str | Hashing = XXH3) -> None:
        self._nodes = members.nodes_of(nodes)
        self.points = points
        self.hashing = hashing_of(hashing)
        self.version = 1
        _check_points(self._nodes, points)
        counts = {node.name: points_of(node, points) for node in self._nodes}
        self._index(*_sorted_points(self.hashing, counts))

    def _index(self, hashes: "array[int]", owners: list[str]) -> None:
        """Take over sorted points; note where the points of every cell (equal leading bits) begin."""
        bits = max(1, (len(hashes) // _POINTS_PER_CELL).bit_length())
        self._hashes, self._owners, self._shift = hashes, [*owners, owners[0]], 64 - bits
        starts = (bisect_left(hashes, cell << self._shift) for cell in range(1 << bits))
        self._first = [*starts, len(hashes)]
        self._key_hash = self.hashing.key
        self._cells: array[int] | None = None
        self._zones: Zones | None = None

    # Asking.

    def node(self, key: Key) -> str:
        """The node that keeps a key (text or bytes)."""
        place = self._key_hash(key.encode() if type(key) is str else key)  # type: ignore[arg-type]
        cell, first = place >> self._shift, self._first
        return self._owners[bisect_left(self._hashes, place, first[cell], first[cell + 1])]

    def many(self, keys: Sequence[Key]) -> list[str]:
        """The nodes of many keys, in their order; several times faster than one by one."""
        try:
            return self._many(map(str.encode, keys))  # type: ignore[arg-type]
        except TypeError:
            return self._many(key.encode() if isinstance(key, str) else key for key in keys)

    def _many(self, keys: Iterable[bytes]) -> list[str]:
        """One loop without a call: most keys fall into a cell with one owner and need no search."""
        if self._cells is None:
            self._cells = self._owned_cells()
        names = ["", *(node.name for node in self._nodes)]
        cells, shift = self._cells, 64 - (len(self._cells).bit_length() - 1)
        owners, hashes, first, coarse = self._owners, self._hashes, self._first, self._shift
        return [
            names[cells[place >> shift]]
            or owners[bisect_left(hashes, place, first[place >> coarse], first[(place >> coarse) + 1])]
            for place in map(self._key_hash, keys)
        ]

    def _owned_cells(self) -> "array[int]":
        """Of every cell without a point in it its owner's number from 1 on, else 0. There are several cells per point.

        Small numbers side by side: what a list of names would cost here is waiting for memory.
        """
        bits = (len(self._hashes) * _CELLS_PER_POINT).bit_length()
        numbers = {node.name: number for number, node in enumerate(self._nodes, start=1)}
        code = "H" if len(numbers) < 2**16 else "I"
        cells = array(code, [0]) * (1 << bits)
        free = 0
        for place, owner in zip(self._hashes, self._owners, strict=False):
            cell = place >> (64 - bits)
            if cell > free:
                cells[free:cell] = array(code, [numbers[owner]]) * (cell - free)
            free = max(free, cell + 1)
        cells[free:] = array(code, [numbers[self._owners[0]]]) * (len(cells) - free)
        return cells

    def walk(self, key: Key) -> Iterator[str]:
        """Owners of the points from a key's place once round the circle, with repetitions."""
        start = bisect_left(self._hashes, self.hashing.of(key))
        count = len(self._hashes)
        owners = self._owners
        return chain((owners[i] for i in range(start, count)), islice(owners, start))

    def replicas(self, key: Key, count: int) -> tuple[str, ...]:
        """Different nodes for the copies of a key, its owner first, in as many zones as there are.

        Raises:
            UsageError: fewer nodes than copies.
        """
        if self._zones is None:
            self._zones = Zones(self._nodes)
        return self._zones.choose(self.walk(key), count)

    def ranges(self) -> HashRanges:
        """Who owns which hashes."""
        return ranges_of(self._hashes, self._owners, self.hashing, self.version)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Its nodes, by name."""
        return self._nodes

    @property
    def digest(self) -> str:
        """A fingerprint of the map, whatever its version: equal on two machines when their answers are."""
        nodes = [[node.name, float(node.weight), node.zone] for node in self._nodes]
        return members.digest_of("ring", self.hashing.name, self.points, nodes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ring) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Ring({len(self._nodes)} nodes, {len(self._hashes)} points, version {self.version}, {self.digest})"

    # The next one.

    def with_node(self, node: Node | str) -> "Ring":
        """The ring with one more node, one version later.

        Raises:
            UsageError: it is there already.
        """
        added = members.node_of(node)
        nodes = members.with_node(self._nodes, added)
        _check_points(nodes, self.points)
        mine = self.hashing.points(added.name, points_of(added, self.points))
        return self._next(nodes, *_merged(self._hashes, self._owners, sorted(mine), added.name))

    def without_node(self, name: str) -> "Ring":
        """The ring without a node, one version later.

        Raises:
            UsageError: it is not there, or it is the last.
        """
        nodes = members.without_node(self._nodes, name)
        mine = self.hashing.points(name, points_of(members.found(self._nodes, name), self.points))
        return self._next(nodes, *_thinned(self._hashes, self._owners, sorted(set(mine)), name))

    def with_weight(self, name: str, weight: float) -> "Ring":
        """The ring with another weight of a node, one version later: points are added or taken away, the others stay.

        Raises:
            UsageError: there is no such node, or no such weight.
        """
        was = members.found(self._nodes, name)
        others = tuple(node for node in self._nodes if node is not was)
        nodes = members.with_node(others, Node(name, weight, was.zone))
        _check_points(nodes, self.points)
        mine = self.hashing.points(name, points_of(was, self.points))
        hashes, owners = _thinned(self._hashes, self._owners, sorted(set(mine)), name)
        mine = self.hashing.points(name, points_of(members.found(nodes, name), self.points))
        return self._next(nodes, *_merged(hashes, owners, sorted(mine), name))

    def _next(self, nodes: tuple[Node, ...], hashes: "array[int]", owners: list[str]) -> "Ring":
        following = Ring.__new__(Ring)
        following._nodes, following.points, following.hashing = nodes, self.points, self.hashing
        following.version = self.version + 1
        following._index(hashes, owners)
        return following


def points_of(node: Node, points: int) -> int:
    """Points of a node: its weight times those of weight 1, rounded, and at least one."""
    return max(1, round(node.weight * points))


def _check_points(nodes: tuple[Node, ...], points: int) -> None:
    """Raises UsageError when there are none, or more than memory holds."""
    if points < 1:
        raise UsageError(f"{points} points per node", "at least 1; 150 is usual")
    total = sum(points_of(node, points) for node in nodes)
    if total > POINTS_MAX:
        raise UsageError(f"{total:,} points", f"at most {POINTS_MAX:,}: smaller weights, or fewer points of weight 1")


def _sorted_points(hashing: Hashing, counts: dict[str, int]) -> Points:
    """All points by (hash, name). Hashes are sorted alone, ten times faster, when no two are equal."""
    owner_of: dict[int, str] = {}
    for name, count in counts.items():
        owner_of.update(dict.fromkeys(hashing.points(name, count), name))
    if len(owner_of) == sum(counts.values()):
        hashes = sorted(owner_of)
        return array("Q", hashes), list(map(owner_of.__getitem__, hashes))
    pairs = sorted((place, name) for name, count in counts.items() for place in hashing.points(name, count))
    return array("Q", [place for place, _ in pairs]), [name for _, name in pairs]


def _merged(hashes: "array[int]", owners: list[str], mine: Sequence[int], name: str) -> Points:
    """The points and those of one more node, still by (hash, name)."""
    merged_hashes = array("Q")
    merged_owners: list[str] = []
    count, done = len(hashes), 0
    for place in mine:
        position = bisect_left(hashes, place, done)
        while position < count and hashes[position] == place and owners[position] < name:
            position += 1
        merged_hashes += hashes[done:position]
        merged_owners += owners[done:position]
        merged_hashes.append(place)
        merged_owners.append(name)
        done = position
    return merged_hashes + hashes[done:], merged_owners + owners[done:count]


def _thinned(hashes: "array[int]", owners: list[str], mine: Sequence[int], name: str) -> Points:
    """The points without those of a node at these places."""
    thinned_hashes = array("Q")
    thinned_owners: list[str] = []
    count, done = len(hashes), 0
    for place in mine:
        position = bisect_left(hashes, place, done)
        while position < count and hashes[position] == place:
            if owners[position] == name:
                thinned_hashes += hashes[done:position]
                thinned_owners += owners[done:position]
                done = position + 1
            position += 1
    return thinned_hashes + hashes[done:], thinned_owners + owners[done:count]
