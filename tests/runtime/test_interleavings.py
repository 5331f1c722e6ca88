"""Random interleavings of answers, errors, time limits, cancellations and waiting: at rest nothing is held.

Real threads for the pipeline for threads, in batches that come to rest; virtual time for asyncio.
"""

import asyncio
import contextlib
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from shells import collecting

from tenfold.errors import CallRejected
from tenfold.policies.call import bulkhead
from tenfold.runtime.attempt import CURRENT
from tenfold.runtime.pipeline import Pipeline
from tenfold.runtime.threads import ThreadPipeline
from tenfold.testing.world import World

MS = 1_000_000
SLOTS, QUEUE = 3, 2
POLICIES = {
    "deadline": "900 ms",
    "retry": {"attempts": 3, "backoff": "20 ms", "budget": "10%"},
    "circuit_breaker": {"failures": 4, "open": "150 ms", "probes": 2, "successes": 2, "lease": "100 ms"},
    "bulkhead": {"in_flight": SLOTS, "queue": QUEUE},
    "timeout": "60 ms",
}
EXPECTED = (OSError, CallRejected, TimeoutError, asyncio.CancelledError, SystemExit)
ERRORS = (OSError, TimeoutError, SystemExit)


class Dependency:
    """Counts who is in flight."""

    def __init__(self):
        self.in_flight = self.most = self.made = 0

    def __enter__(self):
        self.in_flight += 1
        self.made += 1
        self.most = max(self.most, self.in_flight)

    def __exit__(self, *caught):
        self.in_flight -= 1


def at_rest(pipeline):
    """Nothing is held, nobody waits, and what was counted adds up."""
    counts, breaker = pipeline.counts, pipeline.state("circuit_breaker")
    assert pipeline.state("bulkhead") == bulkhead.State()
    assert breaker.probe_count == 0
    assert not any(stage.waiters for stage in pipeline._stages.all)
    assert counts.attempts <= counts.calls + counts.retries
    return counts


# asyncio.


class Storm:
    """Callers of one pipeline, in a world of their own."""

    def __init__(self, seed, **options):
        self.world = World(seed)
        self.dice = random.Random(seed)
        self.shared = {"clock_ns": self.world.clock_ns, "draw": self.world.draw}
        self.dependency = Dependency()
        self.pipeline = Pipeline(**POLICIES, **self.shared, **options)
        self.outer = Pipeline(deadline="500 ms", retry={"attempts": 2, "backoff": "10 ms"}, **self.shared)

    async def attempt(self, attempt=None):
        with self.dependency:
            for _ in range(self.dice.randrange(3)):
                await asyncio.sleep(self.dice.choice([0, 0.001, 0.02, 0.06, 0.1]))
            if self.dice.random() < 0.35:
                raise self.dice.choice(ERRORS)

    async def block(self, deadline_ns):
        async with self.pipeline.once(deadline_ns=deadline_ns):
            await self.attempt()

    def request(self):
        """A call in one of its forms."""
        dice, pipeline = self.dice, self.pipeline
        deadline_ns = self.world.now_ns + dice.choice([0, 1, 20 * MS, 60 * MS, 10_000 * MS])
        safe = dice.random() < 0.8
        form = dice.randrange(5)
        if form == 0:
            return self.block(deadline_ns)
        if form == 1:
            return self.outer.call(lambda attempt: pipeline.call(self.attempt, idempotent=safe), idempotent=True)
        return pipeline.call(self.attempt, idempotent=safe, deadline_ns=2**62 if form < 4 else deadline_ns)

    async def one(self):
        try:
            await self.request()
        except EXPECTED:
            pass
        finally:
            assert CURRENT.get() is None

    async def burst(self):
        """A handful of callers, some of them cancelled; then nothing is left."""
        tasks = []
        for _ in range(self.dice.randrange(2, 9)):
            tasks.append(asyncio.create_task(self.one()))
            if self.dice.random() < 0.3:
                await asyncio.sleep(self.dice.choice([0, 0.01, 0.06]))
            if self.dice.random() < 0.4:
                loop, wait_s = asyncio.get_running_loop(), self.dice.choice([0, 0.01, 0.02, 0.06, 0.1])
                loop.call_later(wait_s, self.dice.choice(tasks).cancel)
        await asyncio.wait(tasks)
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        await asyncio.sleep(0.2)  # cancellations of what has ended, and the timer of the line, have passed
        self.at_rest()

    def at_rest(self):
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert self.dependency.in_flight == 0
        assert self.dependency.most <= SLOTS
        at_rest(self.pipeline)
        assert self.pipeline._limits.line == self.outer._limits.line == {}
        armed = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]
        assert len(armed) <= 2, "one for each pipeline"

    async def bursts(self, count):
        for _ in range(count):
            await self.burst()


COUNTED_BY_OTHERS = {
    *("rejected_by_throttle", "rejected_by_rate_limit", "rejected_by_limit"),
    *("hedges", "hedges_won"),  # `test_hedging` has a storm of its own
}
KINDS = {"short way": {}, "fallback": {"fallback": lambda error: None}, "told": {"on_decision": lambda told: None}}


@pytest.mark.parametrize("kind", KINDS)
def test_a13_asyncio_nothing_is_lost_in_random_interleavings(kind):
    storm = Storm(13, **KINDS[kind])
    storm.world.run(storm.bursts(3_400))
    counts = storm.pipeline.counts
    assert counts.attempts == storm.dependency.made
    for name in set(counts.__slots__) - COUNTED_BY_OTHERS:
        assert getattr(counts, name) > 100, f"the storm has to reach {name}"


def test_a13_asyncio_waiters_are_served_in_the_order_they_came():
    world = World(13)
    dice = world.dice
    pipeline = Pipeline(bulkhead={"in_flight": SLOTS, "queue": 5}, clock_ns=world.clock_ns)
    served = [0]

    async def one(number, started):
        async def attempt(attempt):
            started.append(number)
            await asyncio.sleep(dice.choice([0, 0.01, 0.02]))

        with contextlib.suppress(CallRejected, TimeoutError):
            await pipeline.call(attempt, idempotent=True, deadline_ns=world.now_ns + dice.choice([1, 10, 10_000]) * MS)

    async def burst():
        started = []
        tasks = [asyncio.create_task(one(number, started)) for number in range(8)]
        if dice.random() < 0.5:
            asyncio.get_running_loop().call_later(dice.choice([0, 0.01]), dice.choice(tasks).cancel)
        await asyncio.wait(tasks)
        assert started == sorted(started)
        served[0] += len(started)

    async def bursts():
        for _ in range(2_000):
            await burst()

    world.run(bursts())
    assert served[0] > 8_000


# Threads.


class Rush:
    """Threads that call one pipeline, all at once."""

    def __init__(self, executor=None, **options):
        self.lock = threading.Lock()
        self.dependency = Dependency()
        quick = {
            "deadline": "3 ms",
            "retry": {**POLICIES["retry"], "backoff": "100 us"},
            "circuit_breaker": {**POLICIES["circuit_breaker"], "open": "1 ms", "lease": "2 ms"},
            "timeout": "500 us",
        }
        self.pipeline = ThreadPipeline(**POLICIES | quick, executor=executor, **options)
        self.outer = ThreadPipeline(deadline="2 ms", retry={"attempts": 2, "backoff": "50 us"})

    def attempt(self, dice, limited=True):
        with self.lock:
            self.dependency.__enter__()
        try:
            if dice.random() < 0.6:
                time.sleep(dice.choice([0, 0.0001, 0.0006]))
            if dice.random() < 0.35:
                raise dice.choice(ERRORS)
        finally:
            with self.lock:
                self.dependency.__exit__()

    def request(self, dice):
        pipeline, form = self.pipeline, dice.randrange(5)
        deadline_ns = time.monotonic_ns() + dice.choice([0, 50_000, 500_000, 5 * MS])
        if form == 0:
            with pipeline.once(deadline_ns=deadline_ns):
                return self.attempt(dice)
        call = lambda attempt: self.attempt(dice)  # noqa: E731 - one attempt, three uses
        if form == 1:
            return self.outer.call(lambda attempt: pipeline.call(call, idempotent=True), idempotent=True)
        return pipeline.call(call, idempotent=dice.random() < 0.8, deadline_ns=2**62 if form < 4 else deadline_ns)

    def one(self, seed, calls, gate):
        dice = random.Random(seed)
        gate.wait()
        for _ in range(calls):
            with contextlib.suppress(*EXPECTED):
                self.request(dice)
            assert CURRENT.get() is None

    def rush(self, threads, calls, seed):
        gate = threading.Barrier(threads)
        with ThreadPoolExecutor(threads) as pool:
            callers = [pool.submit(self.one, seed + number, calls, gate) for number in range(threads)]
        for caller in callers:
            caller.result()


@pytest.fixture
def often():
    """Threads take turns a hundred times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 100)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("often")
def test_a13_threads_nothing_is_lost_in_random_interleavings(kind):
    rush = Rush(**KINDS[kind])
    for seed in range(50):
        rush.rush(threads=8, calls=25, seed=100 * seed)
        assert rush.dependency.in_flight == 0
        at_rest(rush.pipeline)
    counts = rush.pipeline.counts
    assert rush.dependency.most <= SLOTS
    assert counts.attempts == rush.dependency.made
    for name in ("retries", "rejected_by_breaker", "rejected_by_bulkhead", "breaker_opened", "timeouts"):
        assert getattr(counts, name) > 10, f"the rush has to reach {name}"


@pytest.mark.usefixtures("often")
def test_a13_threads_with_an_executor_lose_nothing_but_patience():
    with ThreadPoolExecutor(16) as executor:
        rush = Rush(executor)
        for seed in range(5):
            rush.rush(threads=6, calls=20, seed=100 * seed)
    assert rush.dependency.in_flight == 0, "abandoned attempts have run to their end"
    counts = at_rest(rush.pipeline)
    assert counts.timeouts > 10
    assert counts.attempts >= rush.dependency.made, "an attempt whose time was up before a thread was free is not made"


@pytest.mark.usefixtures("often")
def test_a13_threads_waiters_are_served_in_the_order_they_came():
    pipeline = ThreadPipeline(bulkhead={"in_flight": 1, "queue": 16})
    stages, came, served = pipeline._stages, [], []
    line_up, wake = stages._line_up, stages.wake

    def noting_line_up(stage):
        came.append(line_up(stage))
        return came[-1]

    def noting_wake(stage):
        served.append(stage.waiters[0])
        wake(stage)

    stages._line_up, stages.wake = noting_line_up, noting_wake

    def one(seed):
        dice = random.Random(seed)
        for _ in range(150):
            deadline_ns = time.monotonic_ns() + dice.choice([100_000, 10**12])
            with contextlib.suppress(CallRejected, TimeoutError):
                pipeline.call(lambda attempt: time.sleep(0), idempotent=True, deadline_ns=deadline_ns)

    with ThreadPoolExecutor(8) as pool:
        for ended in [pool.submit(one, seed) for seed in range(8)]:
            ended.result()
    order = {id(waiter): number for number, waiter in enumerate(came)}
    numbers = [order[id(waiter)] for waiter in served]
    assert len(numbers) > 100
    assert numbers == sorted(numbers)
    assert pipeline.state("bulkhead") == bulkhead.State()


# Memory.


def test_a_hundred_thousand_calls_leave_nothing_behind():
    world = World()
    pipeline = Pipeline(**POLICIES | {"circuit_breaker": {"failures": 10**6}}, clock_ns=world.clock_ns)
    blocks = []

    async def fine(attempt):
        return 1

    async def failing(attempt):
        raise OSError

    async def some(count):
        for number in range(count):
            with contextlib.suppress(OSError):
                await pipeline.call(failing if number % 10 == 0 else fine, idempotent=False)

    async def scenario():
        await some(1_000)
        with collecting() as left:
            for _ in range(2):
                await some(50_000)
                blocks.append(sys.getallocatedblocks())
            return left()

    assert world.run(scenario()) == 0
    assert blocks[1] - blocks[0] < 50, "blocks of memory, after 50,000 calls"
