"""The store in Redis when something breaks: the server, a connection, another process, this process's memory."""

import asyncio
import contextlib
import time

import pytest
import redis as redis_py
import redis.asyncio as redis_asyncio
from in_loop import KEEP_NS, in_loop, leased, until, valued
from redis_stores import admin, opened, started, works_again

from servers import RedisServer
from tenfold.errors import UsageError
from tenfold.runtime.cache.store import StoreUnavailable
from tenfold.stores.redis import RedisStore

# The server.


@in_loop
async def test_a_restart_in_mid_run_costs_store_unavailable_and_nothing_else(redis: RedisServer) -> None:
    counts = {"answered": 0, "unavailable": 0}
    over = asyncio.Event()
    causes: set[type] = set()

    async def caller(store: RedisStore, name: str) -> None:
        token = 0
        while not over.is_set():
            try:
                there = await store.get(name)
                token += 1
                await store.swap(name, there and there.entry, valued(b"v", token), KEEP_NS)
                await store.announce([name], is_change=True)
                counts["answered"] += 1
            except StoreUnavailable as error:
                causes.add(type(error.__cause__))
                counts["unavailable"] += 1
                await asyncio.sleep(0.002)

    async with opened(redis.url) as store:
        callers = [asyncio.create_task(caller(store, f"k{n}")) for n in range(20)]
        await until(lambda: counts["answered"] > 100)
        redis.stop()
        await until(lambda: counts["unavailable"] > 100)
        await asyncio.to_thread(redis.start)
        before = counts["answered"]
        await until(lambda: counts["answered"] > before + 100)
        over.set()
        await asyncio.gather(*callers)
        assert all(issubclass(cause, redis_py.ConnectionError | OSError) for cause in causes)


@in_loop
async def test_after_a_restart_with_nothing_in_between_no_call_fails(redis: RedisServer) -> None:
    async with opened(redis.url) as store:
        for n in range(4):
            assert await store.swap(f"k{n}", None, leased(1), KEEP_NS) == (True, None)
        redis.stop()
        await asyncio.to_thread(redis.start)
        for n in range(4):
            assert await store.swap(f"k{n}", None, leased(2), KEEP_NS) == (True, None)


@in_loop
async def test_flushed_scripts_are_sent_again(redis: RedisServer) -> None:
    async with opened(redis.url) as store:
        for turn in range(1, 4):
            with admin(redis) as client:
                client.script_flush()
            expected = leased(turn - 1).entry if turn > 1 else None
            assert await store.swap("k", expected, leased(turn), KEEP_NS) == (True, None)


@in_loop
async def test_a_frozen_server_is_given_up_within_the_time_limit(redis: RedisServer) -> None:
    async with opened(redis.url, "200 ms") as store:
        redis.freeze()
        for _ in range(3):
            start_s = time.monotonic()
            with pytest.raises(StoreUnavailable, match="no answer within"):
                await store.get("k")
            assert 0.15 < time.monotonic() - start_s < 1.0
        redis.thaw()
        await works_again(store)


@in_loop
async def test_many_callers_of_a_frozen_server_wait_together_not_in_turn(redis: RedisServer) -> None:
    async with opened(redis.url, "200 ms") as store:
        redis.freeze()
        start_s = time.monotonic()
        answers = await asyncio.gather(*(store.get("k") for _ in range(300)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreUnavailable}
        assert time.monotonic() - start_s < 1.5
        redis.thaw()


@in_loop
async def test_late_answers_of_a_server_that_thaws_reach_nobody(redis: RedisServer) -> None:
    async with opened(redis.url, "100 ms") as store:
        keys = [f"k{n}" for n in range(50)]
        await store.put({key: valued(key.encode()) for key in keys}, dict.fromkeys(keys, KEEP_NS))
        redis.freeze()
        await asyncio.gather(*(store.get(key) for key in keys), return_exceptions=True)
        redis.thaw()
        await works_again(store)
        for key in keys:
            with contextlib.suppress(StoreUnavailable):
                assert await store.get(key) == valued(key.encode())


@in_loop
async def test_a_server_that_is_not_there_yet_is_found_when_it_comes(redis: RedisServer) -> None:
    redis.stop()
    store = RedisStore(redis.url)
    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{redis.port}"):
        await store.open()
    await asyncio.to_thread(redis.start)
    await works_again(store)
    await store.close()


@in_loop
async def test_a_full_server_is_unavailable_for_writes(redis: RedisServer) -> None:
    async with opened(redis.url) as store:
        with admin(redis) as client:
            client.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await store.put({"k": valued(b"v")}, {"k": KEEP_NS})
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await store.swap("k", None, valued(b"v"), KEEP_NS)
        assert await store.get("k") is None


@in_loop
async def test_keys_of_others_are_no_records(redis: RedisServer) -> None:
    async with opened(redis.url) as store:
        with admin(redis) as client:
            client.set("faults:short", "hello")
            client.lpush("faults:list", "hello")
        assert await store.get("short") is None
        assert await store.swap("short", None, leased(1), KEEP_NS) == (True, None)
        assert await store.get("short") == leased(1)
        with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
            await store.get("list")


@in_loop
async def test_a_server_that_does_not_tell_its_time_is_not_used(redis: RedisServer) -> None:
    with admin(redis) as client:
        client.execute_command("ACL", "SETUSER", "timeless", "on", ">pw", "~*", "&*", "+@all", "-time")
    store = RedisStore(f"redis://timeless:pw@127.0.0.1:{redis.port}", command_timeout="5 s")
    for _ in range(4):
        with pytest.raises(StoreUnavailable, match="no permissions to run the 'time' command"):
            await store.get("k")
    await store.close()


# Many callers, and those who leave.


@in_loop
async def test_two_thousand_gets_at_once_are_all_answered(shared_redis: RedisServer) -> None:
    async with opened(shared_redis.url, "250 ms") as store:
        await store.put({"k": valued(b"v" * 500)}, {"k": KEEP_NS})
        answers = await asyncio.gather(*(store.get("k") for _ in range(2_000)))
        assert answers == [valued(b"v" * 500)] * 2_000


@in_loop
async def test_they_use_no_more_connections_than_they_may(redis: RedisServer) -> None:
    async with opened(redis.url, connections=3) as store:
        await asyncio.gather(*(store.get("k") for _ in range(500)))
        with admin(redis) as client:
            assert len(client.client_list()) == 3 + 1


@in_loop
async def test_callers_who_leave_at_any_moment_disturb_no_answer(shared_redis: RedisServer) -> None:
    async with opened(shared_redis.url) as store:
        keys = [f"leave{n}" for n in range(200)]
        await store.put({key: valued(key.encode() * 500) for key in keys}, dict.fromkeys(keys, KEEP_NS))
        for turn in range(10):
            calls = [asyncio.ensure_future(store.get(key)) for key in keys]
            for _ in range(turn):
                await asyncio.sleep(0)
            for call in calls[::3]:
                call.cancel()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            expected = [valued(key.encode() * 500) for key in keys]
            assert all(
                answer == wanted or (n % 3 == 0 and isinstance(answer, asyncio.CancelledError))
                for n, (answer, wanted) in enumerate(zip(answers, expected, strict=True))
            )


# Its end, and other processes.


@in_loop
async def test_who_waits_when_the_store_closes_is_told(redis: RedisServer) -> None:
    async with opened(redis.url) as store:
        redis.freeze()
        calls = [asyncio.ensure_future(store.get("k")) for _ in range(10)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await store.close()
        for call in calls:
            with pytest.raises(StoreUnavailable, match="closed"):
                await call
        redis.thaw()


@in_loop
async def test_a_closed_store_refuses_and_has_left_the_server(redis: RedisServer) -> None:
    async with opened(redis.url) as store:
        await store.listen(lambda key, is_change: None, lambda: None)
        await store.get("k")
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.get("k")
    with admin(redis) as client:
        await until(lambda: len(client.client_list()) == 1)


def test_a_closed_store_opens_in_another_event_loop(redis: RedisServer) -> None:
    store, other = RedisStore(redis.url, command_timeout="5 s"), RedisStore(redis.url, command_timeout="5 s")

    async def once() -> None:
        heard: list[str] = []
        await store.open()
        await other.open()
        redis.freeze()  # so that who listens has to wait
        listening = asyncio.ensure_future(store.listen(lambda key, is_change: heard.append(key), lambda: None))
        await asyncio.sleep(0.01)
        redis.thaw()
        await listening
        await other.announce(["k"], is_change=True)
        await until(lambda: heard == ["k"])
        await store.close()
        await other.close()

    for _ in range(2):
        asyncio.run(once())


FORK = """
import asyncio, os, sys
from tenfold.policies.cache.freshness import VALUE, Entry
from tenfold.runtime.cache.store import Record
from tenfold.stores.redis import RedisStore

async def child(store):
    heard = []
    await store.open()
    await store.listen(lambda key, is_change: heard.append(key), lambda: None)
    there = await store.get("k")
    await store.announce(["from child"], is_change=True)
    while not heard:
        await asyncio.sleep(0.01)
    await store.close()
    print("child", there.payload.decode(), heard, flush=True)

async def main():
    heard = []
    store = RedisStore(sys.argv[1], "fork:", "5 s")
    await store.open()
    await store.listen(lambda key, is_change: heard.append(key), lambda: None)
    await store.put({"k": Record(Entry(0, 0, 0, 0, VALUE), b"value")}, {"k": 10**11})
    pid = os.fork()
    if pid == 0:
        asyncio.run(child(store))
        os._exit(0)
    while not heard:
        await asyncio.sleep(0.01)
    for _ in range(100):
        assert (await store.get("k")).payload == b"value"
    await store.announce(["from parent"], is_change=True)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    await store.close()
    print("parent", status, heard, flush=True)

asyncio.run(main())
"""


def test_a_forked_child_has_connections_of_its_own_and_the_parent_keeps_its(shared_redis: RedisServer) -> None:
    family = started(FORK, shared_redis.url)
    output, _ = family.communicate(timeout=30)
    assert output.splitlines() == ["child value ['from parent']", "parent 0 ['from child']"]


# How it is told where the server is.


@in_loop
async def test_a_client_lends_its_settings_and_keeps_its_connections(redis: RedisServer) -> None:
    client = redis_asyncio.Redis(port=redis.port, decode_responses=True, protocol=3)
    await client.ping()
    async with opened(client) as store:  # type: ignore[arg-type]
        await store.put({"k": valued(b"\xff\x00")}, {"k": KEEP_NS})
        assert await store.get("k") == valued(b"\xff\x00")
    assert await client.ping()
    await client.aclose()


@in_loop
async def test_a_password_is_used_and_shown_nowhere(redis: RedisServer) -> None:
    with admin(redis) as client:
        client.config_set("requirepass", "right")
    url = f"redis://:right@127.0.0.1:{redis.port}/0"
    async with opened(url) as store:
        assert await store.get("k") is None
        assert repr(store) == f"RedisStore('127.0.0.1:{redis.port}/0', prefix='faults:')"
        assert "right" not in repr(vars(store))
    wrong = RedisStore(url.replace("right", "wr0ng"))
    with pytest.raises(StoreUnavailable) as caught:
        await wrong.open()
    assert "wr0ng" not in repr(wrong) + str(caught.value) + repr(caught.value.__cause__)
    await wrong.close()


@pytest.mark.parametrize(
    "url", ["localhost", "http://:secret@host", "redis://:secret@host:port/0", "redis://:secret@[/"]
)
def test_a_url_that_cannot_be_read_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(UsageError, match="cannot be read") as caught:
        RedisStore(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_something_else_than_a_client_is_refused() -> None:
    with pytest.raises(UsageError, match="int is no client"):
        RedisStore(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("timeout", "complaint"),
    [("250", "has no unit"), ("1 us", "too small"), (10, "too small"), ("soon", "not a duration")],
)
def test_a_time_limit_that_makes_no_sense_is_refused(timeout: str | int, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        RedisStore("redis://localhost", command_timeout=timeout)


def test_durations_are_text_or_ns() -> None:
    in_words = RedisStore("redis://localhost", command_timeout="100 ms")
    assert in_words._settings == RedisStore("redis://localhost", command_timeout=100_000_000)._settings


def test_a_socket_in_the_file_system_is_a_place() -> None:
    assert repr(RedisStore("unix:///run/redis.sock")) == "RedisStore('/run/redis.sock', prefix='tenfold:')"
