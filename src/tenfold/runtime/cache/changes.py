"""Writes and invalidations: the record first, then this process, then all others are told."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tenfold.policies.cache import freshness
from tenfold.policies.cache.freshness import Config, Entry
from tenfold.runtime.cache import records
from tenfold.runtime.cache import tags as tagging
from tenfold.runtime.cache.absent import ABSENT
from tenfold.runtime.cache.many import together
from tenfold.runtime.cache.parts import Parts
from tenfold.runtime.cache.payload import NO_TAGS, Versions
from tenfold.runtime.cache.store import StoreUnavailable

CHUNK = 1_000  # keys changed at once
REPAIR_S = 0.25  # between attempts to tell a store that was down


class Changes:
    """Changes records.

    Args:
        parts: of the cache.
        config: how long records are kept.
        draw: dice.
    """

    def __init__(self, parts: Parts, config: Config, draw: Callable[[], float]) -> None:
        self._parts = parts
        self._config = config
        self._draw = draw
        self._repair: asyncio.Task[None] | None = None
        parts.outage.in_debt = self._in_debt

    async def put(self, values: Mapping[str, Any], tags: Sequence[str]) -> None:
        """Write values; loads of these keys that are in flight are not stored."""
        store = self._parts.store
        keys = list(values)
        try:
            versions = await tagging.versions_now(store, self._config, tags, {}) if tags else NO_TAGS
            for first in range(0, len(keys), CHUNK):
                await together(self._put(key, values[key], versions) for key in keys[first : first + CHUNK])
                self._heard(keys[first : first + CHUNK])
                await store.announce(keys[first : first + CHUNK], is_change=True)
        except StoreUnavailable as error:
            self._owe(keys, error)
        finally:
            self._heard(keys)

    async def _put(self, key: str, value: Any, versions: Versions) -> None:
        payload = None if value is ABSENT else self._parts.payloads.pack(value, versions)

        def alter(entry: Entry, now_ns: int) -> bool:
            freshness.put(self._config, entry, now_ns, self._draw())
            if value is ABSENT:
                freshness.store_absent(self._config, entry, entry.token, now_ns, 0)
            return True

        await records.change(self._parts.store, self._config, key, None, alter, payload)

    async def invalidate(self, keys: Sequence[str]) -> None:
        """The records are void; loads in flight are not stored. Keys of tags are welcome."""
        try:
            await self._invalidate(keys)
        except StoreUnavailable as error:
            self._owe(keys, error)
        finally:
            self._heard(keys)

    async def _invalidate(self, keys: Sequence[str]) -> None:
        store = self._parts.store
        for first in range(0, len(keys), CHUNK):
            chunk = keys[first : first + CHUNK]
            await together(records.change(store, self._config, key, None, self._void) for key in chunk)
            self._heard(chunk)
            await store.announce(chunk, is_change=True)

    def _void(self, entry: Entry, now_ns: int) -> bool:
        freshness.invalidate(self._config, entry, now_ns)
        return True

    def _heard(self, keys: Sequence[str]) -> None:
        """This process has heard of its own changes."""
        local, flights = self._parts.local, self._parts.flights
        for key in keys:
            if key.startswith(tagging.MARK):
                tag = key.removeprefix(tagging.MARK)
                if local is not None:
                    local.drop_tag(tag)
                flights.tag_changed(tag)
            else:
                if local is not None:
                    local.drop(key)
                flights.changed(key)

    def _owe(self, keys: Sequence[str], error: StoreUnavailable) -> None:
        """The store is down: remember, and tell it when it is back."""
        self._parts.outage.owe(tuple(keys), error)

    def _in_debt(self) -> None:
        if self._repair is None or self._repair.done():
            self._repair = asyncio.get_running_loop().create_task(self._tell_store())

    async def _tell_store(self) -> None:
        """Try until nothing is owed."""
        outage, store = self._parts.outage, self._parts.store
        while outage.owed or outage.leases:
            await asyncio.sleep(REPAIR_S)
            keys = list(outage.owed)
            try:
                await self._invalidate(keys)
                outage.owed.difference_update(keys)
                freed = await outage.free_leases()
                for key in freed:
                    self._parts.flights.told(key)
                await store.announce(freed, is_change=False)
            except StoreUnavailable:
                continue

    async def close(self) -> None:
        """Stop trying."""
        if self._repair is not None:
            self._repair.cancel()
            await asyncio.wait([self._repair])
            self._repair = None
