"""A limit on the time of a block."""

import asyncio

import pytest

from tenfold.runtime.time_limit import TimeLimit
from tenfold.testing.world import World

SECOND = 1_000_000_000


def test_cancellation_from_outside_wins_over_a_time_limit_of_the_same_instant():
    async def limited():
        with TimeLimit(SECOND):
            await asyncio.sleep(9)

    async def scenario():
        task = asyncio.create_task(limited())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(1, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    World().run(scenario())


def test_time_limits_nest_and_each_cancels_only_its_own_block():
    async def scenario():
        with TimeLimit(2 * SECOND):
            with pytest.raises(TimeoutError), TimeLimit(SECOND):
                await asyncio.sleep(9)
            await asyncio.sleep(0.5)
        return asyncio.current_task().cancelling()

    assert World().run(scenario()) == 0
