"""A clock whose hands a test moves, and generators on it."""

from dataclasses import dataclass, field
from itertools import pairwise

from tenfold import ids
from tenfold.stores.leases.memory import MemoryLeaseStore
from tenfold.units import MS, S

NOON_NS = 1_800_000_000 * S
TTL_NS, MARGIN_NS = 30 * S, 3 * S


@dataclass
class Hands:
    """Wall and monotonic time in ns. Sleeping moves both, `step` only the wall clock."""

    wall: int = NOON_NS
    monotonic: int = 5 * S
    slept: list[int] = field(default_factory=list)

    def wall_ns(self) -> int:
        return self.wall

    def monotonic_ns(self) -> int:
        return self.monotonic

    def sleep_ns(self, wait_ns: int) -> None:
        self.slept.append(wait_ns)
        self.go_on(wait_ns)

    def go_on(self, ns: int) -> None:
        self.wall += ns
        self.monotonic += ns

    def step(self, ns: int) -> None:
        self.wall += ns

    @property
    def clocks(self) -> ids.Clocks:
        return ids.Clocks(self.wall_ns, self.monotonic_ns, self.sleep_ns)


def fixed(hands: Hands, worker: int = 3, **more: object) -> ids.IdGenerator:
    return ids.generator(worker=worker, clocks=hands.clocks, **more)


def leased(hands: Hands, store: ids.LeaseStore | None = None, **more: object) -> ids.IdGenerator:
    return ids.generator(store or MemoryLeaseStore(hands.wall_ns), clocks=hands.clocks, **more)


def times_ms(made: list[int]) -> list[int]:
    return [int(ids.decode(id_).time.timestamp() * 1000 + 0.5) for id_ in made]


def rising(made: list[int]) -> bool:
    return all(one < other for one, other in pairwise(made))


__all__ = ["MARGIN_NS", "MS", "NOON_NS", "TTL_NS", "Hands", "fixed", "leased", "rising", "times_ms"]
