"""Announcements through Redis: who hears what, and who is told that something may be missed."""

import asyncio
import signal
import time

from in_loop import in_loop, until
from redis_stores import admin, opened, started, works_again

from servers import RedisServer
from tenfold.stores.redis import RedisStore
from tenfold.stores.redis.announcements import Subscription
from tenfold.stores.redis.connections import origin


@in_loop
async def test_own_announcements_are_not_heard(shared_redis: RedisServer) -> None:
    own: list[str] = []
    others: list[str] = []
    async with opened(shared_redis.url) as store, opened(shared_redis.url) as other:
        await store.listen(lambda key, is_change: own.append(key), lambda: None)
        await other.listen(lambda key, is_change: others.append(key), lambda: None)
        await store.announce(["mine"], is_change=True)
        await other.announce(["yours"], is_change=True)
        await until(lambda: own and others)
        assert (own, others) == (["yours"], ["mine"])


@in_loop
async def test_a_broken_subscription_is_told_and_comes_back(redis: RedisServer) -> None:
    heard: list[str] = []
    losses: list[float] = []
    async with opened(redis.url) as store, opened(redis.url) as other:
        await other.listen(lambda key, is_change: heard.append(key), lambda: losses.append(time.monotonic()))
        assert losses == []
        with admin(redis) as client:
            client.client_kill_filter(_type="pubsub")
        await until(lambda: len(losses) == 2)  # it broke; it is there again
        await store.announce(["k"], is_change=True)
        await until(lambda: heard == ["k"])


@in_loop
async def test_a_restart_is_told_to_listeners_who_then_hear_again(redis: RedisServer) -> None:
    heard: list[str] = []
    losses: list[bool] = []
    async with opened(redis.url) as store, opened(redis.url) as other:
        await other.listen(lambda key, is_change: heard.append(key), lambda: losses.append(True))
        redis.stop()
        await until(lambda: len(losses) == 1)
        await asyncio.to_thread(redis.start)
        assert await until(lambda: len(losses) == 2) < 2.0
        await works_again(store)
        await store.announce(["k"], is_change=False)
        await until(lambda: heard == ["k"])


@in_loop
async def test_a_server_that_falls_silent_is_told_to_listeners(redis: RedisServer) -> None:
    losses: list[bool] = []
    async with opened(redis.url, "100 ms") as store:
        await store.listen(lambda key, is_change: None, lambda: losses.append(True))
        redis.freeze()
        assert await until(lambda: losses) < 3.0
        redis.thaw()
        await until(lambda: len(losses) == 2)


@in_loop
async def test_a_silent_channel_of_a_healthy_server_is_no_loss(shared_redis: RedisServer) -> None:
    heard: list[str] = []
    losses: list[bool] = []
    make = origin(shared_redis.url).make
    subscription = Subscription(make, b"quiet:announcements", b"12345678", 5_000_000_000, ping_ns=5_000_000)
    await subscription.add(lambda key, is_change: heard.append(key), lambda: losses.append(True))
    with admin(shared_redis) as client:
        asked = client.info("commandstats")["cmdstat_ping"]["calls"]
        while client.info("commandstats")["cmdstat_ping"]["calls"] < asked + 5:
            await asyncio.sleep(0.005)
    store = RedisStore(shared_redis.url, "quiet:")
    await store.announce(["k"], is_change=True)
    await until(lambda: heard == ["k"])
    assert losses == []
    await store.close()
    await subscription.close()


@in_loop
async def test_who_listens_while_the_server_is_away_hears_when_it_is_back(redis: RedisServer) -> None:
    heard: list[str] = []
    losses: list[bool] = []
    redis.stop()
    store, other = RedisStore(redis.url, command_timeout="50 ms"), RedisStore(redis.url)
    await store.listen(lambda key, is_change: heard.append(key), lambda: losses.append(True))
    assert losses == [True]
    await asyncio.to_thread(redis.start)
    await until(lambda: len(losses) == 2)
    await other.announce(["k"], is_change=True)
    await until(lambda: heard == ["k"])
    await store.close()
    await other.close()


@in_loop
async def test_the_last_listener_gives_the_subscription_back_and_another_may_follow(redis: RedisServer) -> None:
    heard: list[str] = []

    def subscribers() -> int:
        with admin(redis) as client:
            return len(client.client_list(_type="pubsub"))

    async with opened(redis.url) as store, opened(redis.url) as other:
        ends = [await other.listen(lambda key, is_change: None, lambda: None) for _ in range(2)]
        assert subscribers() == 1
        for end in ends:
            await end()
        await until(lambda: subscribers() == 0)
        await other.listen(lambda key, is_change: heard.append(key), lambda: None)
        await store.announce(["k"], is_change=True)
        await until(lambda: heard == ["k"])


@in_loop
async def test_a_listener_that_raises_is_reported_and_stops_nothing(shared_redis: RedisServer) -> None:
    heard: list[str] = []
    losses: list[bool] = []
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))

    def clumsy(key: str, is_change: bool) -> None:
        raise ZeroDivisionError

    async with opened(shared_redis.url) as store, opened(shared_redis.url) as other:
        await other.listen(clumsy, lambda: losses.append(True))
        await other.listen(lambda key, is_change: heard.append(key), lambda: None)
        await store.announce(["a", "b"], is_change=True)
        await until(lambda: heard == ["a", "b"])
        assert (losses, reported) == ([], ["a listener of the store in Redis raised"] * 2)


LISTENER = """
import asyncio, sys
from tenfold.stores.redis import RedisStore

async def main():
    store = RedisStore(sys.argv[1], "faults:")
    await store.open()
    await store.listen(lambda key, is_change: print(key, is_change, flush=True), lambda: None)
    print("listens", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@in_loop
async def test_a_listener_killed_in_mid_flight_harms_nobody(redis: RedisServer) -> None:
    heard: list[str] = []
    losses: list[bool] = []
    victim = started(LISTENER, redis.url)
    assert victim.stdout is not None
    with victim.stdout as output:
        assert await asyncio.to_thread(output.readline) == "listens\n"
        async with opened(redis.url) as store, opened(redis.url) as other:
            await other.listen(lambda key, is_change: heard.append(key), lambda: losses.append(True))
            await store.announce(["before"], is_change=True)
            assert await asyncio.to_thread(output.readline) == "before True\n"
            victim.send_signal(signal.SIGKILL)
            await asyncio.to_thread(victim.wait)
            await store.announce(["after"], is_change=True)
            await until(lambda: heard == ["before", "after"])
            assert losses == []
