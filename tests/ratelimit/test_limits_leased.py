"""Leased units: few round trips, and never more than the limit and what processes held."""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from limiting import MS, Clock, S, most_within

from servers import RedisServer
from tenfold.ratelimit import Limiter, RedisLimits, ThreadLimiter
from tenfold.runtime.ratelimit.decision import Decision
from tenfold.runtime.ratelimit.leases import Leases
from tenfold.runtime.ratelimit.limits import limit

SOURCES = Path(__file__).resolve().parents[2] / "src"


class Ticking:
    """A process's clock that also stands in for the server's: seconds of it pass at once."""

    def __init__(self) -> None:
        self.now_ns = time.time_ns()

    def __call__(self) -> int:
        return self.now_ns

    def us(self) -> int:
        return self.now_ns // 1_000


@contextlib.asynccontextmanager
async def nodes(url: str, text: str, count: int = 1, **settings: Any) -> AsyncIterator[tuple[list[Limiter], Ticking]]:
    """Limiters of several processes over one server, by one clock."""
    clock, prefix = Ticking(), f"leased{time.monotonic_ns()}:"
    stores = [RedisLimits(url, prefix, "5 s", time_us=clock.us) for _ in range(count)]
    limiters = [Limiter(store, text, clock_ns=clock, **settings) for store in stores]
    try:
        yield limiters, clock
    finally:
        for store in stores:
            await store.close()


def test_a_hot_key_costs_few_round_trips_and_a_cold_one_is_exact(shared_redis: RedisServer) -> None:
    async def scene() -> None:
        async with nodes(shared_redis.url, "1000/h", leased=100) as ([limiter], _):
            answers = [await limiter.hit("hot") for _ in range(400)]
            assert all(each.allowed for each in answers)
            assert sum(each.by == "lease" for each in answers) > 380
            assert {each.remaining for each in answers} == set(range(600, 1_000))
            assert (await limiter.hit("cold")).by == "store"
            assert (await limiter.peek("cold")).remaining == 999

    asyncio.run(scene())


def test_what_is_held_is_taken_up_to_the_last_unit(shared_redis: RedisServer) -> None:
    async def scene() -> None:
        async with nodes(shared_redis.url, "1000/h", leased=300) as ([limiter], _):
            answers = [(await limiter.hit("k")).allowed for _ in range(1_100)]
            assert answers == [True] * 1_000 + [False] * 100

    asyncio.run(scene())


def test_a_refusal_is_remembered_for_the_time_of_a_lease_and_its_wait_goes_down(shared_redis: RedisServer) -> None:
    async def scene() -> None:
        async with nodes(shared_redis.url, "10/h burst 10", leased=5) as ([limiter], clock):
            while (await limiter.hit("k")).allowed:
                pass
            first = await limiter.hit("k")
            clock.now_ns += 300 * MS
            second = await limiter.hit("k")
            assert (first.by, second.by) == ("lease", "lease")
            assert first.retry_after_ns - second.retry_after_ns == 300 * MS
            clock.now_ns += S
            assert (await limiter.hit("k")).by == "store"

    asyncio.run(scene())


def test_many_callers_at_once_ask_together(shared_redis: RedisServer) -> None:
    async def scene() -> None:
        async with nodes(shared_redis.url, "1000/h", leased=100) as ([limiter], _):
            answers = await asyncio.gather(*(limiter.hit("k") for _ in range(1_200)))
            assert sum(each.allowed for each in answers) == 1_000
            assert sum(each.by == "store" for each in answers) < 40

    asyncio.run(scene())


@pytest.mark.parametrize("text", ["100/2 s", "50/s burst 20"])
@pytest.mark.parametrize("algorithm", ["gcra", "sliding", "log"])
def test_no_window_holds_more_than_the_bound_and_what_processes_held(
    shared_redis: RedisServer, text: str, algorithm: str
) -> None:
    if algorithm != "gcra" and "burst" in text:
        text = text.partition(" burst")[0]

    async def scene() -> list[tuple[int, int]]:
        passed = []
        async with nodes(shared_redis.url, text, 3, leased=10, lease_for="500 ms", algorithm=algorithm) as (
            limiters,
            clock,
        ):
            for step in range(900):
                clock.now_ns += (step * 7_919_113) % (9 * MS) + (1_500 * MS if step % 200 == 199 else 0)
                if (await limiters[step * step % 3].hit("k")).allowed:
                    passed.append((clock.now_ns, 1))
        return passed

    passed, promised = asyncio.run(scene()), limit(text, algorithm)
    assert len(passed) > 100
    for window_ns in (500 * MS, promised.period_ns, 3 * S):
        assert most_within(window_ns, passed) <= promised.bound(window_ns) + 3 * 10


def test_leased_units_go_back_when_the_limiter_is_closed(shared_redis: RedisServer) -> None:
    async def scene() -> None:
        async with nodes(shared_redis.url, "1000/h", 2, leased=100) as ([limiter, other], _):
            for _ in range(70):
                await limiter.hit("k")
            assert (await other.peek("k")).remaining < 930
            await limiter.close()
            assert (await other.peek("k")).remaining == 930

    asyncio.run(scene())


def test_a_hit_taken_back_goes_back_to_the_lease_it_came_from_only(shared_redis: RedisServer) -> None:
    async def scene() -> None:
        async with nodes(shared_redis.url, "1000/h", leased=8) as ([limiter], clock):
            answers = [await limiter.hit("k") for _ in range(6)]
            held = answers[-1].remaining
            await limiter.refund(answers[-1])
            assert (await limiter.hit("k")).remaining == held
            clock.now_ns += 2 * S
            await limiter.refund(answers[-2])
            assert (await limiter.hit("k")).by != "lease" or (await limiter.peek("k")).remaining < held

    asyncio.run(scene())


def test_units_are_granted_within_the_time_of_the_lease_and_not_after_it() -> None:
    clock = Clock()
    leases = Leases(8, 1 * S, clock, threading.Event)
    answer = Decision(True, "k", 8, 123, "store", (), ())
    assert leases.granted(answer, 1, clock.now_ns).allowed
    clock.now_ns += S - 1
    assert leases.take("k", 3) is not None
    assert leases.take("k", 5) is None
    clock.now_ns += 1
    assert leases.take("k", 1) is None
    assert leases.drained() == []


def test_a_forked_child_does_not_grant_what_its_parent_holds(shared_redis: RedisServer) -> None:
    code = """
import os, sys
from tenfold.ratelimit import RedisLimits, ThreadLimiter
store = RedisLimits(sys.argv[1], sys.argv[2], "5 s")
limiter = ThreadLimiter(store, "1000/h", leased=100, lease_for="1 min")
for _ in range(70):
    limiter.hit("k")
child = os.fork()
by = limiter.hit("k").by
if not child:
    os._exit(0 if by != "lease" else 1)
print(by, os.waitpid(child, 0)[1])
limiter.close()
store.close_blocking()
"""
    done = run_alone(code, shared_redis.url, f"fork{os.getpid()}:")
    assert done == "lease 0"


# Real processes.

HAMMER = """
import sys, threading
from tenfold.ratelimit import RedisLimits, ThreadLimiter
url, prefix, leased = sys.argv[1:4]
settings = {"algorithm": "log", "leased": int(leased), "lease_for": "1 min", "on_store_down": "closed"}
store = RedisLimits(url, prefix, "5 s")
limiter = ThreadLimiter(store, "1000/h", **settings)
passed = []
def hammer():
    passed.append(sum(limiter.hit("k").allowed for _ in range(40)))
sys.stdin.readline()
threads = [threading.Thread(target=hammer) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
print(sum(passed))
limiter.close()
store.close_blocking()
"""


def started(code: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_alone(code: str, *arguments: str) -> str:
    answer, _ = started(code, *arguments).communicate(timeout=30)
    return answer.strip()


@pytest.mark.parametrize("leased", [1, 25])
def test_four_processes_of_eight_threads_get_exactly_the_limit(shared_redis: RedisServer, leased: int) -> None:
    prefix = f"processes{leased}:"
    processes = [started(HAMMER, shared_redis.url, prefix, str(leased)) for _ in range(4)]
    total = sum(int(each.communicate("go\n", timeout=60)[0]) for each in processes)
    assert total <= 1_000
    assert total >= 1_000 - (0 if leased == 1 else 4 * leased)  # units may stay behind in a process that is done
    store = RedisLimits(shared_redis.url, prefix, "5 s")
    with ThreadLimiter(store, "1000/h", algorithm="log") as limiter:
        assert limiter.peek("k").remaining == 1_000 - total  # those went back
    store.close_blocking()
