"""One process of the stampede that `cache.py` measures: ours or a peer, by name; not to be called by hand.

Every contender is set up as its documentation says, with a pool that waits for a connection: redis-py's default pool
raises in 1,600 of 2,000 concurrent calls.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

VALUE = {"id": 7, "name": "x" * 400}
CONNECTIONS = 50

Get = Callable[[str], Awaitable[Any]]


@dataclass(frozen=True)
class Orders:
    """What a node is to do: so many seconds after it is told to begin, so many callers ask for a key, key by key."""

    contender: str
    url: str
    calls: str  # path of the file with the loader's calls
    keys: tuple[str, ...]
    after_s: tuple[float, ...]
    callers: int = 1
    load_s: float = 0.05
    ttl_ms: int = 1_000
    settings: dict[str, str] = field(default_factory=dict)

    def note(self, key: str) -> None:
        """The loader is called."""
        with open(self.calls, "a") as calls:
            calls.write(f"{time.monotonic()} {os.getpid()} {key}\n")

    async def load(self, key: str) -> Any:
        """The source."""
        self.note(key)
        await asyncio.sleep(self.load_s)
        return VALUE


@contextlib.asynccontextmanager
async def ours(orders: Orders) -> AsyncIterator[Get]:
    """This cache, its defaults and a ttl."""
    from tenfold.cache import Cache, RedisStore

    async with Cache(RedisStore(orders.url), ttl=f"{orders.ttl_ms} ms", **orders.settings) as cache:  # type: ignore[arg-type]
        yield lambda key: cache.get(key, orders.load)


@contextlib.asynccontextmanager
async def by_hand(orders: Orders) -> AsyncIterator[Get]:
    """What most code does: get, miss, load, set."""
    from redis.asyncio import BlockingConnectionPool, Redis

    client = Redis(connection_pool=BlockingConnectionPool.from_url(orders.url, max_connections=CONNECTIONS, timeout=60))

    async def get(key: str) -> Any:
        held = await client.get(key)
        if held is not None:
            return json.loads(held)
        value = await orders.load(key)
        await client.set(key, json.dumps(value), px=orders.ttl_ms)
        return value

    yield get
    await client.aclose()


@contextlib.asynccontextmanager
async def dogpile(orders: Orders) -> AsyncIterator[Get]:
    """With its lock in Redis, in threads."""
    from dogpile.cache import make_region
    from redis import BlockingConnectionPool

    arguments = {
        "connection_pool": BlockingConnectionPool.from_url(orders.url, max_connections=CONNECTIONS, timeout=60),
        "redis_expiration_time": 60,
        "distributed_lock": True,
        "lock_timeout": 10,
        "thread_local_lock": False,
    }
    region = make_region().configure("dogpile.cache.redis", expiration_time=orders.ttl_ms / 1e3, arguments=arguments)
    threads = ThreadPoolExecutor(orders.callers)  # it is synchronous: each caller is a thread

    def load(key: str) -> Any:
        orders.note(key)
        time.sleep(orders.load_s)
        return VALUE

    def get(key: str) -> Any:
        return region.get_or_create(key, lambda: load(key))

    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(threads, time.sleep, 0.2) for _ in range(orders.callers)))
    yield lambda key: loop.run_in_executor(threads, get, key)
    threads.shutdown()


@contextlib.asynccontextmanager
async def cashews_lock(orders: Orders) -> AsyncIterator[Get]:
    """Its decorator with `lock`."""
    from cashews import cache

    cache.setup(orders.url, max_connections=CONNECTIONS, wait_for_connection_timeout=60, client_side=False)

    @cache(ttl=orders.ttl_ms / 1e3, key="k:{key}", lock=True)
    async def get(key: str) -> Any:
        return await orders.load(key)

    yield get
    await cache.close()


@contextlib.asynccontextmanager
async def aiocache(orders: Orders) -> AsyncIterator[Get]:
    """Its decorator against stampedes."""
    from aiocache import Cache, cached_stampede
    from aiocache.serializers import JsonSerializer
    from redis.asyncio import BlockingConnectionPool

    port = int(orders.url.rpartition(":")[2].partition("/")[0])

    @cached_stampede(
        lease=2,
        ttl=orders.ttl_ms / 1e3,
        cache=Cache.REDIS,
        serializer=JsonSerializer(),
        port=port,
        connection_pool_class=BlockingConnectionPool,
        pool_max_size=CONNECTIONS,
        connection_pool_kwargs={"timeout": 60},
        key_builder=lambda _, key: key,
    )
    async def get(key: str) -> Any:
        return await orders.load(key)

    yield get
    await get.cache.close()


@contextlib.asynccontextmanager
async def floor(orders: Orders) -> AsyncIterator[Get]:
    """No cache: each process sleeps once for as long as the loader takes, and wakes everybody."""
    asleep: dict[str, asyncio.Future[Any]] = {}

    async def get(key: str) -> Any:
        if key not in asleep:
            asleep[key] = asyncio.ensure_future(asyncio.sleep(orders.load_s, VALUE))
            asleep[key].add_done_callback(lambda _: asleep.pop(key))
        return await asyncio.shield(asleep[key])

    yield get


CONTENDERS = {
    "no cache, one sleep": floor,
    "Tenfold": ours,
    "get/set by hand": by_hand,
    "dogpile": dogpile,
    "cashews lock": cashews_lock,
    "aiocache": aiocache,
}


async def main(orders: Orders) -> None:
    """Ask when it is time, and say how long each caller waited."""

    async def caller(get: Get, key: str) -> float:
        start_s = time.perf_counter()
        await get(key)
        return time.perf_counter() - start_s

    rounds = []
    async with CONTENDERS[orders.contender](orders) as get:
        if orders.callers > 1:  # connections are made before it counts
            warm = (get(f"warm-{os.getpid()}-{number % 100}") for number in range(orders.callers))
            await asyncio.gather(*warm, return_exceptions=True)
        print("ready", flush=True)
        start_s = float(await asyncio.to_thread(sys.stdin.readline))  # of the machine's monotonic clock
        for key, after_s in zip(orders.keys, orders.after_s, strict=True):
            await asyncio.sleep(start_s + after_s - time.monotonic())
            waits = await asyncio.gather(*(caller(get, key) for _ in range(orders.callers)), return_exceptions=True)
            rounds.append([wait if isinstance(wait, float) else -1.0 for wait in waits])
    print(json.dumps(rounds))


if __name__ == "__main__":
    asyncio.run(main(Orders(**json.loads(sys.argv[1]))))
