"""Hedging, transition by transition: when an extra call is due, what pays for it, and what the estimate learns."""

import math
import random

import pytest

from tenfold.policies.call import hedge
from tenfold.policies.call.call import Call
from tenfold.policies.call.hedge import FIRST_SAMPLES, TOKEN, Config, State
from tenfold.policies.verbs import DONE, FAILURE, IGNORED, NEVER, PROCEED, REJECT, SUCCESS

MS = 1_000_000
SECOND = 1_000_000_000


class Hedge:
    """A hedge with its clock, and a budget for a hundred extra calls unless told otherwise."""

    def __init__(self, paid=100, **settings):
        self.config, self.state, self.now_ns = Config(**settings), State(), SECOND
        hedge.ring.advance(self.state, self.config.budget_window_ns, self.now_ns)
        hedge.ring.add(self.state, paid * TOKEN)

    def acquire(self, call=None):
        call = call or Call()
        assert hedge.acquire(self.config, self.state, call, self.now_ns, 0.5) == (PROCEED, 0)
        return call

    def extra(self, call):
        self.now_ns = call.hedge_at_ns
        return hedge.extra(self.config, self.state, call, self.now_ns, 0.5)[0]

    def attempt(self, latency_ns, outcome=SUCCESS):
        call = self.acquire()
        self.now_ns += latency_ns
        assert hedge.record(self.config, self.state, call, self.now_ns, outcome, 0.5) == (DONE, 0)
        return call

    def warm(self, latency_ns=10 * MS):
        for _ in range(FIRST_SAMPLES):
            self.attempt(latency_ns)
        return self


def test_a_fixed_delay_says_when_the_extra_call_is_due():
    policy = Hedge(delay_ns=30 * MS)
    assert policy.acquire().hedge_at_ns == policy.now_ns + 30 * MS


def test_without_an_estimate_no_extra_call_is_due():
    policy = Hedge()
    for _ in range(FIRST_SAMPLES):
        assert policy.attempt(10 * MS).hedge_at_ns == NEVER
    call = policy.acquire()
    assert call.hedge_at_ns == policy.now_ns + 10 * MS


def test_the_estimate_begins_with_the_longest_of_the_first_answers():
    policy = Hedge()
    for number in range(FIRST_SAMPLES):
        policy.attempt((1 + number % 7) * MS)
    assert policy.state.estimate_ns == 7 * MS


def test_an_unsafe_call_is_never_made_twice():
    assert Hedge().warm().acquire(Call(is_idempotent=0)).hedge_at_ns == NEVER


def test_an_extra_call_due_at_or_after_the_deadline_is_not_made():
    policy = Hedge().warm()
    at_ns = policy.now_ns + 10 * MS
    assert policy.acquire(Call(deadline_ns=at_ns)).hedge_at_ns == NEVER
    assert policy.acquire(Call(attempt_deadline_ns=at_ns)).hedge_at_ns == NEVER
    assert policy.acquire(Call(attempt_deadline_ns=at_ns + 1)).hedge_at_ns == at_ns


def test_every_attempt_pays_its_share_and_an_extra_call_costs_one():
    policy = Hedge(paid=0, delay_ns=MS, budget_ratio=0.25)
    calls = [policy.acquire() for _ in range(4)]
    assert [call.hedge_at_ns < NEVER for call in calls] == [False, False, False, True]
    assert policy.extra(calls[3]) == PROCEED
    assert policy.state.total == 0


def test_without_budget_the_extra_call_is_refused_when_its_time_comes():
    policy = Hedge(paid=1, delay_ns=MS, budget_ratio=0.0)
    first, second = policy.acquire(), policy.acquire()
    assert (policy.extra(first), policy.extra(second)) == (PROCEED, REJECT)
    assert second.hedge_at_ns == NEVER


def test_one_extra_call_and_no_more():
    policy = Hedge(delay_ns=MS)
    call = policy.acquire()
    assert policy.extra(call) == PROCEED
    assert (call.hedge_count, call.hedge_at_ns) == (1, NEVER)


def test_several_extra_calls_are_a_delay_apart():
    policy = Hedge(delay_ns=5 * MS, extras=3)
    call, at_ms = policy.acquire(), []
    while call.hedge_at_ns < NEVER:
        at_ms.append((call.hedge_at_ns - call.hedge_started_ns) // MS)
        assert policy.extra(call) == PROCEED
    assert at_ms == [5, 10, 15]


def test_a_new_attempt_may_be_hedged_anew():
    policy = Hedge(delay_ns=MS)
    call = policy.acquire()
    policy.extra(call)
    policy.acquire(call)
    assert (call.hedge_count, call.hedge_at_ns) == (0, policy.now_ns + MS)


def test_budget_not_spent_within_the_window_is_gone():
    policy = Hedge(delay_ns=MS, budget_window_ns=10 * SECOND)
    policy.now_ns += 11 * SECOND
    assert policy.acquire().hedge_at_ns == NEVER


def test_an_answer_after_the_delay_moves_the_estimate_up_one_before_it_down_by_less():
    policy = Hedge().warm()
    policy.attempt(11 * MS)
    assert policy.state.estimate_ns == pytest.approx(10 * MS * math.exp(0.2 * 0.95))
    policy = Hedge().warm()
    policy.attempt(9 * MS)
    assert policy.state.estimate_ns == pytest.approx(10 * MS * math.exp(-0.2 * 0.05))


@pytest.mark.parametrize("outcome", [FAILURE, IGNORED])
def test_a_failure_or_cancellation_before_the_delay_says_nothing_after_it_that_no_answer_had_come(outcome):
    policy = Hedge().warm()
    policy.attempt(MS, outcome)
    assert policy.state.estimate_ns == 10 * MS
    policy.attempt(20 * MS, outcome)
    assert policy.state.estimate_ns > 11 * MS


def test_the_estimate_rests_at_the_quantile_though_hedging_hides_the_slow_answers():
    policy, dice = Hedge(paid=10**6, quantile_ratio=0.9, budget_ratio=1.0), random.Random(17)
    late = seen = 0
    for number in range(40_000):
        first_ns, other_ns = (int(MS * dice.expovariate(0.1)) + 1 for _ in range(2))
        call = policy.acquire()
        due_ns = call.hedge_at_ns
        is_hedged = due_ns < call.hedge_started_ns + first_ns
        policy.now_ns = min(call.hedge_started_ns + first_ns, due_ns + other_ns)
        hedge.record(policy.config, policy.state, call, policy.now_ns, SUCCESS, 0.5)
        if number > 5_000:
            seen += 1
            late += is_hedged
    assert late / seen == pytest.approx(0.1, abs=0.003)


def test_the_estimate_finds_a_callee_a_hundred_times_slower_and_back():
    policy, dice = Hedge(), random.Random(1)

    def around(milliseconds, attempts):
        for _ in range(attempts):
            policy.attempt(int(milliseconds * MS * dice.uniform(0.9, 1.1)))
        return policy.state.estimate_ns / MS

    assert around(10, 200) == pytest.approx(11, rel=0.3)
    assert around(1000, 60) == pytest.approx(1100, rel=0.3)
    assert around(10, 600) == pytest.approx(11, rel=0.3)


def test_a_fixed_delay_learns_nothing():
    policy = Hedge(delay_ns=MS)
    policy.attempt(SECOND)
    assert (policy.state.estimate_ns, policy.state.sample_count) == (0, 0)
