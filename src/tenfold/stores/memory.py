"""A store in the memory of one process: bounded, holds the objects themselves.

The caches of one process that share a store are its nodes: each hears what any of them announces, itself included.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from tenfold.fields import setting
from tenfold.policies.cache.freshness import Entry
from tenfold.runtime.cache.bounded import BoundedMap
from tenfold.runtime.cache.store import Record
from tenfold.settings import configured


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings of the store in memory."""

    entries_max: int = setting(
        100_000, "How many keys it holds at most.", low=1, source="100 MB at 1 KB a value: a small part of a service"
    )


class MemoryStore:
    """Records in this process.

    Args:
        entries_max: how many keys it holds at most, a number or text such as "1M"; what is used again stays.
        monotonic_ns: the clock.

    Raises:
        UsageError: when a setting cannot be read or is out of bounds.
    """

    holds_bytes = False

    def __init__(
        self, entries_max: int | str = 100_000, *, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        settings = configured(_Settings, {"entries_max": entries_max}, "MemoryStore")
        self.now_ns = monotonic_ns
        self._records = BoundedMap(settings.entries_max)
        self._listeners: list[Callable[[str, bool], None]] = []

    def __repr__(self) -> str:
        return f"MemoryStore(entries_max={self._records.entries_max})"

    def __len__(self) -> int:
        self._records.expire(self.now_ns())
        return len(self._records)

    async def open(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        """Nothing to give back; the records stay for who opens it again."""

    async def get(self, key: str) -> Record | None:
        """The record, with a copy of its entry, or None."""
        held = self._records.get(key)
        if held is None or held[1] <= self.now_ns():
            return None
        return _copied(held[0])

    async def get_many(self, keys: Sequence[str]) -> list[Record | None]:
        """The records of many keys."""
        return [await self.get(key) for key in keys]

    async def swap(
        self, key: str, expected: Entry | None, record: Record, keep_ns: int, *, keeps_payload: bool = False
    ) -> tuple[bool, Record | None]:
        """Replace the record if its entry is still the expected one."""
        now_ns = self.now_ns()
        held = self._records.peek(key)
        standing = held[0] if held is not None and held[1] > now_ns else None
        if (standing.entry if standing else None) != expected:
            return False, _copied(standing) if standing else None
        payload = (standing.payload if standing else None) if keeps_payload else record.payload
        self._write(key, Record(record.entry, payload), now_ns + keep_ns, now_ns)
        return True, None

    async def put(self, records: Mapping[str, Record], keep_ns: Mapping[str, int]) -> None:
        """Write records whatever stands there."""
        now_ns = self.now_ns()
        for key, record in records.items():
            self._write(key, record, now_ns + keep_ns[key], now_ns)

    def _write(self, key: str, record: Record, expires_ns: int, now_ns: int) -> None:
        """Write a copy, after dropping what is past its time."""
        self._records.expire(now_ns)
        self._records.set(key, (_copied(record), expires_ns), expires_ns)

    async def announce(self, keys: Sequence[str], *, is_change: bool) -> None:
        """Tell every listener of this store at once."""
        for told in tuple(self._listeners):
            for key in keys:
                told(key, is_change)

    async def listen(
        self, told: Callable[[str, bool], None], lost: Callable[[], None]
    ) -> Callable[[], Awaitable[None]]:
        """Call `told` for every announcement, of this cache as well; `lost` never: nothing is missed here."""
        self._listeners.append(told)

        async def end() -> None:
            if told in self._listeners:
                self._listeners.remove(told)

        return end


def _copied(record: Record) -> Record:
    """The record with an entry of its own: who has it may change that."""
    entry = record.entry
    return Record(
        Entry(entry.fresh_until_ns, entry.blocked_until_ns, entry.token, entry.load_ns, entry.flags), record.payload
    )
