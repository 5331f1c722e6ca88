"""Leases in this process's memory: for threads of one process, and for tests."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from tenfold.errors import UsageError
from tenfold.runtime.ids.leases import Ask, Lease, LeaseLost, none_left

_NS_PER_MS = 1_000_000


@dataclass(slots=True)
class _Row:
    epoch: int
    expires_ms: int
    mark_ms: int
    holder: str


class MemoryLeaseStore:
    """See `LeaseStore`. A forked child is refused: its copy would lease the parent's workers again.

    Args:
        clock_ns: Unix time in ns.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns, self._lock, self._pid = clock_ns, threading.Lock(), os.getpid()
        self._rows: dict[tuple[str, int], _Row] = {}

    def acquire(self, ask: Ask) -> Lease:
        """Lease a free node."""
        self._check_owner()
        with self._lock:
            now_ms = self._clock_ns() // _NS_PER_MS
            node = self._free(ask, now_ms)
            row = self._rows.setdefault((ask.name, node), _Row(0, 0, 0, ""))
            before_ms, row.epoch, row.holder = row.mark_ms, row.epoch + 1, ask.holder
            return _held(row, Lease(ask.name, node, row.epoch, before_ms, 0, ask.ttl_ms, ask.holder), now_ms)

    def _free(self, ask: Ask, now_ms: int) -> int:
        """The node to lease."""
        there = {node: row for (name, node), row in self._rows.items() if name == ask.name}
        asked = {node: row for node, row in there.items() if ask.first <= node <= ask.last}
        free = [(row.mark_ms, node) for node, row in asked.items() if row.expires_ms <= now_ms]
        mark_ms, node = min(free, default=(now_ms, -1))
        if mark_ms < now_ms:
            return node
        unused = next((each for each in range(ask.first, ask.last + 1) if each not in asked), -1)
        if max(unused, node) < 0:
            raise none_left(ask, min(row.expires_ms for row in asked.values()) - now_ms)
        return unused if unused >= 0 else node

    def renew(self, lease: Lease) -> Lease:
        """Lengthen the lease."""
        self._check_owner()
        with self._lock:
            row = self._of(lease)
            if row is None:
                raise LeaseLost(lease)
            return _held(row, lease, self._clock_ns() // _NS_PER_MS)

    def _of(self, lease: Lease) -> _Row | None:
        """The lease's row, if it is still in force."""
        row = self._rows.get((lease.name, lease.node))
        if row is None or (row.epoch, row.holder) != (lease.epoch, lease.holder) or not row.expires_ms:
            return None
        return row

    def release(self, lease: Lease, mark_ms: int) -> None:
        """Give the node back."""
        self._check_owner()
        with self._lock:
            row = self._of(lease)
            if row is not None:
                row.expires_ms, row.mark_ms = 0, mark_ms

    def close(self) -> None:
        """Nothing is open."""

    def _check_owner(self) -> None:
        if os.getpid() != self._pid:
            raise UsageError(
                "a lease store in memory serves the process that made it, and this one was forked from it",
                "lease from sqlite:PATH, postgresql:// or redis://",
            )


def _held(row: _Row, lease: Lease, now_ms: int) -> Lease:
    """The lease from now on, and its row."""
    row.expires_ms = now_ms + lease.ttl_ms
    row.mark_ms = max(row.mark_ms, row.expires_ms)
    return replace(lease, limit_ms=row.mark_ms)


def open_store(url: str, timeout_ns: int) -> MemoryLeaseStore:
    """An empty store: `memory:`."""
    return MemoryLeaseStore()
