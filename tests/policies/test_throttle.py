"""The throttle, transition by transition."""

import pytest

from tenfold.policies.call import throttle
from tenfold.policies.call.call import Call
from tenfold.policies.call.throttle import Config, State
from tenfold.policies.verbs import DONE, FAILURE, IGNORED, PROCEED, REJECT, SUCCESS

SECOND = 1_000_000_000
ALWAYS, NEVER = 0.999, 0.0  # draws: the first is let through unless refusal is certain, the second whenever it may be


class Throttle:
    """A throttle with its clock."""

    def __init__(self, **settings):
        self.config, self.state, self.now_ns = Config(**settings), State(), 0

    def acquire(self, draw=ALWAYS):
        return throttle.acquire(self.config, self.state, Call(), self.now_ns, draw)

    def record(self, outcome):
        return throttle.record(self.config, self.state, Call(), self.now_ns, outcome, 0.5)

    def calls(self, count, outcome):
        for _ in range(count):
            assert self.acquire() == (PROCEED, 0)
            assert self.record(outcome) == (DONE, 0)
        return self

    def share(self):
        return throttle.refused_share(self.config, self.state)


def test_a_callee_that_accepts_half_of_the_requests_is_not_spared():
    policy = Throttle().calls(50, SUCCESS).calls(50, FAILURE)
    assert policy.share() == 0.0
    assert policy.acquire(NEVER) == (PROCEED, 0)


def test_beyond_k_requests_per_accept_the_excess_is_refused():
    policy = Throttle().calls(30, SUCCESS).calls(70, FAILURE)
    assert policy.share() == pytest.approx((100 - 2 * 30) / 101)
    assert policy.acquire(draw=0.39) == (REJECT, 0)
    assert policy.acquire(draw=0.41) == (PROCEED, 0)


def test_a_lower_k_refuses_earlier():
    policy = Throttle(k_factor=1.1).calls(80, SUCCESS).calls(20, FAILURE)
    assert policy.share() == pytest.approx((100 - 1.1 * 80) / 101)


def test_requests_count_when_they_are_made_not_when_they_end():
    policy = Throttle()
    for _ in range(100):
        policy.acquire(ALWAYS)
    assert policy.share() == 0.9, "a hundred in flight and none accepted"


def test_refused_requests_count_as_requests():
    policy = Throttle(floor_ratio=0.0).calls(9, FAILURE)
    before = policy.share()
    assert policy.acquire(NEVER) == (REJECT, 0)
    assert policy.share() > before


def test_in_a_total_outage_the_floor_is_let_through():
    policy = Throttle().calls(10_000, FAILURE)
    assert policy.share() == 0.9
    assert (policy.acquire(draw=0.89)[0], policy.acquire(draw=0.9)[0]) == (REJECT, PROCEED)


def test_an_ignored_request_is_given_back():
    policy = Throttle().calls(1000, IGNORED)
    assert (policy.share(), policy.state.total) == (0.0, 0)


def test_requests_given_back_after_they_were_forgotten_refuse_nobody():
    policy = Throttle()
    for _ in range(10):
        policy.acquire()
    policy.now_ns = 500 * SECOND
    for _ in range(10):
        policy.record(IGNORED)
    assert policy.acquire(NEVER) == (PROCEED, 0)


def test_what_is_older_than_the_window_is_forgotten():
    policy = Throttle(window_ns=120 * SECOND).calls(100, FAILURE)
    policy.now_ns = 100 * SECOND
    assert policy.acquire(NEVER)[0] == REJECT
    policy.now_ns = 121 * SECOND
    policy.calls(1, SUCCESS)
    assert policy.share() == 0.0


def test_below_the_least_number_of_requests_none_is_refused():
    policy = Throttle(requests_min=20).calls(19, FAILURE)
    assert policy.acquire(NEVER)[0] == PROCEED
    assert policy.acquire(NEVER)[0] == REJECT
