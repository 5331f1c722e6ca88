"""While the store is down: what callers get, and what is owed to the store when it is back."""

from collections.abc import Callable
from typing import Any

from tenfold.policies.cache import freshness
from tenfold.policies.cache.freshness import HIT, NEGATIVE, STORED, Config, Entry
from tenfold.runtime.cache import records
from tenfold.runtime.cache.errors import CacheUnavailable
from tenfold.runtime.cache.local import LocalLayer
from tenfold.runtime.cache.records import copied
from tenfold.runtime.cache.settings import FAIL, STALE, Limits
from tenfold.runtime.cache.store import Record, Store, StoreUnavailable
from tenfold.runtime.cache.views import NOTHING, Ask

OWED_MAX = 100_000


class Outage:
    """Decides without the store.

    `owed` are keys that were invalidated or written while the store was down: their records are void, though the store
    does not know. This process treats them so, and tells the store when it is back. `leases` are those that ended, or
    may have been granted, while the store could not be told: nobody holds them, and others would wait for their end.
    The debt dies with the process.

    Args:
        store, local, limits, draw: of the cache.
    """

    def __init__(self, store: Store, local: LocalLayer | None, limits: Limits, draw: Callable[[], float]) -> None:
        self._store = store
        self._local = local
        self._mode = limits.on_store_down
        self._draw = draw
        self.owed: set[str] = set()
        self.leases: dict[str, tuple[Config, Entry]] = {}  # as granted
        self.in_debt: Callable[[], None] = lambda: None  # called when something is owed

    def instead(self, ask: Ask, error: StoreUnavailable) -> Any:
        """What to serve instead; NOTHING: load.

        Raises:
            CacheUnavailable: the cache was told to fail.
        """
        if self._mode == FAIL:
            raise CacheUnavailable(str(error)) from error
        if self._mode != STALE or self._local is None:
            return NOTHING
        place = self._local.peek(ask.key)
        if place is None or ask.key in self.owed:
            return NOTHING
        now_ns = self._store.now_ns()
        entry = copied(Record(place.entry, None), now_ns)
        answer, _, _ = freshness.lookup(ask.config, entry, now_ns, self._draw())
        if answer in (HIT, NEGATIVE) or freshness.serves_stale(ask.config, place.entry, now_ns):
            return place.value
        return NOTHING

    def owe(self, keys: tuple[str, ...], error: StoreUnavailable) -> None:
        """Remember changes the store could not be told.

        Raises:
            CacheUnavailable: the cache was told to fail, or owes too much already.
        """
        if self._mode == FAIL:
            raise CacheUnavailable(str(error)) from error
        if len(self.owed) + len(keys) > OWED_MAX:
            raise CacheUnavailable(f"the store is down and {OWED_MAX:,} changes wait for it already") from error
        self.owed.update(keys)
        self.in_debt()

    def owe_lease(self, key: str, config: Config, granted: Entry) -> None:
        """Remember a lease to be freed; one too many lapses by itself."""
        if len(self.leases) < OWED_MAX:
            self.leases[key] = (config, granted)
            self.in_debt()

    async def free_leases(self) -> list[str]:
        """Free the leases owed that still stand; their keys."""
        keys = list(self.leases)
        for key in keys:
            config, granted = self.leases[key]
            await records.change(self._store, config, key, await self._store.get(key), _freeing(granted))
            self.leases.pop(key, None)
        return keys


def _freeing(granted: Entry) -> records.Alter:
    """Frees the lease if it is that one: another of the same number ends at another time."""

    def alter(entry: Entry, now_ns: int) -> bool:
        if entry.blocked_until_ns != granted.blocked_until_ns:
            return False
        return freshness.give_up(entry, granted.token) == STORED

    return alter
