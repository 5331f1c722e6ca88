"""A fixed table of slots: as even as can be, with the fewest moves; the table itself has to be kept somewhere.

Placement is apart from partitioning, as in Dynamo's third strategy (DeCandia et al., SOSP 2007) and Redis Cluster: a
key belongs to a slot for ever, a slot to a node for the time being. Slots cut the circle into equal ranges.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice

from tenfold.errors import UsageError
from tenfold.runtime.partition import nodes as members
from tenfold.runtime.partition.hashing import SPACE, XXH3, Hashing, Key, hashing_of
from tenfold.runtime.partition.nodes import Node, Nodes
from tenfold.runtime.partition.ranges import HashRanges, joined
from tenfold.runtime.partition.replicas import Zones

SLOTS = 16_384
"""As many as Redis Cluster has: with 10 nodes the fullest has 0.04 % more than its part."""

SLOTS_MAX = 4_194_304


class SlotTable:
    """An immutable table of slots.

    A table made of nodes alone depends on nothing else. A changed table depends on the one before, too: that is what
    makes the moves few. So the table is part of what a service has to keep (`owners`), unlike a ring.

    Args:
        nodes: nodes, names, or names with weights.
        slots: how many; can never be changed without moving nearly every key.
        hashing: `xxh3`, `blake2b`, or your own.
        owners: the table as kept from before, one name per slot; None makes one.

    Raises:
        UsageError: more nodes than slots, an owner that is no node, a weight that is none.
    """

    __slots__ = ("_key_hash", "_nodes", "_owners", "_zones", "hashing", "slots", "version")

    def __init__(
        self,
        nodes: Nodes,
        *,
        slots: int = SLOTS,
        hashing: str | Hashing = XXH3,
        owners: Sequence[str] | None = None,
    ) -> None:
        self._nodes = members.nodes_of(nodes)
        self.hashing = hashing_of(hashing)
        self.slots = slots if owners is None else len(owners)
        self.version = 1
        self._key_hash = self.hashing.key
        self._zones: Zones | None = None
        _check(self._nodes, self.slots, owners)
        self._owners = tuple(owners) if owners is not None else _balanced([""] * self.slots, self._nodes, self.hashing)

    def slot(self, key: Key) -> int:
        """The slot of a key, which never changes: 0 to slots - 1."""
        return self.hashing.of(key) * self.slots >> 64

    def node(self, key: Key) -> str:
        """The node that keeps a key."""
        place = self._key_hash(key.encode() if type(key) is str else key)  # type: ignore[arg-type]
        return self._owners[place * self.slots >> 64]

    def many(self, keys: Sequence[Key]) -> list[str]:
        """The nodes of many keys, in their order."""
        owners, slots, key_hash = self._owners, self.slots, self._key_hash
        return [owners[key_hash(k.encode() if isinstance(k, str) else k) * slots >> 64] for k in keys]

    def walk(self, key: Key) -> Iterator[str]:
        """Owners of the slots from a key's own once round, with repetitions."""
        start = self.slot(key)
        owners = self._owners
        return chain((owners[i] for i in range(start, self.slots)), islice(owners, start))

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
        ends = (-(-(slot + 1) * SPACE // self.slots) - 1 for slot in range(self.slots))
        return joined(zip(ends, self._owners, strict=True), self.hashing, self.version)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Its nodes, by name."""
        return self._nodes

    @property
    def owners(self) -> tuple[str, ...]:
        """The node of every slot: what has to be kept."""
        return self._owners

    @property
    def digest(self) -> str:
        """A fingerprint of the map, whatever its version."""
        nodes = [[node.name, float(node.weight), node.zone] for node in self._nodes]
        return members.digest_of("slots", self.hashing.name, nodes, self._owners)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SlotTable) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"SlotTable({len(self._nodes)} nodes, {self.slots} slots, version {self.version}, {self.digest})"

    def with_node(self, node: Node | str) -> "SlotTable":
        """The table with one more node, one version later; slots move to it only.

        Raises:
            UsageError: it is there already, or there are no slots for it.
        """
        return self._next(members.with_node(self._nodes, members.node_of(node)))

    def without_node(self, name: str) -> "SlotTable":
        """The table without a node, one version later; only its slots move.

        Raises:
            UsageError: it is not there, or it is the last.
        """
        return self._next(members.without_node(self._nodes, name))

    def with_weight(self, name: str, weight: float) -> "SlotTable":
        """The table with another weight of a node, one version later.

        Raises:
            UsageError: there is no such node, or no such weight.
        """
        was = members.found(self._nodes, name)
        others = tuple(node for node in self._nodes if node is not was)
        return self._next(members.with_node(others, Node(name, weight, was.zone)))

    def with_nodes(self, nodes: Nodes) -> "SlotTable":
        """The table with these nodes instead, one version later, and as few slots moved as that takes.

        Raises:
            UsageError: nodes that cannot be.
        """
        return self._next(members.nodes_of(nodes))

    def _next(self, nodes: tuple[Node, ...]) -> "SlotTable":
        _check(nodes, self.slots, None)
        following = SlotTable.__new__(SlotTable)
        following._nodes, following.hashing, following.slots = nodes, self.hashing, self.slots
        following.version, following._key_hash, following._zones = self.version + 1, self._key_hash, None
        following._owners = _balanced(self._owners, nodes, self.hashing)
        return following


def _check(nodes: tuple[Node, ...], slots: int, owners: Sequence[str] | None) -> None:
    if not 1 <= slots <= SLOTS_MAX:
        raise UsageError(f"{slots} slots", f"between 1 and {SLOTS_MAX:,}; {SLOTS:,} is usual")
    if len(nodes) > slots:
        raise UsageError(f"{len(nodes)} nodes and {slots} slots", "every node needs a slot: more slots, or fewer nodes")
    strangers = sorted(set(owners or ()) - {node.name for node in nodes})
    if strangers:
        raise UsageError(
            f"slots belong to {', '.join(strangers[:5])}, not among the nodes", "give every owner as a node"
        )


def _balanced(owners: Sequence[str], nodes: tuple[Node, ...], hashing: Hashing) -> tuple[str, ...]:
    """The table with every node at its target, and as few slots moved as that takes.

    Slots are given away in an order drawn by hash: a node's slots, and what follows them round the table, are mixed.
    """
    held = {node.name: 0 for node in nodes}
    for owner in owners:
        if owner in held:
            held[owner] += 1
    targets = _targets(nodes, held, len(owners))
    short = [name for name in targets for _ in range(targets[name] - held[name])]
    surplus = {name: held[name] - target for name, target in targets.items()}
    table, order = list(owners), _order("slots", len(owners), hashing)
    receivers = iter(short[place] for place in _order("receivers", len(short), hashing))
    for slot in order:
        owner = table[slot]
        if owner not in held or surplus[owner] > 0:
            if owner in held:
                surplus[owner] -= 1
            table[slot] = next(receivers)
    return tuple(table)


def _order(name: str, count: int, hashing: Hashing) -> list[int]:
    """0 to count - 1, mixed by hash; two names give two orders that have nothing to do with each other."""
    places = hashing.points(name, count)
    return sorted(range(count), key=lambda number: (places[number], number))


def _targets(nodes: tuple[Node, ...], held: Mapping[str, int], slots: int) -> dict[str, int]:
    """Slots per node by weight, rounded by largest remainder; every node has one. Ties go to who holds more already."""
    weight = sum(node.weight for node in nodes)
    exact = {node.name: slots * node.weight / weight for node in nodes}
    targets = {name: max(1, int(share)) for name, share in exact.items()}
    left = slots - sum(targets.values())
    by_remainder = sorted(exact, key=lambda name: (targets[name] - exact[name], -held[name], name))
    for name in by_remainder[: max(0, left)]:
        targets[name] += 1
    for _ in range(max(0, -left)):  # tiny weights were given a slot each: the largest gives it
        targets[max(targets, key=lambda name: (targets[name], name))] -= 1
    assert sum(targets.values()) == slots
    return targets
