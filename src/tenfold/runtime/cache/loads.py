"""Loads: the loader called within its limits, and what becomes of its answer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tenfold.policies.cache import freshness
from tenfold.policies.cache.freshness import FAIL, STORED, Entry
from tenfold.runtime.cache import records
from tenfold.runtime.cache.absent import ABSENT
from tenfold.runtime.cache.bounded import BoundedMap
from tenfold.runtime.cache.counts import Counts
from tenfold.runtime.cache.errors import LoadBackedOff, LoadCancelled
from tenfold.runtime.cache.local import LocalLayer
from tenfold.runtime.cache.outage import Outage
from tenfold.runtime.cache.payload import Undecodable, Versions
from tenfold.runtime.cache.settings import Limits
from tenfold.runtime.cache.store import Record, Store, StoreUnavailable
from tenfold.runtime.cache.turns import Turns
from tenfold.runtime.cache.views import NOTHING, Ask, BulkLoader, Payloads
from tenfold.runtime.time_limit import TimeLimit

REMEMBERED = 256  # errors, and keys in back-off while the store is down


@dataclass(slots=True)
class Lease:
    """The right to load a key, and what is known when the load begins."""

    ask: Ask
    record: Record | None  # as it stands in the store since then
    token: int
    old: Any  # the value before, or NOTHING
    from_ns: int  # the store's time
    versions: Versions


class Loads:
    """Calls loaders.

    Args:
        store: where loaded values go.
        payloads: makes them into what the store holds.
        local: where copies go.
        outage: remembers what a store that is down could not be told.
        counts: where loads are counted.
        limits: of time and number.
        draw: dice.
    """

    def __init__(
        self,
        store: Store,
        payloads: Payloads,
        local: LocalLayer | None,
        outage: Outage,
        counts: Counts,
        limits: Limits,
        draw: Callable[[], float],
    ) -> None:
        self._store = store
        self._payloads = payloads
        self._local = local
        self._outage = outage
        self._counts = counts
        self._hard_ns = limits.hard_timeout_ns
        self._turns = Turns(limits.loads_in_flight)
        self._draw = draw
        self._errors = BoundedMap(REMEMBERED)
        self._failed_alone = BoundedMap(REMEMBERED)

    @property
    def in_flight(self) -> int:
        """Loaders that run now."""
        return self._turns.in_flight

    async def call(self, loader: Callable[[Any], Any], wanted: Any, count: int = 1) -> Any:
        """Call a loader when its turn comes, within the hard limit of time.

        Args:
            loader: any.
            wanted: a key, or keys.
            count: how many keys that is.

        Raises:
            TimeoutError: the limit is over.
            LoadCancelled: it was cancelled from within.
            Exception: whatever it raises.
        """
        self._counts.loads += count
        try:
            if not self._hard_ns:
                async with self._turns:
                    return await loader(wanted)
            with TimeLimit(self._hard_ns):
                async with self._turns:
                    return await loader(wanted)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise LoadCancelled(f"the loader of {wanted!r} was cancelled from within") from error

    async def load(self, lease: Lease) -> tuple[Any, bool]:
        """Load and store; the value, and whether it is an old one that stands in for a load that failed.

        Raises:
            Exception: the loader's, when there is nothing to serve.
        """
        try:
            value = await self.call(lease.ask.loader, lease.ask.key)
            payload = self.packed(lease, value)
        except asyncio.CancelledError:
            await self.give_up(lease)
            raise
        except Exception as error:
            return await self.fail(lease, error), True
        await self.keep(lease, value, payload)
        return value, False

    async def load_many(self, leases: Sequence[Lease], loader: BulkLoader) -> list[tuple[Any, bool] | BaseException]:
        """Load many by one call; for each as `load`, its error as a value."""
        keys = [lease.ask.key for lease in leases]
        try:
            values = await self.call(loader, keys, len(keys))
        except asyncio.CancelledError:
            await asyncio.gather(*(self.give_up(lease) for lease in leases))
            raise
        except Exception as error:
            ends = [self._failed(lease, error) for lease in leases]
        else:
            ends = [self._settle(lease, values.get(lease.ask.key, ABSENT)) for lease in leases]
        return await asyncio.gather(*ends, return_exceptions=True)

    async def _failed(self, lease: Lease, error: Exception) -> tuple[Any, bool]:
        return await self.fail(lease, error), True

    async def _settle(self, lease: Lease, value: Any) -> tuple[Any, bool]:
        """Store one of many."""
        try:
            payload = self.packed(lease, value)
        except Exception as error:
            return await self._failed(lease, error)
        await self.keep(lease, value, payload)
        return value, False

    def packed(self, lease: Lease, value: Any) -> Any:
        """What stands behind the entry of a loaded value."""
        return None if value is ABSENT else self._payloads.pack(value, lease.versions)

    async def keep(self, lease: Lease, value: Any, payload: Any) -> bool:
        """Store what was loaded, if its token still fits; whether it did."""
        ask, store = lease.ask, self._store
        load_ns = max(0, store.now_ns() - lease.from_ns)
        # The trace of an invalidation stays for a lease: without a record of our own we know no longer than that.
        is_blind = lease.record is None and load_ns >= ask.config.lease_ns

        def alter(entry: Entry, now_ns: int) -> bool:
            if value is ABSENT:
                return freshness.store_absent(ask.config, entry, lease.token, now_ns, load_ns) == STORED
            return freshness.store(ask.config, entry, lease.token, now_ns, load_ns, self._draw()) == STORED

        tags = tuple(lease.versions)
        noted = self._local.note(ask.key, tags) if self._local is not None else 0
        try:
            changed = records.Change(False, None) if is_blind else await self._change(lease, alter, payload)
        except StoreUnavailable:
            self._counts.unstored += 1
            self.keep_here(ask, value, noted)
            self._owe(lease)
            return False
        if not changed.is_made or changed.record is None:
            self._counts.dropped += 1
            return False
        if self._local is not None:
            self._local.put(ask.key, value, ask.config, changed.record.entry, store.now_ns(), tags, noted)
        return True

    def keep_here(self, ask: Ask, value: Any, noted: int) -> None:
        """Keep a copy in this process only: the store is down."""
        if self._local is None:
            return
        entry, now_ns = Entry(), self._store.now_ns()
        if value is ABSENT:
            freshness.store_absent(ask.config, entry, 0, now_ns, 0)
        else:
            freshness.put(ask.config, entry, now_ns, self._draw())
        self._local.put(ask.key, value, ask.config, entry, now_ns, ask.tags, noted)

    async def give_up(self, lease: Lease) -> None:
        """The load was cancelled: free its lease."""

        def alter(entry: Entry, now_ns: int) -> bool:
            return freshness.give_up(entry, lease.token) == STORED

        await self._tell_store(lease, alter)

    async def fail(self, lease: Lease, error: Exception) -> Any:
        """The load failed: back off; what may be served instead.

        Raises:
            Exception: the error, when there is nothing.
        """
        self._counts.failures += 1
        config = lease.ask.config
        answer = FAIL
        until_ns = 0

        def alter(entry: Entry, now_ns: int) -> bool:
            nonlocal answer, until_ns
            answer = freshness.fail(config, entry, lease.token, now_ns, self._draw())
            until_ns = entry.blocked_until_ns
            return entry.token == lease.token

        changed = await self._tell_store(lease, alter)
        self._remember(lease.ask.key, error, until_ns)
        value = self._instead(lease, changed) if answer != FAIL else NOTHING
        if value is NOTHING:
            raise error
        return value

    def _instead(self, lease: Lease, changed: records.Change) -> Any:
        """The value to serve: the old one, or what somebody else has stored meanwhile."""
        if changed.is_made or changed.record is None:
            return lease.old
        try:
            return self._payloads.unpack(changed.record.payload)[0]
        except Undecodable:
            return NOTHING

    async def _tell_store(self, lease: Lease, alter: records.Alter) -> records.Change:
        """Change the record of a load that has ended badly; a store that is down is told later."""
        try:
            return await self._change(lease, alter, records.KEPT)
        except StoreUnavailable:
            self._owe(lease)
            return records.Change(False, None)

    def _owe(self, lease: Lease) -> None:
        """The store could not be told that the load has ended."""
        if lease.ask.config.lock and lease.record is not None:
            self._outage.owe_lease(lease.ask.key, lease.ask.config, lease.record.entry)

    async def _change(self, lease: Lease, alter: records.Alter, payload: Any) -> records.Change:
        """Change the record the load began with, or what stands there now."""
        ask = lease.ask
        return await records.change(
            self._store, ask.config, ask.key, lease.record, alter, payload, born_token=lease.token
        )

    def _remember(self, key: str, error: Exception, until_ns: int) -> None:
        """Keep an error for those who come during the back-off."""
        now_ns = self._store.now_ns()
        self._errors.expire(now_ns)
        if until_ns > now_ns:
            self._errors.set(key, error, until_ns)

    def backed_off(self, key: str, wait_ns: int) -> LoadBackedOff:
        """The refusal of one who comes during the back-off."""
        refusal = LoadBackedOff(key, wait_ns)
        refusal.__cause__ = self._errors.peek(key)
        return refusal

    async def alone(self, ask: Ask) -> Any:
        """Load without the store: back-off is remembered in this process.

        Raises:
            LoadBackedOff: too early.
            Exception: the loader's.
        """
        entry = records.copied(Record(self._failed_alone.peek(ask.key) or Entry(), None), 0)
        answer, wait_ns, token = freshness.lookup(ask.config, entry, self._store.now_ns(), self._draw())
        if answer == FAIL:
            raise self.backed_off(ask.key, wait_ns)
        noted = self._local.note(ask.key, ask.tags) if self._local is not None else 0
        try:
            value = await self.call(ask.loader, ask.key)
        except Exception as error:
            self._counts.failures += 1
            freshness.fail(ask.config, entry, token, self._store.now_ns(), self._draw())
            self._failed_alone.set(ask.key, entry)
            self._remember(ask.key, error, entry.blocked_until_ns)
            raise
        self._failed_alone.delete(ask.key)
        self.keep_here(ask, value, noted)
        return value
