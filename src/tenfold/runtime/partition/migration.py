"""Running a plan while the service goes on: who is read, who is written, and how fast the copying goes.

Two things are separate that are often one: which map is in force, and where a key's newest value is. While a migration
is on, a key that moves is written to both nodes and read from its source until its range has been copied, then from its
destination. So the source stays complete until the end, and turning back loses nothing.

Copying begins only after `settle`: a writer that asked before the migration began may still be writing to the source
alone, and what it writes would be missed. It has to be longer than a write may take.

Of one process; others have to be told. Their order: every process begins the migration (writes go to both), one
process copies, every process learns what is done (`saved`), every process finishes, then the sources are cleared.
A process that lags reads from the source, which is complete.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tenfold.errors import UsageError
from tenfold.runtime.partition.hashing import Key
from tenfold.runtime.partition.plan import Move, Plan, plan
from tenfold.runtime.partition.ranges import Snapshot

Copy = Callable[[Move], Awaitable[float]]
"""Copies a range and answers how much that was, in any unit: rows, bytes. It may be called again for the same range,
and must not put an older value over a newer one."""

SETTLE_S = 5.0
"""Longer than a write takes, with its retries."""


class Route(NamedTuple):
    """Where a key is read and written now, and by which version of the map."""

    read: str
    write: tuple[str, ...]  # all of them, the one that is read first
    version: int


@dataclass(slots=True)
class Pace:
    """Keeps an average rate: after so many units the next step may begin when they are paid for."""

    per_s: float | None
    free_at_s: float = 0.0

    def wait_s(self, now_s: float) -> float:
        """Time until the next step may begin, in s."""
        return max(0.0, self.free_at_s - now_s) if self.per_s else 0.0

    def paid(self, now_s: float, units: float) -> None:
        """So much was copied. Time in which nothing was copied is not saved up."""
        if self.per_s:
            self.free_at_s = max(now_s, self.free_at_s) + units / self.per_s


class Migration:
    """A plan under way.

    Args:
        plan: what has to move; `plan.cut(1e-4)` makes steps small enough to pause and throttle well.
        saved: what `saved` gave before, to go on where another process stopped.

    Raises:
        UsageError: `saved` is of another plan.
    """

    def __init__(self, plan: Plan, saved: Mapping[str, Any] | None = None) -> None:
        self.plan = plan
        self._is_done = bytearray(len(plan.moves))
        self._under_way: set[int] = set()
        self._next = 0
        self._lock = threading.Lock()
        self._is_paused = False
        if saved is not None:
            self.learn(saved)

    # What is done.

    def is_done(self, place: int) -> bool | None:
        """Whether the range of a hash has been copied; None when the hash does not move."""
        number = self.plan.index_of(place)
        return None if number < 0 else bool(self._is_done[number])

    @property
    def is_complete(self) -> bool:
        """Whether every range has been copied."""
        return all(self._is_done)

    @property
    def share_done(self) -> float:
        """The part of what moves that has been copied, 0 to 1."""
        total = self.plan.share
        done = sum(move.share for move, is_done in zip(self.plan.moves, self._is_done, strict=True) if is_done)
        return done / total if total else 1.0

    def saved(self) -> dict[str, Any]:
        """What is done, as plain values for JSON: for a restart, or for the other processes."""
        done = [number for number, is_done in enumerate(self._is_done) if is_done]
        return {"plan": self.plan.digest, "done": _runs(done)}

    def learn(self, saved: Mapping[str, Any]) -> None:
        """Take over what another process has copied.

        Raises:
            UsageError: it is of another plan.
        """
        if saved.get("plan") != self.plan.digest:
            raise UsageError("the saved progress is of another plan", "make the plan from the same two maps, cut alike")
        with self._lock:
            for first, last in saved["done"]:
                self._is_done[first : last + 1] = b"\1" * (last + 1 - first)

    # Step by step, for those who do not run it with asyncio.

    def begin(self) -> int:
        """The number of the next move to copy; -1: none is waiting, or it is paused."""
        with self._lock:
            while not self._is_paused and self._next < len(self._is_done):
                number, self._next = self._next, self._next + 1
                if not self._is_done[number] and number not in self._under_way:
                    self._under_way.add(number)
                    return number
            return -1

    def copied(self, number: int) -> None:
        """A move begun with `begin` has been copied: from now on its keys are read from the destination."""
        with self._lock:
            self._under_way.discard(number)
            self._is_done[number] = 1

    def failed(self, number: int) -> None:
        """A move begun with `begin` was not copied: it waits again."""
        with self._lock:
            self._under_way.discard(number)
            self._next = min(self._next, number)

    def pause(self) -> None:
        """Begin no further move. Those under way end; `run` returns after them. From any thread."""
        self._is_paused = True

    def resume(self) -> None:
        """Allow moves again; call `run` again, or go on with `begin`."""
        self._is_paused = False

    @property
    def is_paused(self) -> bool:
        """Whether no further move begins."""
        return self._is_paused

    # With asyncio.

    async def run(
        self,
        copy: Copy,
        *,
        in_flight: int = 1,
        per_s: float | None = None,
        settle_s: float = SETTLE_S,
        clock_s: Callable[[], float] | None = None,
    ) -> bool:
        """Copy what is waiting, until all is done or `pause` is called.

        Args:
            copy: copies one range; answers how much that was.
            in_flight: ranges copied at a time.
            per_s: at most so much is copied per second on average, in the unit of `copy`; None is no limit.
            settle_s: waits so long before the first range; see the module's text.
            clock_s: monotonic time; None is the event loop's.

        Returns:
            Whether all is done.

        Raises:
            ExceptionGroup: `copy` failed. Its range waits again, so `run` may be called again.
        """
        now_s = clock_s or asyncio.get_running_loop().time
        pace = Pace(per_s)
        await asyncio.sleep(settle_s)
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(self._copy_one_by_one(copy, pace, now_s))
        return self.is_complete

    async def _copy_one_by_one(self, copy: Copy, pace: Pace, now_s: Callable[[], float]) -> None:
        while not self._is_paused:
            wait_s = pace.wait_s(now_s())
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                continue
            number = self.begin()
            if number < 0:
                return
            try:
                units = await copy(self.plan.moves[number])
            except BaseException:
                self.failed(number)
                raise
            self.copied(number)
            pace.paid(now_s(), units)


class _View(NamedTuple):
    """What a reader sees: swapped as one."""

    current: Snapshot
    following: Snapshot | None = None
    migration: Migration | None = None


class Router:
    """The map in force, and the way to the next one. Readers of any thread see either the one or the other.

    Args:
        current: a ring, a slot table, or ranges.
    """

    def __init__(self, current: Snapshot) -> None:
        self._view = _View(current)

    @property
    def current(self) -> Snapshot:
        """The map in force. A reader that asks several times holds it and gets answers of one version."""
        return self._view.current

    @property
    def migration(self) -> Migration | None:
        """The migration that is on."""
        return self._view.migration

    def route(self, key: Key) -> Route:
        """Where a key is read and written now."""
        view = self._view
        if view.migration is None or view.following is None:
            node = view.current.node(key)
            return Route(node, (node,), view.current.version)
        place = view.migration.plan.hashing.of(key)
        number = view.migration.plan.index_of(place)
        if number < 0:
            node = view.current.node(key)
            return Route(node, (node,), view.current.version)
        move = view.migration.plan.moves[number]
        if view.migration.is_done(place):
            return Route(move.destination, (move.destination, move.source), view.following.version)
        return Route(move.source, (move.source, move.destination), view.current.version)

    def switch(self, following: Snapshot) -> None:
        """Put another map in force at once: for caches, whose values may be lost.

        Raises:
            UsageError: a migration is on.
        """
        self._refuse_while_migrating()
        self._view = _View(following)

    def migrate(
        self, following: Snapshot, *, share_max: float = 1e-4, saved: Mapping[str, Any] | None = None
    ) -> Migration:
        """Begin the migration to another map: what moves is written to both nodes from now on.

        Args:
            following: the map to come.
            share_max: the most one step may copy, as a part of all hashes.
            saved: progress of another process with the same maps.

        Raises:
            UsageError: a migration is on, the hashes differ, or `saved` is of another plan.
        """
        self._refuse_while_migrating()
        migration = Migration(plan(self.current, following).cut(share_max), saved)
        self._view = _View(self.current, following, migration)
        return migration

    def finish(self) -> None:
        """Put the map to come in force. The sources' copies may go when every process has finished.

        Raises:
            UsageError: no migration is on, or it is not complete.
        """
        view = self._view
        if view.migration is None or view.following is None:
            raise UsageError("no migration is on", "begin one with migrate")
        if not view.migration.is_complete:
            share = view.migration.share_done
            raise UsageError(f"only {share:.0%} of what moves has been copied", "run it to the end, or turn back")
        self._view = _View(view.following)

    def turn_back(self) -> None:
        """Give the migration up. Nothing is lost: the sources were written all the time.

        Raises:
            UsageError: no migration is on.
        """
        if self._view.migration is None:
            raise UsageError("no migration is on", "there is nothing to turn back from")
        self._view.migration.pause()
        self._view = _View(self._view.current)

    def _refuse_while_migrating(self) -> None:
        if self._view.migration is not None:
            raise UsageError("a migration is on", "finish it or turn back first")


def _runs(numbers: Iterable[int]) -> list[list[int]]:
    """Ascending numbers as [first, last] of every unbroken row."""
    rows: list[list[int]] = []
    for number in numbers:
        if rows and rows[-1][1] + 1 == number:
            rows[-1][1] = number
        else:
            rows.append([number, number])
    return rows
