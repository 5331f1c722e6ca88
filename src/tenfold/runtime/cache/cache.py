"""The cache of a service: local copies, a shared store, and the freshness policy between them and the source."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack, cast

from tenfold.errors import UsageError
from tenfold.policies.cache.freshness import HIT, STALE_LOAD, Config
from tenfold.policies.call import circuit_breaker
from tenfold.runtime.cache import tags as tagging
from tenfold.runtime.cache.changes import Changes
from tenfold.runtime.cache.counts import Counts
from tenfold.runtime.cache.guard import GuardedStore
from tenfold.runtime.cache.hot import HotKey
from tenfold.runtime.cache.life import Life
from tenfold.runtime.cache.local import Place
from tenfold.runtime.cache.many import one_by_one
from tenfold.runtime.cache.memoize import Memoized
from tenfold.runtime.cache.parts import assemble
from tenfold.runtime.cache.serializers import Serializer
from tenfold.runtime.cache.settings import BREAKER, Freshness, Limits, Local, freshness_of, overridden
from tenfold.runtime.cache.store import Store
from tenfold.runtime.cache.views import NOTHING, Ask, BulkLoader
from tenfold.runtime.cache.warm import Pace, Progress, Warming, WarmUp
from tenfold.settings import configured
from tenfold.units import UnitError, parse_rate_per_s

T = TypeVar("T")
P = ParamSpec("P")
Loader = Callable[[str], Awaitable[T]]


class Cache:
    """Values by key, loaded when they are not there, under one freshness policy.

    Times are text with a unit ("5 min"), as in a design file; a key's setting and its default stand in
    `freshness.Config`, except that `lock` is on unless it is said otherwise.

    Args:
        store: where records live: a MemoryStore, a RedisStore, or any other `Store`.
        config: the policy as a whole, instead of its single settings: what a design's redis component gives.
        local: copies in this process: their ttl ("1 s"), a mapping of settings, a `Local`; None: no copies.
        soft_timeout: how long a caller waits for a load when there is an old value.
        hard_timeout: how long a load may take.
        loads_in_flight: loads at once in this process.
        on_store_down: "bypass" loads, "stale" prefers an old local copy, "fail" raises CacheUnavailable.
        serializer: for stores that hold bytes; MessagePack by msgspec when there is none.
        breaker: circuit breaker around the store, as a mapping of its settings.
        name: in front of every key, so that caches can share a store.
        clock_ns: monotonic time in ns; the store brings the time of its records itself.
        draw: dice in [0, 1).
        settings: ttl, ttl_jitter, lock, lease, early_refresh, stale_while_revalidate, fail_safe, negative_ttl,
            load_backoff, late_fill.

    Raises:
        UsageError: when a setting cannot be read or is out of bounds.
    """

    __slots__ = ("_changes", "_clock_ns", "_life", "_near", "_parts", "config", "counts", "limits")

    def __init__(
        self,
        store: Store,
        *,
        config: Config | None = None,
        local: Local | Mapping[str, Any] | str | None = None,
        soft_timeout: str = "0",
        hard_timeout: str = "0",
        loads_in_flight: int | str = 64,
        on_store_down: str = "bypass",
        serializer: Serializer | None = None,
        breaker: circuit_breaker.Config | Mapping[str, Any] | None = None,
        name: str = "",
        clock_ns: Callable[[], int] = time.monotonic_ns,
        draw: Callable[[], float] = random.random,
        **settings: Unpack[Freshness],
    ) -> None:
        self.config = freshness_of(config, settings)
        limits = {"soft_timeout": soft_timeout, "hard_timeout": hard_timeout, "loads_in_flight": loads_in_flight}
        self.limits: Limits = configured(Limits, {**limits, "on_store_down": on_store_down}, "cache")
        guard = configured(circuit_breaker.Config, breaker, "breaker of the cache") if breaker else BREAKER
        layer = None if local is None else configured(Local, local, "local layer of the cache")
        guarded = GuardedStore(store, guard, clock_ns, f"{name}:" if name else "")
        self._parts = assemble(guarded, serializer, layer, self.limits, clock_ns, draw)
        self._changes = Changes(self._parts, self.config, draw)
        self._life = Life(self._parts)
        self._near = self._parts.local.get if self._parts.local is not None else _nowhere
        self._clock_ns = clock_ns
        self.counts: Counts = self._parts.counts

    def __repr__(self) -> str:
        return f"Cache({self._parts.store.store!r}, name={self._parts.store.name!r})"

    # Reading.

    async def get(self, key: str, loader: Loader[T], *, tags: Sequence[str] = ()) -> T:
        """The value of a key, loaded when it has to be.

        Args:
            key: in the cache's name.
            loader: called with the key, in a task of its own; ABSENT is the answer "there is none".
            tags: the value may be invalidated by.

        Returns:
            What the loader answered, now or earlier. A local copy is the same object for all callers.

        Raises:
            Exception: the loader's own, when it failed and nothing old may be served.
            LoadBackedOff: it failed a moment ago.
            TimeoutError: it took longer than the hard timeout.
            CacheUnavailable: the store is down, and `on_store_down` is "fail".
        """
        place = self._near(key)
        if place is not None and self._clock_ns() < place.certain_ns:
            place.hits += 1
            self.counts.hits += 1
            return cast(T, place.value)
        return cast(T, await self._far(key, loader, _named(tags), self.config, place))

    async def _far(
        self, key: str, loader: Loader[Any], tags: tuple[str, ...], config: Config, place: Place | None
    ) -> Any:
        """Beyond the certain local copies."""
        if self._life.loop is not asyncio.get_running_loop():
            await self._life.begin()
        self._parts.hot.add(key)
        ask = Ask(key, loader, tags, config)
        if place is not None and self._clock_ns() < place.until_ns:
            value = self._ask_policy(ask, place)
            if value is not NOTHING:
                return value
        return await self._parts.flights.get(ask)

    def _ask_policy(self, ask: Ask, place: Place) -> Any:
        """A copy whose time to be refreshed early may have come: the dice say."""
        view = self._parts.views.local(ask, place.value, place.entry, place.tags)
        if view.answer not in (HIT, STALE_LOAD):
            return NOTHING
        self.counts.hits += 1
        if view.answer == STALE_LOAD:
            self._parts.flights.refresh(ask, view)
        return view.value

    async def get_many(
        self,
        keys: Iterable[str],
        loader: Loader[T] | None = None,
        *,
        bulk: BulkLoader | None = None,
        tags: Sequence[str] = (),
    ) -> dict[str, T]:
        """The values of many keys, with one round trip to the store.

        Args:
            keys: repeated ones count once.
            loader: loads each missing key; or
            bulk: called once with the list of missing keys; answers a mapping, what it leaves out is ABSENT.
            tags: of every value.

        Raises:
            Exception: as `get`, the first error; what else was missing is loaded and stored all the same.
        """
        single, named = _single(loader, bulk), _named(tags)
        if self._life.loop is not asyncio.get_running_loop():
            await self._life.begin()
        found, asks, now_ns = {}, [], self._clock_ns()
        for key in dict.fromkeys(keys):
            place = self._near(key)
            if place is not None and now_ns < place.certain_ns:
                place.hits += 1
                found[key] = place.value
            else:
                self._parts.hot.add(key)
                asks.append(Ask(key, single, named, self.config))
        self.counts.hits += len(found)
        if asks:
            found |= await self._parts.many.get(asks, bulk)
        return found

    # Changing.

    async def set(self, key: str, value: Any, *, tags: Sequence[str] = ()) -> None:
        """Write a value that is known to be current; ABSENT: there is none. Loads in flight will not overwrite it."""
        await self.set_many({key: value}, tags=tags)

    async def set_many(self, values: Mapping[str, Any], *, tags: Sequence[str] = ()) -> None:
        """Write many values."""
        named = _named(tags)
        await self._life.begin()
        await self._changes.put(values, named)

    async def invalidate(self, *keys: str) -> None:
        """These values are no longer true. Loads in flight keep their callers, and are not stored.

        While the store is down the invalidation is remembered and told later, unless `on_store_down` is "fail".
        """
        await self._life.begin()
        await self._changes.invalidate(keys)

    async def invalidate_tag(self, tag: str) -> None:
        """No value with this tag is true any more; one write, however many they are."""
        await self._life.begin()
        await self._changes.invalidate([tagging.MARK + tag])

    async def warm(
        self,
        keys: Iterable[str],
        loader: Loader[Any] | None = None,
        *,
        bulk: BulkLoader | None = None,
        rate: str | float = "1k/s",
        batch: int = 0,
        resume: int = 0,
        progress: Progress | None = None,
        tags: Sequence[str] = (),
    ) -> WarmUp:
        """Load keys ahead of their callers, at a steady rate; those that are fresh are left alone.

        Args:
            keys: in the same order when it is resumed; may be a generator.
            loader: loads each; or
            bulk: loads a list.
            rate: keys per second ("5k/s").
            batch: keys per round trip and bulk load; 0: those of 20 ms.
            resume: `position` of the warm-up that was broken off.
            progress: called with a `WarmUp` after every batch.
            tags: of every value.

        Returns:
            What was done. A key that could not be loaded is counted, and no reason to end.
        """
        single, named = _single(loader, bulk), _named(tags)
        await self._life.begin()
        parts = self._parts
        pace = Pace.of(_rate_of(rate), batch, bulk, progress)
        asks = (Ask(key, single, named, self.config) for at, key in enumerate(keys) if at >= resume)
        return await Warming(parts.store, parts.views, parts.loads, pace, resume).run(asks)

    # Functions.

    def memoize(
        self, *, key: str | Callable[..., str] | None = None, tags: Sequence[str] = (), **settings: Unpack[Freshness]
    ) -> Callable[[Callable[P, Awaitable[T]]], Memoized[P, T]]:
        """A decorator: an async function answers from the cache.

        Args:
            key: template over its arguments ("user:{user_id}") or a function of them; None: name and arguments.
            tags: of every answer.
            settings: of freshness, where they differ from the cache's.
        """
        config, named = overridden(self.config, settings) if settings else self.config, _named(tags)

        async def get(name: str, loader: Loader[Any]) -> Any:
            place = self._near(name)
            if place is not None and self._clock_ns() < place.certain_ns:
                place.hits += 1
                self.counts.hits += 1
                return place.value
            return await self._far(name, loader, named, config, place)

        return lambda fn: Memoized(fn, key, get, self.invalidate)

    # Looking.

    def hot_keys(self, count: int = 10) -> list[HotKey]:
        """The keys asked for most since the cache was made, the hottest first."""
        if self._parts.local is not None:
            self._parts.local.count_uses()
        return self._parts.hot.top(count)

    @property
    def local_entries(self) -> int:
        """How many copies are in this process."""
        return len(self._parts.local) if self._parts.local is not None else 0

    @property
    def name(self) -> str:
        """What stands in front of every key, and on every metric."""
        return self._parts.store.name.removesuffix(":")

    @property
    def in_flight(self) -> int:
        """Loaders that run now, in this process."""
        return self._parts.loads.in_flight

    @property
    def is_store_down(self) -> bool:
        """Whether the circuit breaker keeps the store from being asked."""
        return self._parts.store.is_open

    # Life.

    async def open(self) -> None:
        """Connect and listen; the first use does so by itself."""
        self._life.reopen()
        await self._life.begin()

    async def close(self) -> None:
        """End every load, listening and connection; callers who wait are told CacheClosed."""
        await self._changes.close()
        await self._life.end()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _nowhere(key: str) -> Place | None:
    """The local layer of a cache that has none."""
    return None


def _named(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags as they are kept; a single string is a mistake that would go unnoticed."""
    if isinstance(tags, str):
        raise UsageError(f"tags are a list, not {tags!r}", f"write tags=[{tags!r}]")
    return tuple(tags)


def _single(loader: Loader[Any] | None, bulk: BulkLoader | None) -> Loader[Any]:
    """What loads one key."""
    if (loader is None) == (bulk is None):
        raise UsageError("a loader is missing, or there are two", "give a loader for each key, or bulk for all of them")
    return loader if loader is not None else one_by_one(cast(BulkLoader, bulk))


def _rate_of(rate: str | float) -> float:
    """Keys per second."""
    try:
        found = float(rate) if isinstance(rate, int | float) else parse_rate_per_s(rate)
    except UnitError as error:
        raise UsageError(f"rate of the warm-up: {error.message}", error.remedy) from None
    if found <= 0:
        raise UsageError(f"rate of the warm-up is {rate}", "write a rate above zero, as 5k/s")
    return found
