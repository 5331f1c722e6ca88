"""Time limits in a line: that each ends in time, cancels its own block only, and leaves nothing behind."""

import asyncio
import contextvars
import threading

import pytest
from shells import collecting

from tenfold.errors import UsageError
from tenfold.policies.call import bulkhead, circuit_breaker
from tenfold.policies.verbs import LONGEST_NS
from tenfold.runtime.attempt import CURRENT, begin
from tenfold.runtime.pipeline import Pipeline
from tenfold.testing.world import World

SECOND = 1_000_000_000


def pipeline_in(world, **policies):
    return Pipeline(clock_ns=world.clock_ns, **policies)


async def succeeds(attempt):
    return "ok"


async def hangs(attempt):
    await asyncio.get_running_loop().create_future()


def timers():
    """Timers the loop still waits for."""
    return [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]


async def late(pipeline, **options):
    """When a call that hangs has ended."""
    with pytest.raises(TimeoutError):
        await pipeline.call(hangs, idempotent=False, **options)
    return pipeline._clock_ns()


# In time.


@pytest.mark.parametrize("first_ns", [5 * SECOND, LONGEST_NS, 2**61])
def test_a_limit_ends_in_time_although_the_timer_was_set_for_a_later_one_that_is_gone(first_ns):
    world = World()
    pipeline = pipeline_in(world)

    async def scenario():
        await pipeline.call(succeeds, idempotent=True, deadline_ns=first_ns)
        return await late(pipeline, deadline_ns=SECOND)

    assert world.run(scenario()) == SECOND


def test_limits_of_all_lengths_end_in_time_whatever_else_stands_in_line():
    world = World(seed=1)
    pipeline = pipeline_in(world)
    dice = world.dice

    async def one():
        await asyncio.sleep(dice.random() * 10)
        ends_ns = world.now_ns + dice.randrange(1, 5 * SECOND)
        if dice.random() < 0.5:
            limit_ns = dice.choice([ends_ns, ends_ns + SECOND, 2**61])
            await pipeline.call(succeeds, idempotent=True, deadline_ns=limit_ns)
            return 0
        return await late(pipeline, deadline_ns=ends_ns) - ends_ns

    async def scenario():
        strayed = await asyncio.gather(*(one() for _ in range(2_000)))
        assert len(timers()) <= 1
        return strayed

    assert max(map(abs, world.run(scenario()))) <= 2, "ns: the loop counts in floating seconds"
    assert pipeline._limits.line == {}


def test_calls_that_end_in_the_same_instant_all_end():
    world = World()
    pipeline = pipeline_in(world, timeout="1 s")

    async def scenario():
        return await asyncio.gather(*(late(pipeline) for _ in range(5_000)))

    assert set(world.run(scenario())) == {SECOND}


def test_limits_of_one_length_share_one_timer():
    world = World()
    pipeline = pipeline_in(world, timeout="1 s")

    async def scenario():
        calls = [asyncio.create_task(late(pipeline)) for _ in range(100)]
        await asyncio.sleep(0)
        assert len(timers()) == 1
        await asyncio.gather(*calls)
        assert timers() == []

    world.run(scenario())


@pytest.mark.parametrize("remaining_ns", [1, 0, -SECOND])
def test_limit_that_is_over_when_it_starts_ends_at_once(remaining_ns):
    world = World(start_ns=10 * SECOND)
    pipeline = pipeline_in(world)
    limits, limited = pipeline._limits, pipeline._attempt()
    begin(limited, world.now_ns, 2**61)

    async def scenario():
        limits.start(limited, world.now_ns + remaining_ns)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(9)
        limits.end(limited)
        return asyncio.current_task().cancelling()

    assert (world.run(scenario()), limited.is_late) == (0, True)
    assert world.now_ns <= 10 * SECOND + 1


def test_answer_that_needs_no_waiting_comes_in_time_whatever_the_limit():
    world = World()
    pipeline = pipeline_in(world, timeout="1 ns")
    assert world.run(pipeline.call(succeeds, idempotent=True)) == "ok"


# Its own block only.


@pytest.mark.parametrize("way", ["call", "once"])
def test_block_that_swallows_its_cancellation_leaves_its_task_uncancelled(way):
    world = World()
    pipeline = pipeline_in(world, timeout="1 s")

    async def stubborn(attempt):
        try:
            await hangs(attempt)
        except asyncio.CancelledError:
            return "answer"

    async def once():
        async with pipeline.once() as attempt:
            return await stubborn(attempt)

    async def scenario():
        answer = await (once() if way == "once" else pipeline.call(stubborn, idempotent=True))
        async with asyncio.timeout(1):
            await asyncio.sleep(0.5)
        return answer, asyncio.current_task().cancelling()

    assert world.run(scenario()) == ("answer", 0)


def test_block_that_turns_its_cancellation_into_an_error_fails_with_that_error():
    world = World()
    pipeline = pipeline_in(world, timeout="1 s", circuit_breaker={"failures": 1})

    async def translating(attempt):
        try:
            await hangs(attempt)
        except asyncio.CancelledError:
            raise ConnectionError from None

    async def scenario():
        with pytest.raises(ConnectionError):
            await pipeline.call(translating, idempotent=False)
        return asyncio.current_task().cancelling()

    assert world.run(scenario()) == 0
    assert pipeline.state("circuit_breaker").phase == circuit_breaker.OPEN
    assert pipeline.counts.timeouts == 0


def test_group_of_tasks_in_an_attempt_is_ended_with_it():
    world = World()
    pipeline = pipeline_in(world, timeout="1 s")

    async def grouped(attempt):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(9))
            group.create_task(asyncio.sleep(99))

    async def scenario():
        with pytest.raises(TimeoutError):
            await pipeline.call(grouped, idempotent=True)
        return asyncio.all_tasks() == {asyncio.current_task()}, asyncio.current_task().cancelling()

    assert world.run(scenario()) == (True, 0)


def test_limit_of_a_caller_that_ends_in_the_same_instant_counts_as_the_callers():
    world = World()
    inner, outer = pipeline_in(world), pipeline_in(world, timeout="1 s")

    async def scenario():
        with pytest.raises(TimeoutError):
            await outer.call(lambda attempt: inner.call(hangs, idempotent=True), idempotent=True)
        return asyncio.current_task().cancelling()

    assert world.run(scenario()) == 0
    assert (outer.counts.timeouts, world.now_ns) == (1, SECOND)
    assert inner._limits.line == outer._limits.line == {}


# Loops.


def test_pipeline_serves_one_loop_after_the_other():
    world = World()
    pipeline = pipeline_in(world, timeout="1 s")
    assert [world.run(late(pipeline)) for _ in range(3)] == [SECOND, 2 * SECOND, 3 * SECOND]


def test_loop_that_dies_with_calls_under_way_does_not_harm_the_next():
    world = World()
    pipeline = pipeline_in(world, timeout="1 s")
    loop = asyncio.new_event_loop()

    async def leave_one():
        kept.append(asyncio.create_task(pipeline.call(hangs, idempotent=True)))
        await asyncio.sleep(0)

    kept = []
    loop.run_until_complete(leave_one())
    loop.close()
    assert world.run(late(pipeline)) == SECOND
    kept[0]._log_destroy_pending = False


def test_loop_with_calls_under_way_is_not_deserted():
    pipeline = Pipeline(timeout="1 min", retry=True, circuit_breaker={"failures": 1}, bulkhead=2)

    async def block():
        async with pipeline.once():
            raise AssertionError

    with asyncio.Runner() as first, asyncio.Runner() as second:

        async def leave_one():
            return asyncio.create_task(pipeline.call(hangs, idempotent=True))

        task = first.run(leave_one())
        first.run(asyncio.sleep(0))
        with pytest.raises(UsageError, match="one event loop"):
            second.run(pipeline.call(succeeds, idempotent=True))
        with pytest.raises(UsageError, match="one event loop"):
            second.run(block())
        task.cancel()
        first.run(asyncio.wait([task]))
        assert second.run(pipeline.call(succeeds, idempotent=True)) == "ok"
        assert first.run(pipeline.call(succeeds, idempotent=True)) == "ok"
    assert pipeline.state("bulkhead") == bulkhead.State()
    assert pipeline.state("circuit_breaker") == circuit_breaker.State(), "nothing was learned from the mistake"


def test_loop_that_runs_in_another_thread_is_refused():
    pipeline, ended = Pipeline(timeout="1 min", retry=True), threading.Event()

    async def second():
        try:
            await pipeline.call(succeeds, idempotent=True)
        except UsageError as error:
            return error.remedy
        finally:
            assert CURRENT.get() is None

    async def scenario():
        await pipeline.call(succeeds, idempotent=True)
        return await asyncio.to_thread(asyncio.run, second())

    assert asyncio.run(scenario()) == "make one for each"
    assert pipeline.counts.retries == 0
    ended.set()


def test_loop_that_goes_on_in_another_thread_takes_its_limits_along():
    pipeline = Pipeline(timeout="50 ms")
    loop = asyncio.new_event_loop()

    async def start():
        return asyncio.create_task(late(pipeline))

    async def finish():
        await pipeline.call(succeeds, idempotent=True)
        await task

    task = loop.run_until_complete(start())
    loop.run_until_complete(asyncio.sleep(0))
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait_for(finish(), 10)))
    thread.start()
    thread.join()
    loop.close()
    assert task.done()
    assert task.exception() is None


# Nothing behind.


def test_block_left_in_another_context_gives_its_slot_back():
    world = World()
    pipeline = pipeline_in(world, bulkhead=1, timeout="1 s")

    async def scenario():
        block = pipeline.once()
        await asyncio.create_task(block.__aenter__(), context=contextvars.copy_context())
        await asyncio.create_task(block.__aexit__(None, None, None), context=contextvars.copy_context())

    world.run(scenario())
    assert pipeline.state("bulkhead") == bulkhead.State()


def test_call_whose_coroutine_is_closed_gives_its_slot_back():
    world = World()
    pipeline = pipeline_in(world, bulkhead=1, timeout="1 s", retry=True)

    async def scenario():
        call = pipeline.call(hangs, idempotent=True)
        contextvars.copy_context().run(call.send, None)
        call.close()

    world.run(scenario())
    assert pipeline.state("bulkhead") == bulkhead.State()
    assert pipeline._limits.line == {}


@pytest.mark.parametrize("deadline_ns", [2**61, SECOND // 2], ids=["in line", "a timer of its own"])
def test_task_that_fails_is_not_kept_by_its_own_traceback(deadline_ns):
    world = World()
    pipeline = pipeline_in(world, timeout="1 s")

    async def failing():
        await pipeline.call(hangs, idempotent=True, deadline_ns=world.now_ns + deadline_ns)

    async def scenario():
        longer = asyncio.create_task(pipeline.call(hangs, idempotent=True))
        await asyncio.sleep(0)
        with collecting() as left:
            for _ in range(10):
                await asyncio.wait([task := asyncio.create_task(failing())])
                assert isinstance(task.exception(), TimeoutError)
                del task
        count = left()
        longer.cancel()
        return count

    assert world.run(scenario()) == 0
