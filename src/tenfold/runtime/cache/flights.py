"""Single flight: of all callers who want a key now, one looks; whatever has to be done for it is done once.

    first look (in the caller's own task)
              HIT, STALE, NEGATIVE   served
              STALE_LOAD             served; a task refreshes
              LOAD, WAIT, FAIL       a task brings it; the caller waits like all others
    task      LOAD   the lease is swapped in, then it loads; somebody was faster: look at what stands there
              WAIT   until something is announced, at most until the lease ends; look again
              FAIL   the callers are refused

The task is nobody's child: a caller that is cancelled leaves, the others get the value. When the last one leaves, a
task that does not load ends, one that does goes on if the policy lets late answers fill. Without `lock` every caller
has a flight of its own, as without a cache's help.
"""

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from tenfold.policies.cache import freshness
from tenfold.policies.cache.freshness import FAIL, HIT, NEGATIVE, STALE, STALE_LOAD, WAIT
from tenfold.runtime.attempt import CURRENT
from tenfold.runtime.cache import records
from tenfold.runtime.cache import tags as tagging
from tenfold.runtime.cache.counts import Counts
from tenfold.runtime.cache.errors import CacheClosed
from tenfold.runtime.cache.flight import Flight
from tenfold.runtime.cache.loads import Lease, Loads
from tenfold.runtime.cache.local import LocalLayer
from tenfold.runtime.cache.outage import Outage
from tenfold.runtime.cache.payload import NO_TAGS, Versions
from tenfold.runtime.cache.store import Store, StoreUnavailable
from tenfold.runtime.cache.views import NOTHING, Ask, BulkLoader, View, Views

PENDING: Final = object()
"""The first look has missed: wait for the flight."""

SERVED = (HIT, STALE, NEGATIVE, STALE_LOAD)


class Flights:
    """Every key that is on its way in this process.

    Args:
        store, views, loads, outage: what a flight asks.
        local: where copies go.
        counts: where callers are counted.
        soft_ns: how long a caller waits when there is an old value.
    """

    def __init__(
        self,
        store: Store,
        views: Views,
        loads: Loads,
        outage: Outage,
        local: LocalLayer | None,
        counts: Counts,
        soft_ns: int,
    ) -> None:
        self._store = store
        self._views = views
        self._loads = loads
        self._outage = outage
        self._local = local
        self._counts = counts
        self._soft_ns = soft_ns
        self._by_key: dict[str, Flight] = {}  # those that may be joined
        self._asleep: dict[str, set[Flight]] = {}  # those that wait for a load elsewhere
        self._refreshing: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks) + len(self._by_key)

    # Callers.

    async def get(self, ask: Ask) -> Any:
        """The value, by whichever way."""
        flight = self._by_key.get(ask.key)
        if flight is not None:
            value = self.board(flight)
            return value if value is not PENDING else await self.wait(flight)
        flight = self.take_off(ask)
        try:
            view = await self._views.read(ask)
        except StoreUnavailable as error:
            value = self.without_store(flight, error)
        except BaseException as error:
            self.leave_unread(flight, error)
            raise
        else:
            value = self.first_look(flight, view)
        return value if value is not PENDING else await self.wait(flight)

    def joinable(self, key: str) -> Flight | None:
        """The flight of a key, if there is one."""
        return self._by_key.get(key)

    def take_off(self, ask: Ask) -> Flight:
        """A flight that has to be given its first look, come what may."""
        flight = Flight(ask)
        if ask.config.lock:
            self._by_key[ask.key] = flight
        return flight

    def board(self, flight: Flight) -> Any:
        """Join a flight of another caller: PENDING, or the old value when the load has taken too long already."""
        if flight.has_missed:
            self._counts.misses += 1
            if flight.old is not NOTHING:
                self._counts.stale += 1
                return flight.old
            self._counts.waits += 1
        return PENDING

    async def wait(self, flight: Flight) -> Any:
        """Wait for the end of a flight; the last to leave early may end it."""
        try:
            return await flight.wait()
        except asyncio.CancelledError:
            self.left(flight)
            raise

    def left(self, flight: Flight) -> None:
        """A caller has gone before the end."""
        if flight.waiting or flight.task is None or flight.is_asking or flight.old is not NOTHING:
            return
        if flight.holds_lease and freshness.fills_late(flight.ask.config):
            return
        self._land(flight)
        flight.task.cancel()

    def first_look(self, flight: Flight, view: View) -> Any:
        """Serve at once, or start the task and answer PENDING."""
        callers = 1 + flight.waiting
        counts, ask = self._counts, flight.ask
        if view.answer not in SERVED:
            self._missed(flight, callers)
            self._arm(flight, view)
            self._start(flight, self._bring, flight, view)
            return PENDING
        counts.hits += callers
        if view.answer == HIT or view.answer == NEGATIVE:
            self._copy(ask, view)
            counts.negative += callers if view.answer == NEGATIVE else 0
        elif view.answer == STALE or not freshness.holds(view.entry, self._store.now_ns()):
            counts.stale += callers
        self._land(flight)
        flight.land(view.value)
        if view.answer == STALE_LOAD:
            self.refresh(ask, view)
        return view.value

    def without_store(self, flight: Flight, error: StoreUnavailable) -> Any:
        """The first look when the store is down."""
        callers = 1 + flight.waiting
        self._counts.bypassed += 1
        try:
            value = self._outage.instead(flight.ask, error)
        except Exception as refusal:
            self._land(flight)
            flight.crash(refusal)
            raise
        if value is NOTHING:
            self._missed(flight, callers)
            flight.holds_lease = True  # of this process: there is no other
            self._start(flight, self._loads.alone, flight.ask)
            return PENDING
        self._counts.hits += callers
        self._counts.stale += callers
        self._land(flight)
        flight.land(value)
        return value

    def leave_unread(self, flight: Flight, error: BaseException) -> None:
        """The caller that was to look first has ended: a task looks for the others, or they share its error."""
        if isinstance(error, asyncio.CancelledError) and flight.waiting:
            self._missed(flight, flight.waiting)
            self._start(flight, self._bring, flight, None)
            return
        self._land(flight)
        flight.crash(error)

    def refresh(self, ask: Ask, view: View) -> None:
        """Load in the background, once at a time when there is a lock."""
        if ask.config.lock:
            if ask.key in self._refreshing:
                return
            self._refreshing.add(ask.key)
        task = self._spawn(self._refresh(ask, view))
        # Not at the end of the task's own text: one that is cancelled before it starts never gets there.
        task.add_done_callback(lambda _: self._refreshing.discard(ask.key))

    # What is heard of.

    def told(self, key: str) -> None:
        """Something was announced of a key: who waits for a load elsewhere looks again."""
        for flight in tuple(self._asleep.get(key, ())):
            flight.wake()

    def changed(self, key: str) -> None:
        """A key was written or invalidated: loads in flight keep their callers, and get no others."""
        self._by_key.pop(key, None)
        self.told(key)

    def tag_changed(self, tag: str) -> None:
        """As `changed`, for every key on its way under a tag."""
        for key in [key for key, flight in self._by_key.items() if tag in flight.ask.tags]:
            self.changed(key)

    def lost(self) -> None:
        """Something may have been missed: everybody looks again."""
        for key in tuple(self._asleep):
            self.told(key)

    async def close(self) -> None:
        """End every task; who waits is told CacheClosed."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for flight in tuple(self._by_key.values()):
            self._closed(flight)

    def forget(self) -> None:
        """After a fork: what is on its way is the parent's."""
        self._by_key.clear()
        self._asleep.clear()
        self._refreshing.clear()
        self._tasks.clear()

    # The task.

    def _start(self, flight: Flight, bring: Callable[..., Awaitable[Any]], *args: Any) -> None:
        flight.task = self._spawn(self._carry(flight, bring, *args))
        flight.task.add_done_callback(lambda _: self._closed(flight))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        around = contextvars.copy_context()
        around.run(CURRENT.set, None)  # a load is for everybody: no deadline of the caller that began it binds it
        task = asyncio.get_running_loop().create_task(work, context=around)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _closed(self, flight: Flight) -> None:
        """Whoever still waits, whatever the reason, does so no longer."""
        self._land(flight)
        flight.crash(CacheClosed("the cache was closed"))

    async def _carry(self, flight: Flight, bring: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Bring the value, and tell everybody."""
        try:
            value = await bring(*args)
        except Exception as error:  # whatever it is, the callers get it
            self._land(flight)
            flight.crash(error)
        else:
            self._land(flight)
            flight.land(value)
        finally:
            if flight.holds_lease:
                await self._announce(flight.ask)

    async def _bring(self, flight: Flight, view: View | None) -> Any:
        """The value, after whatever it takes."""
        try:
            found = await self._lease_or_value(flight, view)
        except StoreUnavailable as error:
            flight.is_asking = False
            self._counts.bypassed += 1
            value = self._outage.instead(flight.ask, error)
            if value is not NOTHING:
                return value
            flight.holds_lease = True  # of this process
            return await self._loads.alone(flight.ask)
        return await self._lead(flight, found) if isinstance(found, Lease) else found

    async def _lease_or_value(self, flight: Flight, view: View | None) -> Any:
        """The right to load, or what somebody else has loaded."""
        while True:
            if view is None:
                flight.was_told = False
                view = await self._views.read(flight.ask)
            if view.answer == FAIL:
                raise self._loads.backed_off(flight.ask.key, view.wait_ns)
            if view.answer in SERVED:
                return self._found(flight.ask, view)
            if view.answer == WAIT:
                await self._sleep(flight, view.wait_ns)
                view = None
                continue
            flight.is_asking = True
            taken = await self._take_lease(flight.ask, view)
            flight.is_asking = False
            if isinstance(taken, Lease):
                return taken
            view = taken

    def lead_many(self, missing: Sequence[tuple[Flight, View]], loader: BulkLoader) -> None:
        """Load many keys by one call. It goes on when callers leave: it is not for one of them alone."""
        for flight, view in missing:
            self._missed(flight, 1 + flight.waiting)
            self._arm(flight, view)
        task = self._spawn(self._carry_many(missing, loader))
        task.add_done_callback(lambda _: self._closed_many(missing))

    def _closed_many(self, missing: Sequence[tuple[Flight, View]]) -> None:
        for flight, _ in missing:
            if flight.task is None:  # else it was handed over to a task of its own
                self._closed(flight)

    async def _carry_many(self, missing: Sequence[tuple[Flight, View]], loader: BulkLoader) -> None:
        """Take the leases, load what was got, bring one by one what others were faster with."""
        taken = await asyncio.gather(
            *(self._take_lease(flight.ask, view) for flight, view in missing), return_exceptions=True
        )
        leases: list[Lease] = []
        leading: list[Flight] = []
        for (flight, _), got in zip(missing, taken, strict=True):
            if isinstance(got, Lease):
                leases.append(got)
                leading.append(flight)
            else:
                self._start(flight, self._bring, flight, got if isinstance(got, View) else None)
        if not leases:
            return
        try:
            ended = await self._loads.load_many(leases, loader)
            for flight, answer in zip(leading, ended, strict=True):
                self._end_one(flight, answer)
        finally:
            await self._announce_all([lease.ask for lease in leases])

    def _end_one(self, flight: Flight, answer: tuple[Any, bool] | BaseException) -> None:
        """One of many has its value or error."""
        self._land(flight)
        if isinstance(answer, BaseException):
            flight.crash(answer)
            return
        self._counts.stale += flight.land(answer[0]) * answer[1]

    async def _lead(self, flight: Flight, lease: Lease) -> Any:
        """Load for the flight."""
        flight.holds_lease = True
        if not flight.waiting and flight.old is NOTHING and not freshness.fills_late(flight.ask.config):
            await self._loads.give_up(lease)
            return NOTHING
        value, is_old = await self._loads.load(lease)
        if is_old:
            self._counts.stale += flight.waiting
        return value

    def _found(self, ask: Ask, view: View) -> Any:
        """Somebody else has loaded it."""
        if view.answer == HIT or view.answer == NEGATIVE:
            self._copy(ask, view)
        elif view.answer == STALE_LOAD:
            self.refresh(ask, view)
        return view.value

    async def _sleep(self, flight: Flight, wait_ns: int) -> None:
        """Wait for a load elsewhere; what was announced since the record was read counts."""
        key = flight.ask.key
        sleepers = self._asleep.setdefault(key, set())
        sleepers.add(flight)
        try:
            if not flight.was_told:
                await flight.sleep(wait_ns)
        finally:
            sleepers.discard(flight)
            if not sleepers and self._asleep.get(key) is sleepers:
                del self._asleep[key]

    async def _take_lease(self, ask: Ask, view: View) -> Lease | View:
        """The lease of a load the policy has granted, or what stands there since somebody was faster."""
        from_ns = self._store.now_ns()
        if not ask.config.lock:
            return Lease(ask, view.record, view.token, view.value, from_ns, await self._versions(ask, view))
        try:
            is_swapped, record = await records.swap(self._store, ask.config, ask.key, view.record, view.entry)
            if not is_swapped:
                return await self._views.of(ask, record, view.known, view.noted)
            self._outage.owed.discard(ask.key)
            return Lease(ask, record, view.token, view.value, from_ns, await self._versions(ask, view))
        except StoreUnavailable:  # it may have been granted all the same
            self._outage.owe_lease(ask.key, ask.config, view.entry)
            raise

    async def _versions(self, ask: Ask, view: View) -> Versions:
        """The versions of the tags to load under."""
        return await tagging.versions_now(self._store, ask.config, ask.tags, view.known) if ask.tags else NO_TAGS

    async def _refresh(self, ask: Ask, view: View) -> None:
        """Load for nobody in particular."""
        is_early = freshness.holds(view.entry, self._store.now_ns())
        try:
            lease = await self._take_lease(ask, view)
        except StoreUnavailable:
            return
        if not isinstance(lease, Lease):
            return
        self._counts.early += is_early
        try:
            await self._loads.load(lease)
        except Exception:  # counted, and backed off from: the next caller hears of it
            return
        finally:
            await self._announce(ask)

    # Small things.

    def _missed(self, flight: Flight, callers: int) -> None:
        flight.has_missed = True
        self._counts.misses += callers
        self._counts.waits += callers - 1

    def _copy(self, ask: Ask, view: View) -> None:
        """Keep a copy of a fresh value, unless it has tags whose changes were not noted."""
        if self._local is None or view.record is None or (view.tags and not set(view.tags) <= set(ask.tags)):
            return
        self._local.put(ask.key, view.value, ask.config, view.record.entry, self._store.now_ns(), view.tags, view.noted)

    def _land(self, flight: Flight) -> None:
        """The flight cannot be joined any more."""
        if self._by_key.get(flight.ask.key) is flight:
            del self._by_key[flight.ask.key]
        if flight.timer is not None:
            flight.timer.cancel()
            flight.timer = None

    def _arm(self, flight: Flight, view: View) -> None:
        """Serve the old value once the load takes too long."""
        if self._soft_ns and view.value is not NOTHING:
            loop = asyncio.get_running_loop()
            flight.timer = loop.call_later(self._soft_ns / 1e9, self._too_slow, flight, view)

    def _too_slow(self, flight: Flight, view: View) -> None:
        if freshness.serves_stale(flight.ask.config, view.entry, self._store.now_ns()):
            flight.old = view.value
            self._counts.stale += flight.land(view.value)

    async def _announce(self, ask: Ask) -> None:
        await self._announce_all([ask])

    async def _announce_all(self, asks: Sequence[Ask]) -> None:
        """Loads have ended, well or badly: who waits for them, here or elsewhere, looks again."""
        for ask in asks:
            self.told(ask.key)
        keys = [ask.key for ask in asks if ask.config.lock]
        with contextlib.suppress(StoreUnavailable):  # then they look again when the lease ends
            if keys:
                await self._store.announce(keys, is_change=False)
