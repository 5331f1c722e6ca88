"""Consistent hashing with bounded loads: no node has more than its part of the keys times a factor.

A key goes to the first node round the circle that has room (Mirrokni, Thorup and Zadimoghaddam, Consistent hashing with
bounded loads, SODA 2018). The bound is per key and holds at every step: with m keys on n nodes no node has more than
ceil(c m / n), by weight where nodes have one. Room that comes back is filled by the keys that were turned away there,
so at any time every key is on the first node of its walk that is not full.

Keys count alike. A hot key is one key here: see `hot` for those.
"""

import threading
from collections.abc import Iterable, Mapping
from fractions import Fraction

from tenfold.errors import UsageError
from tenfold.runtime.partition.hashing import Key
from tenfold.runtime.partition.ring import Ring

FACTOR = 1.25
"""A quarter above the mean: the value of Google's paper and of HAProxy's examples."""


class BoundedLoads:
    """Where each key is, under the bound. It has to see every key come and go; safe for threads.

    Args:
        ring: whose walk the keys follow.
        factor: c, above 1: 1.25 lets a node have a quarter more than its part.

    Raises:
        UsageError: the factor is not above 1.
    """

    def __init__(self, ring: Ring, factor: float = FACTOR) -> None:
        if not 1 < factor < 1e6:
            raise UsageError(f"a bound of {factor} times the mean", "write a factor above 1, such as 1.25")
        self._factor = Fraction(str(factor))
        self._lock = threading.RLock()
        self._take(ring)

    def _take(self, ring: Ring) -> None:
        self._ring = ring
        self._parts = _parts(ring, self._factor)
        self._walks: dict[Key, tuple[str, ...]] = {}  # of placed keys: nodes that turned it away, then its own
        self._kept: dict[str, int] = dict.fromkeys(self._parts, 0)
        self._turned_away: dict[str, dict[Key, None]] = {name: {} for name in self._parts}
        self._guests: dict[str, dict[Key, None]] = {name: {} for name in self._parts}
        self._at_home: dict[str, dict[Key, None]] = {name: {} for name in self._parts}

    @property
    def ring(self) -> Ring:
        """The ring whose walk the keys follow."""
        return self._ring

    @property
    def loads(self) -> Mapping[str, int]:
        """Keys on each node."""
        with self._lock:
            return dict(self._kept)

    def __len__(self) -> int:
        return len(self._walks)

    def node(self, key: Key) -> str | None:
        """The node of a placed key; None when it is not placed."""
        walk = self._walks.get(key)
        return walk[-1] if walk else None

    def room(self, name: str) -> int:
        """The most keys a node may have now: ceil(c x its part of the keys placed)."""
        return self._room(name, len(self._walks))

    def place(self, key: Key) -> str:
        """Place a key; its node. A placed key stays where it is."""
        with self._lock:
            if key in self._walks:
                return self._walks[key][-1]
            self._walks[key] = ()
            self._settle(key)
            self._call_back(self._full_with_room())
            return self._walks[key][-1]

    def remove(self, key: Key) -> None:
        """A key has gone: its room is filled by keys turned away there. Others may move, as the bound falls.

        Raises:
            UsageError: it is not placed.
        """
        with self._lock:
            if key not in self._walks:
                raise UsageError(f"the key {key!r} is not placed", "place it first")
            left = self._lift(key)
            del self._walks[key]
            for name in self._parts:
                while self._kept[name] > self.room(name):
                    self._push_out(name)
            self._call_back([left, *self._full_with_room()])

    def change(self, ring: Ring) -> dict[Key, tuple[str, str]]:
        """Follow another ring; keys are placed again in the order they came.

        Returns:
            Of the keys that moved, (from, to).
        """
        with self._lock:
            before = {key: walk[-1] for key, walk in self._walks.items()}
            self._take(ring)
            for key in before:
                self.place(key)
            return {key: (was, self._walks[key][-1]) for key, was in before.items() if was != self._walks[key][-1]}

    # The invariants. `_walks` holds for every key whom it was turned away by.

    def _room(self, name: str, keys: int) -> int:
        part = self._parts[name]
        return -(-part.numerator * keys // part.denominator)

    def _settle(self, key: Key) -> None:
        """Put a lifted key on the first node of its walk that has room."""
        passed: dict[str, None] = {}
        for name in self._ring.walk(key):
            if name in passed:
                continue
            if self._kept[name] < self.room(name):
                break
            passed[name] = None
            self._turned_away[name][key] = None
        else:
            raise AssertionError("the rooms of all nodes together hold every key")
        self._walks[key] = (*passed, name)
        self._kept[name] += 1
        (self._guests if passed else self._at_home)[name][key] = None

    def _lift(self, key: Key) -> str:
        """Take a key off its node and forget who turned it away; the node it was on."""
        *passed, name = self._walks[key]
        for each in passed:
            del self._turned_away[each][key]
        del (self._guests if passed else self._at_home)[name][key]
        self._kept[name] -= 1
        return name

    def _push_out(self, name: str) -> None:
        """Send the latest guest, else the latest of its own, further round."""
        key = next(reversed(self._guests[name] or self._at_home[name]))
        self._lift(key)
        self._settle(key)

    def _full_with_room(self) -> list[str]:
        """Nodes that turned keys away and have room now."""
        return [name for name, keys in self._turned_away.items() if keys and self._kept[name] < self.room(name)]

    def _call_back(self, names: Iterable[str]) -> None:
        """Let nodes with room take back the keys they turned away, which makes room elsewhere, and so on."""
        waiting = list(names)
        while waiting:
            name = waiting[-1]
            turned_away = self._turned_away[name]
            if not turned_away or self._kept[name] >= self.room(name):
                waiting.pop()
                continue
            key = next(iter(turned_away))
            left = self._lift(key)
            self._settle(key)
            waiting.append(left)


def _parts(ring: Ring, factor: Fraction) -> dict[str, Fraction]:
    """Per node, the room it has per key placed: c x weight / all weights, exactly."""
    weights = {node.name: Fraction(str(node.weight)) for node in ring.nodes}
    total = sum(weights.values())
    return {name: factor * weight / total for name, weight in weights.items()}
