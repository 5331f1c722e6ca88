"""The acceptance rows of resilience policies, in virtual time through the asyncio pipeline."""

import asyncio
import pathlib
import random
import re
import time

import pytest

import tenfold
from tenfold.errors import CallRejected
from tenfold.policies.call import bulkhead, circuit_breaker, deadline, retry, timeout
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import DONE, RETRY
from tenfold.runtime.pipeline import Pipeline
from tenfold.testing.world import World

MS = 1_000_000
SECOND = 1_000_000_000


def pipeline_of(world, *configs, **options):
    return Pipeline(configs, clock_ns=world.clock_ns, draw=world.draw, **options)


async def succeeds(attempt):
    return "ok"


async def fails(attempt):
    raise ConnectionError


async def poisson(world, rate_per_s, seconds, request):
    """Open loop: start `request()` at random instants, then wait for all. How each ended."""
    tasks, end_ns = [], world.now_ns + seconds * SECOND
    while True:
        await asyncio.sleep(world.dice.expovariate(rate_per_s))
        if world.now_ns >= end_ns:
            return await asyncio.gather(*tasks, return_exceptions=True)
        tasks.append(asyncio.create_task(request()))


@pytest.mark.parametrize("failure_ms", [1, 1000])
@pytest.mark.parametrize("backoff_ms", [100, 1000])
def test_a1_budget_bounds_retries_of_fast_and_slow_failures(failure_ms, backoff_ms):
    world, attempts = World(1), [0]
    pipeline = pipeline_of(world, retry.Config(attempts=3, backoff_ns=backoff_ms * MS, budget_ratio=0.2))

    async def fn(attempt):
        attempts[0] += 1
        await asyncio.sleep(failure_ms / 1000)
        raise ConnectionError

    ends = world.run(poisson(world, 500, 60, lambda: pipeline.call(fn, idempotent=True)))
    assert 1.15 <= attempts[0] / len(ends) <= 1.20


def test_a2_independent_failures_are_retried_away():
    world, attempts = World(2), [0]
    pipeline = pipeline_of(world, retry.Config(attempts=3, budget_ratio=0.2))

    async def fn(attempt):
        attempts[0] += 1
        await asyncio.sleep(0.001)
        if world.draw() < 0.1:
            raise ConnectionError

    ends = world.run(poisson(world, 500, 60, lambda: pipeline.call(fn, idempotent=True)))
    assert sum(isinstance(end, ConnectionError) for end in ends) / len(ends) <= 0.002
    assert attempts[0] / len(ends) <= 1.12


@pytest.mark.parametrize(
    ("budget", "mark", "low", "high"), [(0.2, True, 1.0, 1.25), (0.2, False, 1.6, 1.73), (-1, False, 27, 27)]
)
def test_a3_three_layers_with_budget_and_mark_load_the_bottom_no_more_than_one(budget, mark, low, high):
    world, bottom = World(3), [0]
    config = retry.Config(attempts=3, backoff_ns=10 * MS, budget_ratio=budget, mark=mark)
    layers = [pipeline_of(world, config) for _ in range(3)]

    async def fn(attempt):
        bottom[0] += 1
        raise ConnectionError

    def through(depth):
        async def call(attempt=None):
            return await layers[depth].call(through(depth + 1), idempotent=True)

        return fn if depth == 3 else call

    ends = world.run(poisson(world, 100, 30, through(0)))
    assert low <= bottom[0] / len(ends) <= high


def test_a4_reserve_stays_small_at_low_traffic():
    world, attempts = World(4), [0]
    pipeline = pipeline_of(world, retry.Config(attempts=3, budget_ratio=0.2, budget_reserve_per_s=0.1))

    async def fn(attempt):
        attempts[0] += 1
        raise ConnectionError

    ends = world.run(poisson(world, 1, 3600, lambda: pipeline.call(fn, idempotent=True)))
    assert attempts[0] / len(ends) <= 1.3


@pytest.mark.parametrize(("backend", "phase"), [(succeeds, "closed"), (fails, "open")])
def test_a5_one_of_fifty_callers_probes_and_the_others_are_told_when_to_come_back(backend, phase):
    world, reached = World(), [0]
    pipeline = pipeline_of(world, circuit_breaker.Config(failures=1, open_ns=10 * SECOND))

    async def fn(attempt):
        reached[0] += 1
        await asyncio.sleep(0.1)
        return await backend(attempt)

    async def scenario():
        with pytest.raises(ConnectionError):
            await pipeline.call(fails, idempotent=True)
        await asyncio.sleep(10)
        callers = (pipeline.call(fn, idempotent=True) for _ in range(50))
        return await asyncio.gather(*callers, return_exceptions=True)

    ends = world.run(scenario())
    rejected = [end for end in ends if isinstance(end, CallRejected)]
    assert (reached[0], len(rejected)) == (1, 49)
    assert all(end.retry_after_ns > 0 for end in rejected)
    assert circuit_breaker.PHASES[pipeline.state("circuit_breaker").phase] == phase


def test_a6_hung_probe_is_replaced_when_its_lease_ends_and_its_late_answer_ignored():
    world = World()
    pipeline = pipeline_of(world, circuit_breaker.Config(failures=1, open_ns=SECOND, lease_ns=5 * SECOND))

    async def scenario():
        with pytest.raises(ConnectionError):
            await pipeline.call(fails, idempotent=True)
        await asyncio.sleep(1)
        hung = asyncio.create_task(pipeline.call(lambda attempt: asyncio.sleep(20, "late"), idempotent=True))
        await asyncio.sleep(4.999)
        with pytest.raises(CallRejected):
            await pipeline.call(succeeds, idempotent=True)
        await asyncio.sleep(0.001)
        with pytest.raises(ConnectionError):
            await pipeline.call(fails, idempotent=True)
        state = pipeline.state("circuit_breaker")
        opened = (state.phase, state.generation)
        assert await hung == "late"
        assert (state.phase, state.generation) == opened

    world.run(scenario())


def test_a7_cancellation_is_neither_failure_nor_success():
    world = World()
    pipeline = pipeline_of(world, circuit_breaker.Config(failures=3, open_ns=SECOND))
    state = pipeline.state("circuit_breaker")

    async def cancelled():
        task = asyncio.create_task(pipeline.call(lambda attempt: asyncio.sleep(9), idempotent=True))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def failing():
        with pytest.raises(ConnectionError):
            await pipeline.call(fails, idempotent=True)

    async def scenario():
        await failing()
        await failing()
        await cancelled()
        assert (state.phase, state.failure_count) == (circuit_breaker.CLOSED, 2)
        await failing()
        assert state.phase == circuit_breaker.OPEN
        await asyncio.sleep(1)
        await cancelled()
        assert (state.phase, state.probe_count, state.success_count) == (circuit_breaker.HALF_OPEN, 0, 0)
        assert await pipeline.call(succeeds, idempotent=True) == "ok"

    world.run(scenario())


@pytest.mark.parametrize("late", [succeeds, fails])
def test_a8_answer_from_before_the_breaker_opened_moves_nothing(late):
    world = World()
    pipeline = pipeline_of(world, circuit_breaker.Config(failures=1, open_ns=SECOND))
    state = pipeline.state("circuit_breaker")

    async def slow(attempt):
        await asyncio.sleep(1.5)
        return await late(attempt)

    async def scenario():
        old = asyncio.create_task(pipeline.call(slow, idempotent=True))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionError):
            await pipeline.call(fails, idempotent=True)
        await asyncio.sleep(1)
        probe = asyncio.create_task(pipeline.call(lambda attempt: asyncio.sleep(3), idempotent=True))
        await asyncio.sleep(0)
        before = repr(state)
        await asyncio.gather(old, return_exceptions=True)
        assert (state.phase, repr(state)) == (circuit_breaker.HALF_OPEN, before)
        await probe
        assert state.phase == circuit_breaker.CLOSED

    world.run(scenario())


@pytest.mark.parametrize("step_s", [-3600, 3600])
def test_a9_stepping_the_wall_clock_moves_no_decision(step_s, monkeypatch):
    usual = decisions()
    reads = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 + step_s * (next(reads) % 2))
    monkeypatch.setattr(time, "time_ns", lambda: 10**18 + step_s * SECOND * (next(reads) % 2))
    assert decisions() == usual
    assert len(usual) > 1_000


def test_a9_nothing_on_the_way_of_a_call_can_read_a_wall_clock():
    package = pathlib.Path(tenfold.__file__).parent
    for folder in ("policies", "runtime"):
        for path in (package / folder).rglob("*.py"):
            if path.name == "retry_after.py":  # a header that may hold a date, made a duration when it is read
                continue
            if path.is_relative_to(package / "runtime" / "ids"):
                continue  # ids carry the wall clock's time; the next test: no call passes through them
            text = path.read_text()
            assert "datetime" not in text, path
            assert set(re.findall(r"\btime\.\w+", text)) <= {"time.monotonic_ns", "time.sleep"}, path


def test_a9_ids_which_carry_the_time_are_not_on_the_way_of_a_call():
    package = pathlib.Path(tenfold.__file__).parent
    for folder in ("policies", "runtime"):
        for path in (package / folder).rglob("*.py"):
            if not path.is_relative_to(package / "runtime" / "ids"):
                assert not re.search(r"runtime(\.| import )ids", path.read_text()), path


def decisions():
    world, log = World(9), []
    pipeline = pipeline_of(world, *everything(), on_decision=log.append)
    world.run(mixed_minute(world, pipeline))
    return log


def everything():
    return (
        deadline.Config(total_ns=5 * SECOND),
        retry.Config(budget_ratio=0.2, budget_reserve_per_s=1.0),
        circuit_breaker.Config(failures=5, open_ns=2 * SECOND, failure_share_ratio=0.5),
        bulkhead.Config(in_flight=3, queue=2),
        timeout.Config(limit_ns=300 * MS),
    )


async def mixed_minute(world, pipeline):
    async def fn(attempt):
        await asyncio.sleep(world.dice.choice([0.01, 0.1, 0.5]))
        if world.dice.random() < 0.4:
            raise ConnectionError

    await poisson(world, 10, 60, lambda: pipeline.call(fn, idempotent=True))


def test_a10_jitter_survives_the_cap():
    config = retry.Config(attempts=200, backoff_ns=SECOND, backoff_max_ns=30 * SECOND)
    dice = random.Random(10)
    for number in range(1, 11):
        pauses = sorted(retry.pause(config, Call(attempt_count=number), dice.random()) for _ in range(10_000))
        nominal_ns = min(2 ** (number - 1), 30) * SECOND
        assert 0.8 * nominal_ns <= pauses[0] <= pauses[-1] <= 1.2 * nominal_ns
        assert sum(pauses) / len(pauses) == pytest.approx(nominal_ns, rel=0.01)
        assert max(pauses.count(pause) for pause in pauses[::100]) <= 10


@pytest.mark.parametrize("mode", [retry.FULL, retry.DECORRELATED])
def test_a10_other_jitters_do_not_bunch_at_the_cap_either(mode):
    config = retry.Config(attempts=200, backoff_ns=SECOND, backoff_max_ns=30 * SECOND, jitter_mode=mode)
    dice, call = random.Random(10), Call(attempt_count=9, backoff_ns=30 * SECOND)
    pauses = [retry.pause(config, call, dice.random()) for _ in range(10_000)]
    assert all(pause <= 30 * SECOND for pause in pauses)
    assert max(pauses.count(pause) for pause in pauses[::100]) <= 10


class BusyError(Exception):
    retry_after_ns = 7 * SECOND


def test_a11_retry_after_beyond_the_deadline_fails_at_once_with_the_original_error():
    assert ends_after(deadline_s=5) == (0, 1)


def test_a11_retry_after_within_the_deadline_is_waited_for():
    waited_ns, attempts = ends_after(deadline_s=20)
    assert attempts == 2
    assert 7 * SECOND <= waited_ns <= 8.4 * SECOND


def ends_after(deadline_s):
    world, attempts = World(11), [0]
    pipeline = pipeline_of(
        world, deadline.Config(total_ns=deadline_s * SECOND), retry.Config(attempts=2, backoff_ns=SECOND)
    )

    async def fn(attempt):
        attempts[0] += 1
        raise BusyError

    with pytest.raises(BusyError):
        world.run(pipeline.call(fn, idempotent=True))
    return world.now_ns, attempts[0]


@pytest.mark.parametrize("configs", [(), (timeout.Config(limit_ns=900 * MS),)], ids=["failing", "hanging"])
def test_a12_no_attempt_and_no_task_outlives_the_deadline(configs):
    world, told = World(12, draws=[0.5] * 100), []
    retries = retry.Config(attempts=9, backoff_ns=500 * MS, jitter_ratio=0.0)
    pipeline = pipeline_of(world, deadline.Config(total_ns=2 * SECOND), retries, *configs)

    async def fn(attempt):
        told.append(attempt.remaining_ns)
        await asyncio.create_task(asyncio.sleep(9 if configs else 0.9))
        raise ConnectionError

    async def scenario():
        with pytest.raises(TimeoutError):
            await pipeline.call(fn, idempotent=True)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert world.run(scenario()) == set()
    assert world.now_ns == 2 * SECOND
    assert told == [900 * MS if configs else 2 * SECOND, 600 * MS]


def test_a14_calls_that_share_every_policy_behave_as_if_alone():
    def pauses_of(seeds):
        world, log = World(), {seed: [] for seed in seeds}
        pipeline = pipeline_of(world, *everything()[:2], circuit_breaker.Config(failures=100), *everything()[3:])

        async def one(seed):
            async def fn(attempt):
                log[seed].append(world.now_ns)
                raise ConnectionError

            with pytest.raises(ConnectionError):
                await pipeline.call(fn, idempotent=True, draw=random.Random(seed).random)

        async def scenario():
            await asyncio.gather(*(one(seed) for seed in seeds))

        world.run(scenario())
        return log

    together = pauses_of([1, 2])
    assert together == pauses_of([1]) | pauses_of([2])
    assert len(together[1]) == 3


def test_a14_states_hold_nothing_of_a_single_call():
    config, state = retry.Config(attempts=5), retry.State()
    for _ in range(3):
        call = Call()
        retry.acquire(config, state, call, 0, 0.5)
        assert retry.record(config, state, call, 0, 1, 0.5)[0] == RETRY
    assert state == retry.State(), "without a budget there is nothing to share"
    assert retry.record(config, state, Call(attempt_count=5), 0, 1, 0.5)[0] == DONE
