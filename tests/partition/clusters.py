"""Node sets and keys the partition tests share."""

from tenfold.partition import Hashing, Key, Ring
from tenfold.runtime.partition.hashing import hashing_of

TEN = tuple(f"node-{number}" for number in range(10))


def named(number: int, count: int = 10) -> list[str]:
    """The names of one of many clusters."""
    return [f"cluster-{number}/node-{each}" for each in range(count)]


def keys(count: int) -> list[Key]:
    return [f"user:{number}" for number in range(count)]


def coarse_hashing() -> Hashing:
    """A hash of 8 bits: collisions everywhere."""
    fine = hashing_of("blake2b")
    return Hashing("coarse", lambda text: fine.key(text) >> 56 << 56, lambda text: fine.point(text) >> 56 << 56)


def table_of(ring: Ring) -> tuple[list[int], list[str]]:
    """The ring's points as they are searched."""
    return list(ring._hashes), list(ring._owners)
