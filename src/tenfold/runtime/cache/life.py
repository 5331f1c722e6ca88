"""The life of a cache in one event loop: opened once, told what others change, closed with nothing left.

A cache belongs to the event loop that first used it. In a child made by fork it begins anew: what is on its way belongs
to the parent, and so do the connections.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from tenfold.errors import UsageError
from tenfold.runtime.cache import tags as tagging
from tenfold.runtime.cache.errors import CacheClosed
from tenfold.runtime.cache.parts import Parts
from tenfold.runtime.cache.store import Store, StoreUnavailable

_USERS: "WeakKeyDictionary[Store, int]" = WeakKeyDictionary()
"""How many open caches share a store: the last one closes it."""


class Life:
    """Opens and closes the parts.

    Args:
        parts: of the cache.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._end_listening: Callable[[], Awaitable[None]] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._pid = os.getpid()
        self.loop: asyncio.AbstractEventLoop | None = None  # set once everything is open
        self.is_closed = False

    async def begin(self) -> None:
        """Open, unless another caller is at it already; all wait for the one.

        Raises:
            CacheClosed: it was closed.
            UsageError: it belongs to another event loop.
        """
        if self.is_closed:
            raise CacheClosed("the cache was closed")
        if self._pid != os.getpid():
            self._forget()
        loop = asyncio.get_running_loop()
        if self.loop is loop:
            return
        if self.loop is not None:
            raise UsageError(
                "the cache belongs to another event loop", "make one Cache for each event loop, or close it first"
            )
        if self._opening is None or self._opening.get_loop() is not loop:
            self._opening = loop.create_task(self._open())
        await asyncio.shield(self._opening)

    async def _open(self) -> None:
        """A store that is down is no reason not to begin."""
        store = self._parts.store
        try:
            with contextlib.suppress(StoreUnavailable):
                await store.open()
            self._end_listening = await store.listen(self._told, self._lost)
            _USERS[store.store] = _USERS.get(store.store, 0) + 1
            self.loop = asyncio.get_running_loop()
        finally:
            self._opening = None

    async def end(self) -> None:
        """Close. Loads are cancelled and their leases freed; callers who wait are told CacheClosed."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._opening is not None:
            await asyncio.wait([self._opening])
        parts, self.loop = self._parts, None
        await parts.flights.close()
        if parts.local is not None:
            parts.local.clear()
        if self._end_listening is not None:
            await self._end_listening()
            self._end_listening = None
            await self._leave_store()

    async def _leave_store(self) -> None:
        store = self._parts.store
        _USERS[store.store] -= 1
        if not _USERS[store.store]:
            await store.close()

    def reopen(self) -> None:
        """Allow another life after the end."""
        self.is_closed = False

    def _forget(self) -> None:
        """We are a child made by fork."""
        self._pid = os.getpid()
        self.loop = self._opening = self._end_listening = None
        self._parts.flights.forget()
        if self._parts.local is not None:
            self._parts.local.clear()

    def _told(self, key: str, is_change: bool) -> None:
        """Somebody has loaded or changed a key."""
        parts = self._parts
        if not is_change:
            parts.flights.told(key)
        elif key.startswith(tagging.MARK):
            tag = key.removeprefix(tagging.MARK)
            if parts.local is not None:
                parts.local.drop_tag(tag)
            parts.flights.tag_changed(tag)
        else:
            if parts.local is not None:
                parts.local.drop(key)
            parts.flights.changed(key)

    def _lost(self) -> None:
        """Something may have been missed."""
        if self._parts.local is not None:
            self._parts.local.distrust()
        self._parts.flights.lost()
