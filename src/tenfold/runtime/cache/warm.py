"""Warming up: load keys before they are asked for, at a rate the source can bear.

Theory. Keys are due at fixed moments, so the rate holds however long single loads take; what falls behind, because the
source is slower than the rate, is caught up for at most a few steps. Nothing newer is overwritten: a key that was
loaded, written or invalidated meanwhile is left alone. Each key gets its own jitter, so what was loaded together does
not expire together.
"""

import asyncio
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tenfold.policies.cache import freshness
from tenfold.runtime.cache.absent import ABSENT
from tenfold.runtime.cache.loads import Lease, Loads
from tenfold.runtime.cache.many import together
from tenfold.runtime.cache.store import Store, StoreUnavailable
from tenfold.runtime.cache.tags import versions_now
from tenfold.runtime.cache.views import Ask, BulkLoader, View, Views

STEP_S = 0.02  # between batches
BATCH_MAX = 1_000
STEPS_BEHIND = 5
BATCHES_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How far a warm-up has come. `position` is where to resume: all keys before it are done with."""

    position: int = 0
    loaded: int = 0
    fresh: int = 0  # not loaded: there was a fresh value
    failed: int = 0  # the loader raised, or the store was down
    overtaken: int = 0  # not stored: something newer was there
    elapsed_ns: int = 0


Progress = Callable[[WarmUp], Any]


@dataclass(slots=True)
class Pace:
    """How keys are warmed.

    Args:
        rate_per_s: keys per second.
        batch: keys of one step.
        loader: a bulk loader; None: each key by its ask's own.
        progress: told after every batch.
    """

    rate_per_s: float
    batch: int
    loader: BulkLoader | None
    progress: Progress | None

    @classmethod
    def of(cls, rate_per_s: float, batch: int, loader: BulkLoader | None, progress: Progress | None) -> "Pace":
        """With a batch for each step of 20 ms, unless it is given."""
        return cls(rate_per_s, batch or min(BATCH_MAX, max(1, math.ceil(rate_per_s * STEP_S))), loader, progress)


class Warming:
    """One warm-up.

    Args:
        store, views, loads: of the cache.
        pace: how fast, and by what.
        start: position to resume from.
    """

    def __init__(self, store: Store, views: Views, loads: Loads, pace: Pace, start: int) -> None:
        self._store = store
        self._views = views
        self._loads = loads
        self._pace = pace
        self._done = WarmUp(position=start)
        self._ended: dict[int, int] = {}  # batches that ended before an earlier one: from where to where
        self._started_s = 0.0

    async def run(self, asks: Iterable[Ask]) -> WarmUp:
        """Warm every key; a caller that is cancelled leaves nothing behind."""
        loop = asyncio.get_running_loop()
        self._started_s = due_s = loop.time()
        turns = asyncio.Semaphore(BATCHES_IN_FLIGHT)
        position = self._done.position
        async with asyncio.TaskGroup() as group:
            for batch in _batches(asks, self._pace.batch):
                step_s = len(batch) / self._pace.rate_per_s
                due_s = max(due_s, loop.time() - STEPS_BEHIND * step_s)
                await asyncio.sleep(due_s - loop.time())
                due_s += step_s
                await turns.acquire()
                task = group.create_task(self._warm(batch, position))
                task.add_done_callback(lambda _: turns.release())
                position += len(batch)
        return self._done

    async def _warm(self, asks: list[Ask], position: int) -> None:
        """One batch."""
        try:
            views = await self._views.read_many(asks, asks[0].tags)
        except StoreUnavailable:
            self._note(position, len(asks), failed=len(asks))
            return
        now_ns = self._store.now_ns()
        missing = [
            (ask, view)
            for ask, view in zip(asks, views, strict=True)
            if view.record is None or not _is_fresh(view, now_ns)
        ]
        found = await together(self._lease(ask, view, now_ns) for ask, view in missing)
        leases = [lease for lease in found if lease is not None]
        stored = await self._load(leases)
        self._note(
            position,
            len(asks),
            loaded=stored.count(True),
            fresh=len(asks) - len(missing),
            failed=len(missing) - len(leases) + stored.count(None),
            overtaken=stored.count(False),
        )

    async def _lease(self, ask: Ask, view: View, now_ns: int) -> Lease | None:
        """The right to store if nothing has changed by then; nobody is kept waiting for it."""
        try:
            versions = await versions_now(self._store, ask.config, ask.tags, view.known)
        except StoreUnavailable:
            return None
        token = view.record.entry.token if view.record else view.entry.token
        return Lease(ask, view.record, token, view.value, now_ns, versions)

    async def _load(self, leases: list[Lease]) -> list[bool | None]:
        """Load and store; for each whether it was stored, None when it failed."""
        if not leases:
            return []
        loader = self._pace.loader
        if loader is None:
            return await together(self._load_one(lease) for lease in leases)
        try:
            values = await self._loads.call(loader, [lease.ask.key for lease in leases], len(leases))
        except Exception:
            return [None] * len(leases)
        return await together(self._store_one(lease, values.get(lease.ask.key, ABSENT)) for lease in leases)

    async def _load_one(self, lease: Lease) -> bool | None:
        try:
            value = await self._loads.call(lease.ask.loader, lease.ask.key)
        except Exception:
            return None
        return await self._store_one(lease, value)

    async def _store_one(self, lease: Lease, value: Any) -> bool | None:
        try:
            payload = self._loads.packed(lease, value)
        except Exception:
            return None
        return await self._loads.keep(lease, value, payload)

    def _note(self, position: int, count: int, **more: int) -> None:
        """Add a batch to what is done, and tell."""
        done = self._done
        self._ended[position] = position + count
        reached = done.position
        while reached in self._ended:
            reached = self._ended.pop(reached)
        elapsed_ns = round((asyncio.get_running_loop().time() - self._started_s) * 1e9)
        sums = {name: getattr(done, name) + added for name, added in more.items()}
        self._done = replace(done, position=reached, elapsed_ns=elapsed_ns, **sums)
        if self._pace.progress is not None:
            self._pace.progress(self._done)


def _is_fresh(view: View, now_ns: int) -> bool:
    """Whether there is nothing to load; the view's entry is void when the value is."""
    return freshness.holds(view.entry, now_ns) or (view.entry.flags != 0 and now_ns < view.entry.fresh_until_ns)


def _batches(asks: Iterable[Ask], size: int) -> Iterator[list[Ask]]:
    rest = iter(asks)
    while batch := list(itertools.islice(rest, size)):
        yield batch
