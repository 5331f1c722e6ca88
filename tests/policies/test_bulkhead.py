"""The bulkhead, transition by transition, and its accounts under any interleaving."""

import asyncio
import random

import pytest

from tenfold.errors import CallRejected
from tenfold.policies.call import bulkhead
from tenfold.policies.call.bulkhead import Config, State
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import DONE, IGNORED, PROCEED, QUEUE, REJECT, SUCCESS, WAKE
from tenfold.runtime.pipeline import Pipeline
from tenfold.testing.world import World


def acquire(config, state):
    return bulkhead.acquire(config, state, Call(), 0, 0.5)[0]


def record(config, state, outcome=SUCCESS):
    return bulkhead.record(config, state, Call(), 0, outcome, 0.5)[0]


def test_as_many_proceed_as_there_are_slots_then_some_wait_then_all_are_refused():
    config, state = Config(in_flight=2, queue=1), State()
    assert [acquire(config, state) for _ in range(4)] == [PROCEED, PROCEED, QUEUE, REJECT]


@pytest.mark.parametrize("outcome", [SUCCESS, IGNORED])
def test_a_slot_comes_back_whatever_became_of_the_call(outcome):
    config, state = Config(in_flight=1), State()
    acquire(config, state)
    assert record(config, state, outcome) == DONE
    assert acquire(config, state) == PROCEED


def test_a_freed_slot_goes_to_the_waiter_and_a_newcomer_does_not_overtake():
    config, state = Config(in_flight=1, queue=1), State()
    assert [acquire(config, state), acquire(config, state)] == [PROCEED, QUEUE]
    assert record(config, state) == WAKE
    assert (state.in_flight_count, state.queue_count) == (1, 0)
    assert acquire(config, state) == QUEUE


def test_a_waiter_that_leaves_frees_its_place():
    config, state = Config(in_flight=1, queue=1), State()
    acquire(config, state), acquire(config, state)
    assert bulkhead.leave(config, state, Call(), 0) == (DONE, 0)
    assert acquire(config, state) == QUEUE


def test_a_waiter_cancelled_in_the_instant_it_is_woken_passes_the_slot_on():
    world = World()
    pipeline = Pipeline([Config(in_flight=1, queue=5)], clock_ns=world.clock_ns, draw=world.draw)
    served = []

    async def serve(name, after=0.0):
        async def fn(attempt):
            served.append(name)
            await asyncio.sleep(1.0)

        await asyncio.sleep(after)
        await pipeline.call(fn, idempotent=True)

    async def scenario():
        first = asyncio.create_task(serve("first"))
        second = asyncio.create_task(serve("second", 0.1))
        third = asyncio.create_task(serve("third", 0.2))
        await asyncio.sleep(0.5)
        first.cancel()
        second.cancel()  # both before either runs: the slot is handed to a waiter that is already cancelled
        await asyncio.gather(first, second, third, return_exceptions=True)

    world.run(scenario())
    assert served == ["first", "third"]
    assert pipeline.state("bulkhead") == State()


def test_accounts_balance_over_ten_thousand_random_interleavings():
    """3 slots, 2 places: callers succeed, fail, time out or are cancelled at random instants (A13, asyncio)."""
    waited = sum(interleave(seed, calls=100) for seed in range(100))
    assert waited > 500, "the interleavings reach the queue"


def interleave(seed, calls):
    world, dice = World(seed), random.Random(seed)
    queued, served, in_flight = set(), [], [0]

    def note(decision):
        if decision.answer == QUEUE:
            queued.add(int(asyncio.current_task().get_name()))

    pipeline = Pipeline([Config(in_flight=3, queue=2)], clock_ns=world.clock_ns, draw=world.draw, on_decision=note)

    async def one(number):
        async def fn(attempt):
            in_flight[0] += 1
            served.append(number)
            assert in_flight[0] <= 3
            try:
                await asyncio.sleep(dice.choice([0, 0.01, 0.05, 0.2]))
                if dice.random() < 0.3:
                    raise OSError
            finally:
                in_flight[0] -= 1

        deadline_ns = world.now_ns + dice.choice([1, 10_000_000, 2**61])
        await pipeline.call(fn, idempotent=True, deadline_ns=deadline_ns)

    async def scenario():
        tasks = []
        for number in range(calls):
            tasks.append(asyncio.create_task(one(number), name=str(number)))
            await asyncio.sleep(dice.choice([0, 0, 0.005, 0.05]))
            if dice.random() < 0.4:
                dice.choice(tasks).cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    ends = world.run(scenario())
    assert pipeline.state("bulkhead") == State()
    waited = [number for number in served if number in queued]
    assert waited == sorted(waited), "first come, first served"
    expected = (asyncio.CancelledError, OSError, CallRejected, TimeoutError, type(None))
    assert all(isinstance(end, expected) for end in ends)
    return len(waited)
