"""Who owns which hashes: the common form of rings and slot tables, and of what lies between two of them."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tenfold.runtime.partition.hashing import HASH_MAX, SPACE, Hashing, Key
from tenfold.runtime.partition.nodes import digest_of


@dataclass(frozen=True, slots=True)
class HashRanges:
    """An immutable map in ranges of hashes: range i ends with `ends[i]` and belongs to `owners[i]`.

    Neighbours have different owners and the last range ends with 2^64 - 1, so equal maps are equal values.
    """

    ends: tuple[int, ...]
    owners: tuple[str, ...]
    hashing: Hashing
    version: int = 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HashRanges) and self._map == other._map

    def __hash__(self) -> int:
        return hash(self._map)

    @property
    def _map(self) -> tuple[object, ...]:
        """All but the version: the same map may be reached twice."""
        return self.ends, self.owners, self.hashing

    def node(self, key: Key) -> str:
        """The node that keeps a key."""
        return self.owner(self.hashing.of(key))

    def owner(self, place: int) -> str:
        """The node that owns a hash."""
        return self.owners[bisect_left(self.ends, place)]

    def ranges(self) -> "HashRanges":
        """Itself."""
        return self

    def shares(self) -> dict[str, float]:
        """The part of all hashes each node owns; they add up to 1."""
        owned: dict[str, int] = dict.fromkeys(sorted(set(self.owners)), 0)
        for first, last, owner in self:
            owned[owner] += last - first + 1
        return {name: places / SPACE for name, places in owned.items()}

    @property
    def digest(self) -> str:
        """A fingerprint of the map, whatever its version."""
        return digest_of("ranges", self.hashing.name, self.ends, self.owners)

    def __iter__(self) -> Iterator[tuple[int, int, str]]:
        """(first hash, last hash, owner) of every range."""
        first = 0
        for last, owner in zip(self.ends, self.owners, strict=True):
            yield first, last, owner
            first = last + 1


class Snapshot(Protocol):
    """What rings, slot tables and ranges have in common: an immutable answer to "which node?"."""

    @property
    def version(self) -> int:
        """Which one in the row of changes this is."""

    @property
    def digest(self) -> str:
        """A fingerprint of the map."""

    def node(self, key: Key) -> str:
        """The node that keeps a key."""

    def ranges(self) -> HashRanges:
        """Who owns which hashes."""


def ranges_of(ends: Sequence[int], owners: Sequence[str], hashing: Hashing, version: int) -> HashRanges:
    """Ranges from sorted ends with repetitions (the first of equal ones counts); what is after the last end belongs to
    the first owner, as on a circle."""
    pieces = [*zip(ends, owners, strict=False), (HASH_MAX, owners[0])]
    return joined(pieces, hashing, version)


def joined(pieces: Iterable[tuple[int, str]], hashing: Hashing, version: int) -> HashRanges:
    """Ranges from (last hash, owner) in order: empty ones are left out, neighbours of one owner become one."""
    ends: list[int] = []
    owners: list[str] = []
    for last, owner in pieces:
        if ends and last <= ends[-1]:
            continue
        if owners and owners[-1] == owner:
            ends[-1] = last
        else:
            ends.append(last)
            owners.append(owner)
    return HashRanges(tuple(ends), tuple(owners), hashing, version)
