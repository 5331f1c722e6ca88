"""Real processes over a real Redis: stampedes, killed holders, outages, copies elsewhere."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from node import Orders
from redis import Redis

from servers import RedisServer
from tenfold.cache import Cache, RedisStore

SOON_S = 0.1  # enough to tell all nodes when it begins


def begin(nodes: list[Any]) -> float:
    """Tell ready nodes when time 0 is; that moment."""
    start_s = time.monotonic() + SOON_S
    for node in nodes:
        node.stdin.write(f"{start_s}\n")
        node.stdin.flush()
    return start_s


def commands(url: str) -> int:
    """How many commands the server has been sent, this question included."""
    with Redis.from_url(url) as client:
        return sum(seen["calls"] for seen in client.info("commandstats").values())


def ended(nodes: list[Any]) -> list[list[dict[str, Any]]]:
    """What the nodes say, one list of rounds each."""
    answers = []
    for node in nodes:
        out, _ = node.communicate(timeout=30)
        assert node.returncode == 0
        answers.append(json.loads(out))
    return answers


def test_two_thousand_callers_in_four_processes_make_one_load_cold_and_on_expiry(
    redis: RedisServer, tmp_path: Path
) -> None:
    orders = Orders(redis.url, str(tmp_path / "calls"), (0.0, 1.7), 500, settings={"ttl": "1 s"})
    nodes = [orders.started() for _ in range(4)]
    before = commands(redis.url)
    begin(nodes)
    rounds = ended(nodes)
    assert [len(seen["waits_s"]) for node in rounds for seen in node] == [500] * 8
    assert len(orders.loads()) == 2
    assert commands(redis.url) - before <= 4 * 2 * 10, "what a script does inside the server counted in"


def test_a_killed_holder_delays_the_others_by_the_lease_and_one_of_them_loads(
    redis: RedisServer, tmp_path: Path
) -> None:
    settings = {"ttl": "5 min", "lease": "1 s"}
    holder = Orders(redis.url, str(tmp_path / "calls"), (0.0,), 1, 60.0, settings)
    others = Orders(redis.url, holder.calls, (0.2,), 100, 0.05, settings)
    killed, *nodes = holder.started(), others.started(), others.started()
    start_s = begin([killed, *nodes])
    while not holder.loads():
        time.sleep(0.01)
    time.sleep(max(0, start_s + 0.4 - time.monotonic()))
    killed.kill()
    killed.communicate()
    assert [len(node[0]["waits_s"]) for node in ended(nodes)] == [100, 100]
    (first_s, _), (second_s, by) = holder.loads()
    assert by != killed.pid
    assert 0.99 < second_s - first_s < 2.0, "the lease, not the ttl"


Node = Callable[..., Cache]


def in_redis(test: Callable[..., Awaitable[None]]) -> Callable[[RedisServer], None]:
    """Run a test written as a coroutine with a server of its own, and see that no task is left."""

    def run(redis: RedisServer) -> None:
        async def whole() -> None:
            await test(redis, lambda **settings: Cache(RedisStore(redis.url), **({"ttl": "5 min"} | settings)))
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(whole())

    run.__name__ = test.__name__  # type: ignore[attr-defined]
    return run


@in_redis
async def test_a_write_on_one_node_reaches_the_copies_of_the_other(redis: RedisServer, node: Node) -> None:
    async with node(local="1 h") as first, node(local="1 h") as second:

        async def never(key: str) -> int:
            raise AssertionError

        await first.set("k", 0)
        assert await second.get("k", never) == 0
        for version in range(1, 30):
            await first.set("k", version)
            end_s = time.monotonic() + 5
            while await second.get("k", never) != version:
                assert time.monotonic() < end_s
                await asyncio.sleep(0.001)
        assert second.counts.hits >= 30


@in_redis
async def test_an_invalidation_in_mid_load_on_another_node_is_not_overwritten(redis: RedisServer, node: Node) -> None:
    version = 1

    async def load(key: str) -> int:
        found = version
        await asyncio.sleep(0.1)
        return found

    async with node() as first, node() as second:
        old = asyncio.create_task(first.get("k", load))
        await asyncio.sleep(0.05)
        version = 2
        await second.invalidate("k")
        assert await old == 1
        assert [await first.get("k", load), await second.get("k", load)] == [2, 2]


@in_redis
async def test_typed_values_tags_and_many_keys_go_through(redis: RedisServer, node: Node) -> None:
    async def load(keys: list[str]) -> dict[str, Any]:
        return {key: {"key": key, "parts": [1, None, 2.5, b"x"]} for key in keys}

    async with node(name="a") as first, node(name="a") as second:
        keys = [f"k{i}" for i in range(500)]
        found = await first.get_many(keys, bulk=load, tags=["t"])
        assert await second.get_many(keys, bulk=load, tags=["t"]) == found == await load(keys)
        assert (first.counts.loads, second.counts.loads) == (500, 0)
        await first.invalidate_tag("t")
        await second.get_many(keys, bulk=load, tags=["t"])
        assert second.counts.loads == 500


@pytest.mark.parametrize("mode", ["bypass", "stale"])
def test_a_server_that_stops_and_comes_back_is_not_noticed_by_callers(redis: RedisServer, mode: str) -> None:
    in_flight = in_flight_max = 0

    async def load(key: str) -> str:
        nonlocal in_flight, in_flight_max
        in_flight += 1
        in_flight_max = max(in_flight, in_flight_max)
        await asyncio.sleep(0.01)
        in_flight -= 1
        return key

    async def main() -> None:
        settings = {"local": "100 ms", "loads_in_flight": 8, "on_store_down": mode, "fail_safe": "1 h"}
        async with Cache(RedisStore(redis.url), ttl="5 min", **settings) as cache:  # type: ignore[arg-type]

            async def round_of(seconds: float) -> None:
                end_s = time.monotonic() + seconds
                while True:
                    keys = [f"k{i}" for i in range(40)]
                    assert await asyncio.gather(*(cache.get(key, load) for key in keys)) == keys
                    await asyncio.sleep(0.01)
                    if time.monotonic() > end_s:
                        return

            await round_of(0.3)
            redis.stop()
            await round_of(1.0)
            assert cache.is_store_down
            await asyncio.to_thread(redis.start)
            end_s = time.monotonic() + 10
            while cache.is_store_down:
                assert time.monotonic() < end_s
                await round_of(0.0)
                await asyncio.sleep(0.01)
            await round_of(0.5)
            loads = cache.counts.loads
            await round_of(0.3)
            assert cache.counts.loads == loads, "back to normal: everything is in the store"

    asyncio.run(main())
    assert in_flight_max <= 8
