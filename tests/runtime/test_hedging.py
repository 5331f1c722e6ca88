"""Hedging in a service: the tail goes, nothing is left running, nothing unsafe is repeated."""

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tenfold import Pipeline, ThreadPipeline, UsageError
from tenfold.policies.call import bulkhead, hedge
from tenfold.testing.world import World

MS = 1_000_000
SECOND = 1_000_000_000


def pipeline_of(world, **options):
    return Pipeline(clock_ns=world.clock_ns, draw=world.draw, **options)


def tail_of(*, idempotent, slow_share, hedging=True):
    """Latencies in ns of 20,000 calls, 97 % of 10 +- 1 ms or so and the rest 1 s; calls made, calls left running."""
    world, dice = World(17), random.Random(17)
    made, running, latencies = [0], [0], []
    pipeline = pipeline_of(world, hedge={"budget": "20%"}) if hedging else pipeline_of(world)

    async def fn(attempt):
        made[0] += 1
        running[0] += 1
        try:
            await asyncio.sleep(1.0 if dice.random() < slow_share else dice.uniform(0.009, 0.011))
        finally:
            running[0] -= 1

    async def one():
        begun_ns = world.now_ns
        await pipeline.call(fn, idempotent=idempotent)
        latencies.append(world.now_ns - begun_ns)

    async def scenario():
        async with asyncio.TaskGroup() as group:
            for _ in range(20_000):
                group.create_task(one())
                await asyncio.sleep(dice.expovariate(200))
        return len(asyncio.all_tasks())

    assert world.run(scenario()) == 1, "the scenario's own task"
    assert running[0] == 0
    return sorted(latencies), made[0] / len(latencies), pipeline


def test_a17_hedging_cuts_the_tail_for_a_few_extra_calls():
    latencies, calls_per_request, pipeline = tail_of(idempotent=True, slow_share=0.03)
    assert latencies[int(0.99 * len(latencies))] <= 30 * MS
    assert calls_per_request <= 1.06
    assert pipeline.counts.hedges == round((calls_per_request - 1) * len(latencies))
    assert 0.5 < pipeline.counts.hedges_won / pipeline.counts.hedges <= 1
    assert tail_of(idempotent=True, slow_share=0.03, hedging=False)[0][19_800] == SECOND


def test_a17_unsafe_calls_are_never_made_twice():
    _, calls_per_request, pipeline = tail_of(idempotent=False, slow_share=0.03)
    assert (calls_per_request, pipeline.counts.hedges) == (1.0, 0)


def test_a17_when_everything_is_slow_the_budget_bounds_the_extra_calls():
    _, calls_per_request, _ = tail_of(idempotent=True, slow_share=1.0)
    assert calls_per_request <= 1.20


class Case:
    """A hedge after 100 ms, and a backend that follows a script of (seconds, what it answers or raises)."""

    def __init__(self, *script, **policies):
        self.world, self.script, self.ends = World(), list(script), []
        options = {"hedge": {"delay": "100 ms", "budget": "1000%"}} | policies
        self.pipeline = pipeline_of(self.world, **options)

    async def backend(self, attempt):
        seconds, end = self.script.pop(0)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise
        self.ends.append(end)
        if isinstance(end, BaseException):
            raise end
        return end

    def run(self, **options):
        return self.world.run(self.pipeline.call(self.backend, **{"idempotent": True} | options))


def test_the_first_to_answer_wins_and_the_other_has_ended_before_the_answer_is_given():
    case = Case((9, "slow"), (0.05, "quick"))
    assert case.run() == "quick"
    assert (case.world.now_ns, case.ends) == (150 * MS, ["quick", "cancelled"])


def test_a_failure_waits_for_the_call_beside_it():
    case = Case((0.2, ConnectionError()), (0.3, "late but good"))
    assert case.run() == "late but good"
    assert case.world.now_ns == 400 * MS


def test_a_failure_before_the_hedge_is_the_attempts_and_when_all_fail_the_last_is():
    early = Case((0.01, ConnectionError("early")))
    with pytest.raises(ConnectionError, match="early"):
        early.run()
    both = Case((0.2, ConnectionError("first")), (0.2, ConnectionError("second")))
    with pytest.raises(ConnectionError, match="second"):
        both.run()


def test_the_attempts_time_is_shared_by_its_calls():
    case = Case((9, "slow"), (9, "slow too"), timeout="1 s")
    with pytest.raises(TimeoutError):
        case.run()
    assert (case.world.now_ns, case.ends) == (SECOND, ["cancelled", "cancelled"])


def test_a_cancelled_caller_leaves_no_call_running():
    case = Case((9, "slow"), (9, "slow too"), bulkhead={"in_flight": 1})

    async def scenario():
        task = asyncio.create_task(case.pipeline.call(case.backend, idempotent=True))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return len(asyncio.all_tasks())

    assert case.world.run(scenario()) == 1
    assert case.ends == ["cancelled", "cancelled"]
    assert case.pipeline.state("bulkhead") == bulkhead.State()


def test_several_extra_calls_are_made_when_they_are_allowed():
    case = Case((9, 1), (9, 2), (0.05, 3), hedge={"delay": "100 ms", "extras": 2, "budget": "1000%"})
    assert case.run() == 3
    assert (case.world.now_ns, case.pipeline.counts.hedges) == (250 * MS, 2)


def test_a_retry_hedges_anew():
    case = Case(*[(0.2, ConnectionError())] * 2, (9, "slow"), (0.05, "good"), retry={"attempts": 2, "backoff": "0 ms"})
    assert case.run() == "good"
    assert (case.pipeline.counts.attempts, case.pipeline.counts.hedges) == (2, 2)


def test_nothing_is_lost_in_random_interleavings_of_hedged_calls():
    world, dice, running = World(5), random.Random(5), [0]
    pipeline = pipeline_of(
        world,
        hedge={"delay": "20 ms", "extras": 2, "budget": "1000%"},
        timeout="80 ms",
        retry={"attempts": 2, "backoff": "5 ms"},
        bulkhead={"in_flight": 2, "queue": 1},
        circuit_breaker={"failures": 20, "open": "100 ms"},
    )

    async def fn(attempt):
        running[0] += 1
        try:
            await asyncio.sleep(dice.choice([0, 0.01, 0.03, 0.05, 0.2]))
            if dice.random() < 0.3:
                raise OSError
        finally:
            running[0] -= 1

    async def burst():
        tasks = []
        for _ in range(6):
            tasks.append(asyncio.create_task(pipeline.call(fn, idempotent=dice.random() < 0.8)))
            await asyncio.sleep(dice.choice([0, 0.01, 0.04]))
            if dice.random() < 0.4:
                dice.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (running[0], len(asyncio.all_tasks())) == (0, 1)
        assert pipeline.state("bulkhead") == bulkhead.State()
        assert pipeline.state("circuit_breaker").probe_count == 0

    async def scenario():
        for _ in range(1_000):
            await burst()

    world.run(scenario())
    counts = pipeline.counts
    assert min(counts.hedges, counts.hedges_won, counts.timeouts, counts.rejected_by_bulkhead) > 100


def test_an_extra_call_is_a_decision_and_listeners_hear_of_it():
    told = []
    world = World()
    pipeline = pipeline_of(world, hedge={"delay": "100 ms", "budget": "1000%"}, on_decision=told.append)

    async def fn(attempt):
        await asyncio.sleep(0.2)

    world.run(pipeline.call(fn, idempotent=True))
    assert [decision.verb for decision in told] == ["acquire", "extra", "record"]


def test_threads_hedge_in_their_executor_and_refuse_to_without():
    with pytest.raises(UsageError, match="hedge needs threads"):
        ThreadPipeline([hedge.Config()])
    gate, calls = threading.Event(), []

    def fn(attempt):
        calls.append(attempt)
        if len(calls) == 1:
            gate.wait(10)
            return "slow"
        return "quick"

    with ThreadPoolExecutor(2) as executor:
        pipeline = ThreadPipeline(hedge={"delay": "10 ms", "budget": "1000%"}, executor=executor)
        assert pipeline.call(fn, idempotent=True) == "quick"
        gate.set()
    assert (pipeline.counts.hedges, pipeline.counts.hedges_won) == (1, 1)
