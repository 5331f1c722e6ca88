"""The rate limit, transition by transition, and its published bound against every window of random arrivals."""

import asyncio
import random
from fractions import Fraction

import pytest

from tenfold.errors import CallRejected
from tenfold.policies.call import rate_limit
from tenfold.policies.call.call import Call
from tenfold.policies.call.rate_limit import Config, State
from tenfold.policies.verbs import DONE, NEVER, PROCEED, REJECT, WAIT
from tenfold.runtime.pipeline import Pipeline
from tenfold.testing.world import World

MS = 1_000_000
SECOND = 1_000_000_000


class Limit:
    """A rate limit with its clock."""

    def __init__(self, rate_per_s=10.0, **settings):
        self.config, self.state, self.now_ns = Config(rate_per_s=rate_per_s, **settings), State(), 0

    def acquire(self, call=None):
        return rate_limit.acquire(self.config, self.state, call or Call(), self.now_ns, 0.5)

    def leave(self, call):
        return rate_limit.leave(self.config, self.state, call, self.now_ns)

    def admitted(self, arrivals_ns):
        return [at for at in arrivals_ns if self.at(at).acquire()[0] == PROCEED]

    def at(self, now_ns):
        self.now_ns = now_ns
        return self


def test_calls_come_evenly_spaced():
    limit = Limit()
    assert limit.acquire() == (PROCEED, 0)
    assert limit.acquire() == (REJECT, 100 * MS)
    assert limit.at(99 * MS).acquire() == (REJECT, 1 * MS)
    assert limit.at(100 * MS).acquire() == (PROCEED, 0)


def test_a_pause_earns_a_burst_and_no_more():
    limit = Limit(burst=3)
    limit.at(3600 * SECOND)
    assert [limit.acquire()[0] for _ in range(4)] == [PROCEED, PROCEED, PROCEED, REJECT]


def test_a_refused_call_costs_nothing():
    limit = Limit()
    limit.acquire()
    assert {limit.acquire() for _ in range(100)} == {(REJECT, 100 * MS)}


def test_a_waiter_is_given_its_place_and_asks_once():
    limit, call = Limit(wait_ns=SECOND), Call()
    limit.acquire()
    assert limit.acquire(call) == (WAIT, 100 * MS)
    assert limit.at(100 * MS).acquire(call) == (PROCEED, 0)
    assert call.turn_ns == NEVER


def test_nobody_overtakes_a_waiter():
    limit, first, second = Limit(wait_ns=SECOND), Call(), Call()
    limit.acquire()
    assert [limit.acquire(first), limit.acquire(second)] == [(WAIT, 100 * MS), (WAIT, 200 * MS)]
    assert limit.at(100 * MS).acquire(Call())[0] == WAIT, "a newcomer stands behind both"
    assert limit.acquire(first) == (PROCEED, 0)
    assert limit.at(200 * MS).acquire(second) == (PROCEED, 0)


def test_a_waiter_that_asks_too_early_waits_for_the_rest():
    limit, call = Limit(wait_ns=SECOND), Call()
    limit.acquire()
    limit.acquire(call)
    assert limit.at(60 * MS).acquire(call) == (WAIT, 40 * MS)
    assert limit.at(100 * MS).acquire(call) == (PROCEED, 0)


def test_a_wait_longer_than_allowed_is_refused_with_its_length():
    limit = Limit(wait_ns=150 * MS)
    limit.acquire()
    assert limit.acquire() == (WAIT, 100 * MS)
    assert limit.acquire() == (REJECT, 200 * MS)


def test_a_place_that_comes_at_or_after_the_deadline_is_not_given():
    limit = Limit(wait_ns=SECOND)
    limit.acquire()
    assert limit.acquire(Call(deadline_ns=100 * MS)) == (REJECT, 100 * MS)
    assert limit.acquire(Call(deadline_ns=100 * MS + 1)) == (WAIT, 100 * MS)


def test_the_last_waiter_to_leave_gives_its_place_back():
    limit, call = Limit(wait_ns=SECOND), Call()
    limit.acquire()
    limit.acquire(call)
    assert limit.at(50 * MS).leave(call) == (DONE, 0)
    assert limit.acquire() == (WAIT, 50 * MS)


def test_a_waiter_that_leaves_from_the_middle_moves_nobody():
    limit, first, second = Limit(wait_ns=SECOND), Call(), Call()
    limit.acquire()
    limit.acquire(first)
    limit.acquire(second)
    limit.leave(first)
    assert limit.acquire() == (WAIT, 300 * MS)
    assert limit.at(200 * MS).acquire(second) == (PROCEED, 0)


@pytest.mark.parametrize("outcome", range(3))
def test_an_admitted_call_has_used_its_place_up(outcome):
    limit, call = Limit(), Call()
    limit.acquire(call)
    assert rate_limit.record(limit.config, limit.state, call, 0, outcome, 0.5) == (DONE, 0)
    assert limit.acquire()[0] == REJECT


@pytest.mark.parametrize("rate_per_s", [1 / 86_400, 0.07, 0.1, 3.0, 7.0, 1000.0, 1e6 / 7, 3e8, 1e9])
def test_the_spacing_is_never_shorter_than_the_rate_and_longer_by_a_millionth_ns_at_most(rate_per_s):
    whole_ns, part = rate_limit.spacing(Config(rate_per_s=rate_per_s))
    spacing, exact = whole_ns + Fraction(part, rate_limit.PART), Fraction(10**9) / Fraction(rate_per_s)
    rounding = exact * Fraction(1, 2**52)  # of the division, a float's
    assert exact - rounding <= spacing <= exact + Fraction(1, rate_limit.PART) + rounding


@pytest.mark.parametrize("seed", range(20))
def test_any_window_of_any_arrivals_holds_at_most_burst_and_rate_times_its_length(seed):
    dice = random.Random(seed)
    rate, burst = dice.choice([3, 10, 50, 333]), dice.choice([1, 2, 10, 100])
    now_ns, arrivals = 0, []
    for _ in range(3000):
        now_ns += int(dice.choice([0, 0, 1e6, 1e7, 3e8]) * dice.random())
        arrivals.append(now_ns)
    passed = Limit(float(rate), burst=burst).admitted(arrivals)
    assert len(passed) > 20
    for first in range(len(passed)):
        for last in range(first, min(first + 3 * burst + 50, len(passed))):
            assert (last - first + 1 - burst) * SECOND <= rate * (passed[last] - passed[first])


def test_a_hundred_per_two_seconds_hold_at_the_boundary_where_a_counter_lets_199_through():
    passed = Limit(50.0, burst=50).admitted(range(1990 * MS, 2010 * MS, 100_000))
    assert len(passed) <= 50 + 50 * 0.02


def test_hammering_gets_all_of_the_rate_and_nothing_more():
    passed = Limit(100.0, burst=5).admitted(range(0, 60 * SECOND, 777_777))
    assert 6000 <= len(passed) <= 6005


def test_as_many_as_the_burst_pass_at_the_highest_rate_and_the_largest_burst():
    limit = Limit(1e9, burst=10**9).at(2**60)
    assert [limit.acquire()[0] for _ in range(100)] == [PROCEED] * 100


def test_the_asyncio_shell_lets_waiters_through_one_by_one_in_order():
    world, served = World(), []
    pipeline = Pipeline(
        [Config(rate_per_s=10.0, wait_ns=350 * MS)], clock_ns=world.clock_ns, draw=world.draw, sleep_ns=world.sleep_ns
    )

    async def one(number):
        async def fn(attempt):
            served.append((number, world.now_ns))

        await pipeline.call(fn, idempotent=True)

    async def scenario():
        return await asyncio.gather(*(one(number) for number in range(6)), return_exceptions=True)

    ends = world.run(scenario())
    assert served == [(number, number * 100 * MS) for number in range(4)]
    assert [type(end) for end in ends[4:]] == [CallRejected, CallRejected]
    assert [end.retry_after_ns for end in ends[4:]] == [400 * MS, 400 * MS]
