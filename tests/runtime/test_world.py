"""The virtual world for users' tests: what works in it as it is, and what it refuses."""

import asyncio
import time

import pytest

from tenfold import Pipeline, ThreadPipeline
from tenfold.testing import World

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


def test_an_hour_passes_at_once():
    world = World()
    world.run(asyncio.sleep(3600))
    assert world.now_ns == HOUR


def test_timeouts_end_when_they_say():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await asyncio.sleep(10)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(10), 0.25)

    world = World()
    world.run(main())
    assert world.now_ns == 1.75 * SECOND


def test_tasks_of_a_group_pass_the_same_time_together():
    async def main():
        async with asyncio.TaskGroup() as group:
            for seconds in (1, 2, 3):
                group.create_task(asyncio.sleep(seconds))

    world = World()
    world.run(main())
    assert world.now_ns == 3 * SECOND


def test_a_queue_hands_over_between_tasks():
    async def producer(queue):
        for number in range(3):
            await asyncio.sleep(1)
            await queue.put(number)

    async def main(world):
        queue = asyncio.Queue(maxsize=1)
        async with asyncio.TaskGroup() as group:
            group.create_task(producer(queue))
            for number in range(3):
                assert (await queue.get(), world.now_ns) == (number, (number + 1) * SECOND)

    world = World()
    world.run(main(world))


def test_the_same_seed_throws_the_same_dice():
    first, second = World(seed=7, draws=[0.5]), World(seed=7, draws=[0.5])
    assert [first.draw() for _ in range(5)] == [second.draw() for _ in range(5)]


def test_waiting_for_what_cannot_happen_is_an_error():
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="nothing can ever happen"):
        World().run(main())


async def in_a_thread():
    await asyncio.to_thread(time.monotonic)


async def over_a_socket():
    await asyncio.open_connection("127.0.0.1", 9)


async def to_a_name():
    await asyncio.open_connection("localhost", 9)


async def in_a_child():
    await asyncio.create_subprocess_exec("true")


@pytest.mark.parametrize(
    ("outside", "says"),
    [
        (in_a_thread, "no threads"),
        (to_a_name, "no threads"),
        (over_a_socket, "no sockets"),
        (in_a_child, "no child processes"),
    ],
)
def test_what_is_not_of_this_world_is_refused(outside, says):
    with pytest.raises(RuntimeError, match=says):
        World().run(outside())


def test_a_pipeline_waits_in_virtual_time():
    world = World(draws=[0.5] * 10)
    pipeline = Pipeline(retry={"attempts": 2, "backoff": "10 s"}, clock_ns=world.clock_ns, draw=world.draw)

    async def down(attempt):
        raise ConnectionError

    with pytest.raises(ConnectionError):
        world.run(pipeline.call(down, idempotent=True))
    assert world.now_ns == 10 * SECOND


def test_a_pipeline_for_threads_waits_in_virtual_time():
    world = World(draws=[0.5] * 10)
    clock = {"clock_ns": world.clock_ns, "sleep_ns": world.pass_ns, "draw": world.draw}
    pipeline = ThreadPipeline(retry={"attempts": 2, "backoff": "10 s"}, **clock)

    def down(attempt):
        world.pass_ns(SECOND)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        pipeline.call(down, idempotent=True)
    assert world.now_ns == 12 * SECOND


def test_work_that_keeps_the_loop_busy_makes_timers_late():
    async def main(world):
        asyncio.get_running_loop().call_later(1, lambda: seen.append(world.now_ns // SECOND))
        world.pass_ns(5 * SECOND)
        await asyncio.sleep(0.5)

    seen, world = [], World()
    world.run(main(world))
    assert seen == [5]
