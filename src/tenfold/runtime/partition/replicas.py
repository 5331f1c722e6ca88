"""Replicas of a key: the next nodes round the circle, in as many zones as there are."""

from collections import Counter
from collections.abc import Iterable

from tenfold.errors import UsageError
from tenfold.runtime.partition.nodes import Node


class Zones:
    """Which nodes fail together.

    Args:
        nodes: of a map; a node without a zone stands alone.
    """

    __slots__ = ("_sizes", "_zone_of")

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._zone_of = {node.name: ("zone", node.zone) if node.zone else ("node", node.name) for node in nodes}
        self._sizes = Counter(self._zone_of.values())

    def choose(self, walk: Iterable[str], count: int) -> tuple[str, ...]:
        """Choose `count` different nodes: one of every zone as they are met, then a second of each, and so on.

        With fewer zones than replicas the zones are so filled evenly: 3 replicas in 2 zones are 2 and 1.

        Args:
            walk: names of nodes as they are met, with repetitions; every node is met at least once.
            count: how many.

        Returns:
            Names, the key's owner first.

        Raises:
            UsageError: fewer nodes than replicas.
        """
        if not 1 <= count <= len(self._zone_of):
            nodes = len(self._zone_of)
            raise UsageError(f"{count} replicas on {nodes} nodes", f"between 1 and {nodes}, or add nodes")
        rounds = self._rounds(count)
        before = self._within(rounds - 1)  # nodes of the rounds that are taken whole
        met, in_zone = dict[str, int](), Counter[tuple[str, str]]()
        early = late = 0
        for name in walk:
            zone = self._zone_of[name]
            if name in met or in_zone[zone] == rounds:
                continue
            met[name] = in_zone[zone]
            in_zone[zone] += 1
            early, late = (early + 1, late) if met[name] < rounds - 1 else (early, late + 1)
            if early == before and early + late >= count:
                break
        return tuple(sorted(met, key=met.__getitem__)[:count])  # stable: in the order they were met

    def _rounds(self, count: int) -> int:
        """How many nodes the fullest zone has to give."""
        rounds = 1
        while self._within(rounds) < count:
            rounds += 1
        return rounds

    def _within(self, rounds: int) -> int:
        """Nodes there are when no zone gives more than so many."""
        if rounds <= 1:
            return rounds * len(self._sizes)
        return sum(min(size, rounds) for size in self._sizes.values())
