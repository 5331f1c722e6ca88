"""A cache in a virtual world: its store, its source, and the crowds that ask."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tenfold.cache import Cache, MemoryStore, StoreUnavailable
from tenfold.testing.world import World

MS, S = 1_000_000, 1_000_000_000


class Source:
    """What stands behind the cache: slow, counted, and broken when it is told so."""

    def __init__(self, takes_s: float = 0.05) -> None:
        self.takes_s = takes_s
        self.calls: list[str] = []
        self.at_s: list[float] = []
        self.version = 1
        self.error: Exception | None = None
        self.in_flight = self.in_flight_max = self.cancelled = 0

    async def load(self, key: str) -> Any:
        self.calls.append(key)
        self.at_s.append(asyncio.get_running_loop().time())
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        found, error = f"{key}{self.version}", self.error
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1
        if error is not None:
            raise error
        return found

    async def load_many(self, keys: list[str]) -> dict[str, Any]:
        self.calls.append(",".join(keys))
        await asyncio.sleep(self.takes_s)
        return {key: f"{key}{self.version}" for key in keys}


class Breakable:
    """A store that can be taken away."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.is_down = False
        self.asked = 0
        self.lost: list[Callable[[], None]] = []
        self.holds_bytes, self.now_ns = store.holds_bytes, store.now_ns

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.asked += 1
            if self.is_down:
                raise StoreUnavailable("it is down")
            return await method(*args, **kwargs)

        return call

    async def open(self) -> None:
        if self.is_down:
            raise StoreUnavailable("it is down")

    async def close(self) -> None:
        await self._store.close()

    async def listen(self, told: Callable[[str, bool], None], lost: Callable[[], None]) -> Any:
        self.lost.append(lost)
        return await self._store.listen(told, lost)

    def breaks(self) -> None:
        """As a server that dies: connections break, listeners are told."""
        self.is_down = True
        for lost in self.lost:
            lost()

    def comes_back(self) -> None:
        self.is_down = False
        for lost in self.lost:
            lost()


class Scene:
    """World, store and source of one test."""

    def __init__(self, seed: int = 1, takes_s: float = 0.05) -> None:
        self.world = World(seed)
        self.memory = MemoryStore(monotonic_ns=self.world.clock_ns)
        self.store = Breakable(self.memory)
        self.source = Source(takes_s)

    def cache(self, store: Any = None, **settings: Any) -> Cache:
        settings = settings if "config" in settings else {"ttl": "10 s"} | settings
        return Cache(
            self.store if store is None else store, clock_ns=self.world.clock_ns, draw=self.world.draw, **settings
        )

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run it, and see that it left nothing: no task, no timer."""

        async def whole() -> Any:
            answer = await main
            await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left
            timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
            assert not timers, timers
            return answer

        return self.world.run(whole())


def crowd(cache: Cache, source: Source, count: int, key: str = "k") -> list["asyncio.Task[Any]"]:
    """So many callers at once."""
    return [asyncio.create_task(cache.get(key, source.load)) for _ in range(count)]


async def answers(tasks: list["asyncio.Task[Any]"]) -> list[Any]:
    """What everybody got, errors included."""
    return await asyncio.gather(*tasks, return_exceptions=True)


def tally(found: list[Any]) -> dict[str, int]:
    """How many got what: values by themselves, errors by their type."""
    seen: dict[str, int] = {}
    for answer in found:
        name = type(answer).__name__ if isinstance(answer, BaseException) else str(answer)
        seen[name] = seen.get(name, 0) + 1
    return seen


def in_scene(**how: Any) -> Callable[[Callable[[Scene], Awaitable[None]]], Callable[[], None]]:
    """Run a test written as a coroutine in a world of its own."""

    def decorated(test: Callable[[Scene], Any]) -> Callable[[], None]:
        def run() -> None:
            scene = Scene(**how)
            scene.run(test(scene))

        run.__name__, run.__doc__ = test.__name__, test.__doc__  # type: ignore[attr-defined]
        return run

    return decorated


def counted(cache: Cache) -> dict[str, int]:
    """The counts that are not zero."""
    return {name: value for name, value in dataclasses.asdict(cache.counts).items() if value}
