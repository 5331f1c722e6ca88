"""What a cache asks of a store: records of an entry and a payload, changed by compare-and-swap.

The freshness policy decides in the process, on a copy of the entry; the store only compares and swaps. So there is one
policy for memory, Redis and the simulator, and none in a store's own language.

Time is the store's: every process of a service reads the same clock, whatever its machine's wall clock says.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tenfold.policies.cache.freshness import Entry


class StoreUnavailable(Exception):
    """The store did not answer: it is down, unreachable, or too slow."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a store holds for a key: the policy's entry, and the value when there is one."""

    entry: Entry
    payload: Any  # bytes when the store `holds_bytes`; None when there is no value


class Store(Protocol):
    """Records by key. Every method may raise StoreUnavailable; none raises anything else on the server's account."""

    holds_bytes: bool
    """Whether payloads are bytes; a store in memory holds the objects themselves."""

    async def open(self) -> None:
        """Connect, read the store's clock. Called once before the first use, again after `close`."""

    async def close(self) -> None:
        """Give back every connection, task and file."""

    def now_ns(self) -> int:
        """The store's time in ns since its epoch, without I/O; never steps back within a process."""

    async def get(self, key: str) -> Record | None:
        """The record, or None when there is none."""

    async def get_many(self, keys: Sequence[str]) -> list[Record | None]:
        """The records of many keys in one round trip."""

    async def swap(
        self, key: str, expected: Entry | None, record: Record, keep_ns: int, *, keeps_payload: bool = False
    ) -> tuple[bool, Record | None]:
        """Replace the record if its entry is still the expected one, atomically.

        Args:
            key: the key.
            expected: the entry seen before; None: there was no record.
            record: what stands there afterwards.
            keep_ns: the store may forget the record after so long.
            keeps_payload: only the entry changes, the payload stays as it is.

        Returns:
            True and None when swapped; False and what stands there instead otherwise.
        """

    async def put(self, records: Mapping[str, Record], keep_ns: Mapping[str, int]) -> None:
        """Write records whatever stands there, in one round trip."""

    async def announce(self, keys: Sequence[str], *, is_change: bool) -> None:
        """Tell every process that listens: these keys were loaded (wake waiters) or changed (drop local copies)."""

    async def listen(
        self, told: Callable[[str, bool], None], lost: Callable[[], None]
    ) -> Callable[[], Awaitable[None]]:
        """Call `told(key, is_change)` for every announcement of other processes, `lost()` when some may be missed.

        Returns:
            Ends the listening.
        """
