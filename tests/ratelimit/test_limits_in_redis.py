"""Counts in Redis: the script decides as memory does, by the server's time, whatever happens to the server."""

import asyncio
import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limiting import ALGORITHMS, MS, START_NS, US, Clock, S, shown

from servers import RedisServer
from tenfold.ratelimit import Limiter, MemoryLimits, RedisLimits, ThreadLimiter, limit

PREFIXES = (f"test{number}:" for number in itertools.count())
BREAKER = {"failures": 1, "open": "50 ms"}


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    def sync(redis: RedisServer) -> None:
        asyncio.run(test(redis))  # type: ignore[arg-type]

    sync.__name__, sync.__doc__ = test.__name__, test.__doc__
    return sync


def store(server: RedisServer, prefix: str = "", **settings: Any) -> RedisLimits:
    return RedisLimits(server.url, prefix or next(PREFIXES), "5 s", **settings)


# The script and memory.

VERBS = ["hit", "hit", "hit", "hit", "peek", "refund"]
LATER_US = st.one_of(
    st.just(0), st.integers(0, 300_000), st.integers(0, 3_000_000), st.sampled_from([10**6, 10**6 + 1])
)
BACK_US = st.one_of(LATER_US, st.sampled_from([-1, -(10**5), -(10**6), -(10**9)]))


def tapes(later_us: st.SearchStrategy[int], keys: str) -> st.SearchStrategy[list[Any]]:
    """us later, what, its cost (or which hit, from the last, to take back), and whose."""
    steps = st.tuples(later_us, st.sampled_from(VERBS), st.integers(1, 6), st.sampled_from(keys))
    return st.lists(steps, max_size=40)


LIMITS = st.lists(
    st.tuples(st.sampled_from(["7/s", "20/2 s", "100/min", "3/s", "1000/333 ms"]), st.sampled_from(ALGORITHMS)),
    min_size=1,
    max_size=3,
    unique=True,
)


async def same(server: RedisServer, texts: list[tuple[str, str]], tape: list[Any]) -> None:
    """Play a tape to memory and to Redis, by one clock, and compare all that is answered."""
    clock = Clock()
    limits = [limit(text, algorithm, f"{text} {algorithm}") for text, algorithm in texts]
    distinct = list({each.mark: each for each in limits}.values())
    in_redis = store(server, time_us=clock.us)
    try:
        by_memory = await play(Limiter(MemoryLimits(clock_ns=clock), *distinct), clock, tape)
        assert await play(Limiter(in_redis, *distinct), clock, tape) == by_memory
    finally:
        await in_redis.close()


async def play(limiter: Limiter, clock: Clock, tape: list[Any]) -> list[Any]:
    """What a limiter answers to a tape."""
    clock.now_ns = START_NS + 123_456 * US
    answers, passed = [], []
    for later_us, verb, cost, key in tape:
        clock.now_ns += later_us * US
        if verb == "refund" and len(passed) >= cost:
            await limiter.refund(passed.pop(-cost))
        elif verb == "peek":
            answers.append(shown(await limiter.peek(key, cost)))
        else:
            decision = await limiter.hit(key, cost)
            answers.append(shown(decision))
            if decision.allowed:
                passed.append(decision)
    return answers


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=LIMITS, tape=st.one_of(tapes(LATER_US, "ab"), tapes(BACK_US, "a")))
def test_the_script_answers_every_tape_as_memory_does(
    shared_redis: RedisServer, texts: list[tuple[str, str]], tape: list[Any]
) -> None:
    """Clocks set back on one key only: memory forgets a key that is full again when another comes."""
    asyncio.run(same(shared_redis, texts, tape))


def test_a_long_log_is_pruned_and_searched_in_pieces_as_in_memory(shared_redis: RedisServer) -> None:
    tape = [(3_000, "hit", 1, "a")] * 320 + [(100_000, "hit", 2, "a")] * 8 + [(0, "hit", 250, "a")]
    tape += [(200_000, "refund", 5, "a"), (0, "peek", 100, "a"), (5_000_000, "hit", 300, "a"), (0, "hit", 1, "a")]
    asyncio.run(same(shared_redis, [("300/s", "log")], tape))


# Whose time.


@contextlib.contextmanager
def wall_clock_off_by(seconds: int) -> Iterator[None]:
    """This node's wall clock is wrong."""
    real_s, real_ns = time.time, time.time_ns
    time.time, time.time_ns = (lambda: real_s() + seconds), (lambda: real_ns() + seconds * S)
    try:
        yield
    finally:
        time.time, time.time_ns = real_s, real_ns


@in_loop
async def test_clocks_of_the_nodes_do_not_matter(redis: RedisServer) -> None:
    for algorithm, offset_s in itertools.product(ALGORITHMS, (45, 61, -61, 3_600, -3_600)):
        prefix = next(PREFIXES)
        here, there = store(redis, prefix), store(redis, prefix)
        first = Limiter(here, "100/h", algorithm=algorithm)
        passed = [each.allowed for each in await first.hit_many([("A", 1)] * 150)]
        assert passed == [True] * 100 + [False] * 50
        with wall_clock_off_by(offset_s):
            skewed = functools.partial(off_by, offset_s * S)
            second = Limiter(there, "100/h", algorithm=algorithm, clock_ns=skewed)
            assert not any(each.allowed for each in await second.hit_many([("A", 1)] * 50))
            assert sum(each.allowed for each in await second.hit_many([("B", 1)] * 150)) == 100
        assert not (await first.hit("B")).allowed
        await here.close()
        await there.close()


def off_by(offset_ns: int) -> int:
    return time.monotonic_ns() + offset_ns


@in_loop
async def test_every_key_goes_when_it_counts_no_more(redis: RedisServer) -> None:
    for algorithm in ALGORITHMS:
        counted = store(redis)
        await Limiter(counted, "100/min", algorithm=algorithm).hit("k", 100)
        await counted.close()
    with redis_py.Redis(port=redis.port) as client:
        left_ms = [client.pttl(key) for key in client.keys("*")]
    assert len(left_ms) == len(ALGORITHMS)
    assert all(60_000 < each <= 66_000 + 10_000 for each in left_ms)


# What it costs.


@in_loop
async def test_a_hit_is_one_command_however_many_limits_it_has_and_a_hundred_are_one(redis: RedisServer) -> None:
    counted = store(redis)
    limiter = Limiter(counted, "100/min", "10/s", "1000/h")
    await limiter.hit("k")
    with redis_py.Redis(port=redis.port) as client:
        for hits in ([("k", 1)], [(f"k{number}", 1 + number % 3) for number in range(100)]):
            before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
            await limiter.hit_many(hits)
            assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1
        assert client.info("commandstats")["cmdstat_eval"]["calls"] == 1
    await counted.close()


@in_loop
async def test_what_is_full_again_is_forgotten(redis: RedisServer) -> None:
    counted = store(redis, time_us=(clock := Clock()).us)
    limiter = Limiter(counted, "100/min", "10/s")
    decision = await limiter.hit("k", 3)
    with redis_py.Redis(port=redis.port) as client:
        assert len(client.keys("*")) == 2
        await limiter.refund(decision)
        assert client.keys("*") == []
    assert (await limiter.hit("k", 1)).remaining == 9
    assert clock.now_ns == START_NS
    await counted.close()


# The server.


@in_loop
async def test_flushed_scripts_and_a_restart_cost_no_error_and_no_count(redis: RedisServer) -> None:
    counted = store(redis)
    limiter = Limiter(counted, "100/h", on_store_down="closed", breaker=BREAKER)
    with redis_py.Redis(port=redis.port) as client:
        for turn in range(1, 5):
            assert (await limiter.hit("k")).remaining == 100 - turn
            client.script_flush()
    many = await limiter.hit_many([(f"k{number}", 1) for number in range(250)])
    assert all(each.allowed and each.by == "store" for each in many)
    redis.stop()
    await asyncio.to_thread(redis.start)
    decision = await limiter.hit("k")
    assert (decision.by, decision.remaining) == ("store", 99)  # what it held is gone: it was told to save nothing
    await counted.close()


@pytest.mark.parametrize(("mode", "passes"), [("open", 40), ("closed", 0), ("local", 5)])
def test_while_the_server_is_down_the_mode_holds_and_it_recovers_by_itself(
    redis: RedisServer, mode: str, passes: int
) -> None:
    async def scene() -> None:
        counted = RedisLimits(redis.url, command_timeout="200 ms")
        limiter = Limiter(counted, "20/h", on_store_down=mode, share="25%", breaker=BREAKER)
        assert (await limiter.hit("k", 20)).by == "store"
        redis.stop()
        end_s, answers = time.monotonic() + 0.5, []
        while time.monotonic() < end_s or len(answers) < 40:
            if len(answers) < 40:
                answers.append(await limiter.hit("k"))
            await asyncio.sleep(0.005)
        assert [each.by for each in answers] == [mode] * 40
        assert sum(each.allowed for each in answers) == passes
        assert limiter.is_store_down
        assert limiter.last_error is not None
        assert all(each.retry_after_ns > 0 for each in answers if not each.allowed)
        await asyncio.to_thread(redis.start)
        await until_back(limiter)
        assert not limiter.is_store_down
        await counted.close()

    asyncio.run(scene())


async def until_back(limiter: Limiter) -> None:
    end_s = time.monotonic() + 10
    while (await limiter.hit("other", 1)).by != "store":
        assert time.monotonic() < end_s
        await asyncio.sleep(0.01)


@in_loop
async def test_a_frozen_server_is_waited_for_once_and_then_left_alone(redis: RedisServer) -> None:
    counted = RedisLimits(redis.url, command_timeout="100 ms")
    limiter = Limiter(counted, "20/h", on_store_down="open", breaker={"failures": 1, "open": "10 s"})
    await limiter.hit("k")
    redis.freeze()
    assert (await limiter.hit("k")).by == "open"
    begun_s = time.monotonic()
    answers = [await limiter.hit("k") for _ in range(200)]
    assert time.monotonic() - begun_s < 0.1
    assert {each.by for each in answers} == {"open"}
    redis.thaw()
    await counted.close()


@in_loop
async def test_what_the_local_share_granted_can_be_taken_back(redis: RedisServer) -> None:
    redis.stop()
    counted = RedisLimits(redis.url, command_timeout="100 ms")
    limiter = Limiter(counted, "20/h", share="50%", breaker={"failures": 1, "open": "10 s"})
    first = await limiter.hit("k", 10)
    assert (first.by, first.allowed, first.remaining) == ("local", True, 0)
    assert not (await limiter.hit("k")).allowed
    await limiter.refund(first)
    assert (await limiter.hit("k", 10)).allowed
    await counted.close()


@in_loop
async def test_a_caller_that_is_cancelled_disturbs_nobody(redis: RedisServer) -> None:
    counted = store(redis)
    limiter = Limiter(counted, "1000/h")
    for _ in range(20):
        hits = [asyncio.ensure_future(limiter.hit("k")) for _ in range(10)]
        await asyncio.sleep(0)
        hits[3].cancel()
        answers = await asyncio.gather(*hits, return_exceptions=True)
        assert sum(isinstance(each, asyncio.CancelledError) for each in answers) == 1
        assert all(each.by == "store" for each in answers if not isinstance(each, BaseException))
    await counted.close()


# Threads.


@contextlib.contextmanager
def threaded(server: RedisServer, *limits: str, **settings: Any) -> Iterator[ThreadLimiter]:
    counted = RedisLimits(server.url, next(PREFIXES), settings.pop("command_timeout", "5 s"))
    with ThreadLimiter(counted, *limits, **settings) as limiter:
        yield limiter
    counted.close_blocking()


def test_threads_ask_as_coroutines_do(shared_redis: RedisServer) -> None:
    with threaded(shared_redis, "10/s", "100/min", algorithm="log") as limiter:
        decisions = limiter.hit_many([("a", 1), ("b", 10), ("b", 1), ("a", 2)])
        assert [each.allowed for each in decisions] == [True, True, False, True]
        limiter.refund(decisions[3])
        assert [each.remaining for each in limiter.peek("a").standings] == [9, 99]
        assert all(each.allowed for each in limiter.hit_many([(f"k{number}", 1) for number in range(250)]))


def test_a_restart_and_an_outage_are_no_error_for_threads(redis: RedisServer) -> None:
    with threaded(redis, "20/h", on_store_down="closed", breaker=BREAKER, command_timeout="200 ms") as limiter:
        limiter.hit("k", 5)
        with redis_py.Redis(port=redis.port) as client:
            client.script_flush()
        assert limiter.hit("k").remaining == 14
        redis.stop()
        redis.start()
        assert [limiter.hit("k").remaining for _ in range(3)] == [19, 18, 17]
        redis.freeze()
        answers = [limiter.hit("k") for _ in range(50)]
        assert [each.by for each in answers] == ["closed"] * 50
        redis.thaw()
        end_s = time.monotonic() + 10
        while limiter.hit("k").by != "store":
            assert time.monotonic() < end_s
            time.sleep(0.01)


def test_threads_may_have_what_coroutines_have_open(shared_redis: RedisServer) -> None:
    async def scene() -> None:
        counted = store(shared_redis)
        limiter, sync = Limiter(counted, "10/h"), ThreadLimiter(counted, "10/h")
        assert (await limiter.hit("k")).remaining == 9
        assert sync.hit("k").remaining == 8
        assert (await limiter.hit("k")).remaining == 7
        counted.close_blocking()
        await counted.close()

    asyncio.run(scene())


def test_threads_over_redis_get_exactly_the_limit(shared_redis: RedisServer) -> None:
    passed: list[int] = []
    with threaded(shared_redis, "200/h") as limiter:

        def hammer() -> None:
            passed.append(sum(limiter.hit("k").allowed for _ in range(60)))

        threads = [threading.Thread(target=hammer) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert limiter.peek("k").remaining == 0
    assert sum(passed) == 200


def test_times_are_the_servers(shared_redis: RedisServer) -> None:
    with threaded(shared_redis, "10/s burst 1") as limiter:
        limiter.hit("k")
        decision = limiter.hit("k")
        assert 0 < decision.retry_after_ns <= 100 * MS
        assert abs(decision.at_ns - time.time_ns()) < 60 * S
