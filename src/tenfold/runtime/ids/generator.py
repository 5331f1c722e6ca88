"""The generator: hands out the ids of one millisecond under a lock, and asks `turn` what the next millisecond is.

The wall clock is read once per millisecond and anchors it; within it only the monotonic clock is read, which cannot go
back. A step of the wall clock is therefore seen after at most a millisecond. The same look at the clocks checks the
lease: no id is made past its end. The lock is never held while anything waits.
"""

import os
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Self

from tenfold.errors import UsageError
from tenfold.fields import setting
from tenfold.runtime.ids.clocks import REAL, Clocks
from tenfold.runtime.ids.layout import DEFAULT, Layout
from tenfold.runtime.ids.refusals import ClockMovedBackwards
from tenfold.runtime.ids.turn import BACK, WAIT, Progress, turn
from tenfold.runtime.ids.workers import Grant, Worker
from tenfold.units import MS, S

BATCH_MAX = 10_000_000
_NO_GRANT = -1
_LOOK_AGAIN_NS = 50 * MS  # a long wait looks at the clock again this often: somebody may put it right
_SETTLE_MS = 1000  # how far apart two machines' clocks may be before a fresh lease counts as a clock set back


@dataclass(frozen=True, slots=True)
class Config:
    """How a generator treats a clock that does not behave."""

    drift_ns: int = setting(
        10 * MS,
        "How far the time in an id may be ahead of the clock, and how far the clock may go back unnoticed.",
        low=0,
        high=10 * S,
        source="a clock disciplined by NTP is stepped above 128 ms and slewed below; 10 ms is 40 k ids ahead",
    )
    on_clock_back: str = setting(
        "raise",
        "When the clock went back further: raise ClockMovedBackwards at once, or wait until it has caught up.",
        choices=("raise", "wait"),
        source="Snowflake raises: an error is seen, a thread that waits for an hour is not",
    )


class IdGenerator:
    """Unique ids, strictly increasing in the order they are handed out.

        ids = IdGenerator(FixedWorker(3, "worker 3"))
        ids.next(), next(ids), await anext(ids), ids.batch(1000)

    Threads may share it. After a fork the child's copy leases a worker of its own, or refuses when there is nothing to
    lease from. Call it from anywhere but a signal handler or a finalizer: those may interrupt it inside its lock.

    Args:
        worker: where the node comes from.
        layout: widths and epoch.
        config: what to do about clocks.
        clocks: real ones unless a test has its own.
    """

    __slots__ = (
        "__weakref__", "_clocks", "_config", "_grant", "_has_ids", "_is_closed", "_last", "_lock", "_monotonic_ns",
        "_progress", "_top", "_until_ns", "_worker", "layout",
    )  # fmt: skip

    def __init__(
        self, worker: Worker, layout: Layout = DEFAULT, config: Config | None = None, clocks: Clocks = REAL
    ) -> None:
        self.layout = layout
        self._worker, self._config, self._clocks = worker, config or Config(), clocks
        self._monotonic_ns = clocks.monotonic_ns
        self._progress = Progress()
        self._is_closed = False
        self._begin()
        _ALIVE.add(self)

    def _begin(self) -> None:
        """A state without a grant: the next id looks for one."""
        self._lock = threading.Lock()
        self._grant: Grant | None = None
        self._has_ids = False  # under this grant
        self._last, self._top, self._until_ns = 0, -1, 0  # the newest id; the last of its millisecond; look again then

    def next(self) -> int:
        """The next id. Blocks while ids are as far ahead of the clock as they may be.

        Raises:
            ClockMovedBackwards: see `Config.on_clock_back`.
            LeaseEnded: the lease could not be renewed in time.
            NoWorkerLeft: all workers are leased.
            LeaseStoreUnavailable: there is no lease yet and the store does not answer.
            UsageError: closed, forked from a fixed worker, or the layout's years are over.
        """
        while True:
            with self._lock:
                id_ = self._last + 1
                if id_ <= self._top and self._monotonic_ns() < self._until_ns:
                    self._last = id_
                    return id_
                wait_ns = self._turn()
                if not wait_ns:
                    self._last += 1
                    return self._last
            self._wait(wait_ns)

    def batch(self, count: int) -> list[int]:
        """So many ids at once, increasing; other threads' ids may stand between two of them.

        Args:
            count: 0 to 10 M.

        Raises:
            UsageError: another count; and whatever `next` raises. Ids made before that are not used again.
        """
        _check_count(count)
        ids: list[int] = []
        while wait_ns := self._take(ids, count):
            self._wait(wait_ns)
        return ids

    async def anext(self) -> int:
        """`next` for asyncio: waits, and leases, without blocking the loop."""
        while True:
            with self._lock:
                wait_ns = self._turn()
                if not wait_ns:
                    self._last += 1
                    return self._last
            await self._await(wait_ns)

    async def abatch(self, count: int) -> list[int]:
        """`batch` for asyncio."""
        _check_count(count)
        ids: list[int] = []
        while wait_ns := self._take(ids, count):
            await self._await(wait_ns)
        return ids

    def _take(self, ids: list[int], count: int) -> int:
        """Add ids until there are `count`; 0 then, else the ns to wait before going on."""
        while len(ids) < count:
            with self._lock:
                wait_ns = self._turn()
                if wait_ns:
                    return wait_ns
                first = self._last + 1
                self._last = min(self._top, self._last + count - len(ids))
                ids.extend(range(first, self._last + 1))
        return 0

    def _turn(self) -> int:
        """Make sure that another id may be made now (0), or say how many ns to wait; _NO_GRANT without a grant."""
        now_ns = self._monotonic_ns()
        if self._last < self._top and now_ns < self._until_ns:
            return 0
        grant = self._worker.current
        if grant is None or self._is_closed:
            return _NO_GRANT
        if grant is not self._grant:
            self._adopt(grant)
        if now_ns >= grant.stop_ns:
            raise self._worker.ended(grant, now_ns)
        return self._look_at_the_clock(grant, now_ns)

    def _adopt(self, grant: Grant) -> None:
        """Go on under another grant: a renewed one changes nothing, another node starts in a later millisecond."""
        before, self._grant = self._grant, grant
        if before is not None and (before.node, before.epoch) == (grant.node, grant.epoch):
            return
        progress = self._progress
        progress.last_ms = max(progress.last_ms, grant.mark_ms)
        progress.seen_ms = max(progress.seen_ms, grant.mark_ms)
        self._top, self._has_ids = self._last, False

    def _look_at_the_clock(self, grant: Grant, now_ns: int) -> int:
        """Choose the millisecond of the next ids: 0, or the ns to wait.

        Raises:
            ClockMovedBackwards: by more than is borne, and the user wants to know.
        """
        wall_ns = self._clocks.wall_ns()
        wall_ms, into_ns = divmod(wall_ns, MS)
        drift_ms = self._config.drift_ns // MS
        tolerated_ms = drift_ms if self._has_ids else max(drift_ms, _SETTLE_MS)
        before = replace(self._progress)
        answer, amount_ms = turn(self._progress, wall_ms, drift_ms, tolerated_ms, self._last >= self._top)
        if answer == BACK:
            return self._back(amount_ms)
        if answer == WAIT:
            return min(amount_ms * MS - into_ns, _LOOK_AGAIN_NS)
        try:
            self._check_time(amount_ms, grant, now_ns)
        except Exception:
            self._progress = before  # no id carries that time: it must not count when the clock comes back
            raise
        if amount_ms != before.last_ms or not self._has_ids:
            first = self.layout.first_id(amount_ms, grant.node)
            self._last, self._top, self._has_ids = first - 1, first + (1 << self.layout.sequence_bits) - 1, True
        self._until_ns = min(now_ns + MS - into_ns, grant.stop_ns)
        return 0

    def _check_time(self, unix_ms: int, grant: Grant, now_ns: int) -> None:
        """Refuse a time past the lease's limit, or outside of the layout's years."""
        if unix_ms > grant.limit_ms:
            raise self._worker.ended(grant, now_ns)
        if not self.layout.epoch_ms <= unix_ms <= self.layout.end_ms:
            raise UsageError(
                f"the clock shows {unix_ms} ms, outside of the layout's {self.layout.epoch_ms} to {self.layout.end_ms}",
                "put the clock right, or choose another epoch",
            )

    def _back(self, back_ms: int) -> int:
        """The clock went back: raise, or wait a little and look again."""
        if self._config.on_clock_back == "wait":
            return min(back_ms * MS, _LOOK_AGAIN_NS)
        than = "the newest id" if self._has_ids else "the mark of the worker's earlier holder"
        raise ClockMovedBackwards(back_ms * MS, than)

    def _wait(self, wait_ns: int) -> None:
        """Let time pass, or get a grant."""
        if wait_ns == _NO_GRANT:
            self._obtain()
        else:
            self._clocks.sleep_ns(wait_ns)

    async def _await(self, wait_ns: int) -> None:
        import asyncio

        if wait_ns == _NO_GRANT:
            await asyncio.to_thread(self._obtain)
        else:
            await asyncio.sleep(wait_ns / 1e9)

    def _obtain(self) -> Grant:
        if self._is_closed:
            raise UsageError("this generator is closed", "make ids before closing it, or make another generator")
        return self._worker.obtain()

    @property
    def grant(self) -> Grant | None:
        """The node in force, its epoch and limits; None before the first id and after a fork."""
        return self._worker.current

    @property
    def ahead_ms(self) -> int:
        """How far the newest id is ahead of the clock, in ms; 0 when it is not."""
        return max(0, self._progress.last_ms - self._clocks.wall_ns() // MS)

    def close(self) -> None:
        """Make no more ids and give the worker back, with the time of the newest id. Closing twice does nothing."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._top = -1
        self._worker.close(self._progress.last_ms if self._has_ids else -1)

    def _forked(self) -> None:
        """In the child: the parent's worker, and whoever held the lock, stay behind."""
        self._worker.forked()
        self._begin()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        return self.next()

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        return await self.anext()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        import asyncio

        await asyncio.to_thread(self.close)


def _check_count(count: int) -> None:
    if not 0 <= count <= BATCH_MAX:
        raise UsageError(f"a batch of {count} ids", f"ask for 0 to {BATCH_MAX:,} at a time")


_ALIVE: "weakref.WeakSet[IdGenerator]" = weakref.WeakSet()


def _after_fork() -> None:
    for generator in list(_ALIVE):
        generator._forked()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)
