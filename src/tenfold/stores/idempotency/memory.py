"""Keys in the memory of one process: for tests, and for services of one process that may forget when they restart.

It never forgets a key before its time to make room: a key forgotten is work done twice. When it is full it says so.
"""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass

from tenfold.fields import setting
from tenfold.runtime.idempotency.store import CLAIMED, DONE, MISMATCH, RUNNING, UNKNOWN, Answer, Ask, StoreUnavailable
from tenfold.settings import configured

SWEPT = 2  # keys whose time is over, looked for by every claim: more than it adds


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings of the store in memory."""

    keys_max: int = setting(1_000_000, "How many keys it holds at most.", low=1, source="12 a second for a day")


@dataclass(slots=True)
class _Row:
    """A key that is not absent."""

    fingerprint: bytes
    token: int
    lease_until_ns: int
    forget_at_ns: int
    response: bytes | None = None


class MemoryStore:
    """See `runtime.idempotency.store.Store`.

    Args:
        keys_max: how many keys it holds, a number or text such as "1M"; beyond that it is unavailable.
        monotonic_ns: the clock.

    Raises:
        UsageError: when the setting cannot be read or is out of bounds.
    """

    def __init__(self, keys_max: int | str = 1_000_000, *, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        settings: _Settings = configured(_Settings, {"keys_max": keys_max}, "MemoryStore")
        self._keys_max = settings.keys_max
        self._now_ns = monotonic_ns
        self._rows: dict[str, _Row] = {}
        self._forget: list[tuple[int, str]] = []  # a heap; a row may have been kept for longer since

    def __len__(self) -> int:
        return len(self._rows)

    async def begin(self, ask: Ask) -> Answer:
        """Claim the key."""
        now_ns = self._now_ns()
        self._sweep(SWEPT, now_ns)
        row = self._rows.get(ask.key)
        if row is not None and row.forget_at_ns > now_ns:
            standing = _standing(row, ask, now_ns)
            if standing is not None:
                return standing
        elif row is None and len(self._rows) >= self._keys_max:
            raise StoreUnavailable(f"the store in memory holds {self._keys_max} keys: give it a larger keys_max")
        forget_at_ns = now_ns + ask.keep_ns
        self._rows[ask.key] = _Row(ask.fingerprint, ask.token, now_ns + ask.lease_ns, forget_at_ns)
        heapq.heappush(self._forget, (forget_at_ns, ask.key))
        return Answer(CLAIMED)

    async def extend(self, ask: Ask) -> bool:
        """Lengthen the lease."""
        now_ns = self._now_ns()
        row = self._held(ask, now_ns)
        if row is not None:
            row.lease_until_ns, row.forget_at_ns = now_ns + ask.lease_ns, now_ns + ask.keep_ns
        return row is not None

    async def complete(self, ask: Ask, response: bytes) -> bool:
        """Keep the answer."""
        row = self._held(ask, self._now_ns())
        if row is not None:
            row.response = response
        return row is not None

    async def release(self, ask: Ask) -> None:
        """Forget the key."""
        if self._held(ask, self._now_ns()) is not None:
            del self._rows[ask.key]

    async def sweep(self, limit: int) -> int:
        """Delete keys whose time is over."""
        return self._sweep(limit, self._now_ns())

    async def close(self) -> None:
        """Nothing to give back; the keys stay."""

    def _held(self, ask: Ask, now_ns: int) -> _Row | None:
        """The row, when it is the token's and not done."""
        row = self._rows.get(ask.key)
        is_held = row is not None and row.token == ask.token and row.response is None and row.forget_at_ns > now_ns
        return row if is_held else None

    def _sweep(self, limit: int, now_ns: int) -> int:
        """Each claim is in the heap once, and looked at again only when its row is kept for longer."""
        swept, heap = 0, self._forget
        while heap and heap[0][0] <= now_ns and swept < limit:
            _, key = heapq.heappop(heap)
            row = self._rows.get(key)
            if row is None:
                continue
            if row.forget_at_ns > now_ns:
                heapq.heappush(heap, (row.forget_at_ns, key))
            else:
                del self._rows[key]
                swept += 1
        return swept


def _standing(row: _Row, ask: Ask, now_ns: int) -> Answer | None:
    """Why the key is not the asker's; None: it may have it."""
    if row.fingerprint != ask.fingerprint:
        return Answer(MISMATCH)
    if row.response is not None:
        return Answer(DONE, row.response)
    if row.lease_until_ns > now_ns:
        return Answer(RUNNING)
    return None if ask.runs_unknown else Answer(UNKNOWN)
