"""The adaptive limit, transition by transition: what moves the limit, what moves the baseline, what moves neither."""

import dataclasses

import pytest

from tenfold.policies.call import adaptive_limit
from tenfold.policies.call.adaptive_limit import Config, State
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import DONE, FAILURE, IGNORED, PROCEED, REJECT, SUCCESS

MS = 1_000_000
SECOND = 1_000_000_000


class Limit:
    """A limit with its clock."""

    def __init__(self, **settings):
        self.config, self.state, self.now_ns = Config(**settings), State(), SECOND

    def acquire(self):
        call = Call()
        answer = adaptive_limit.acquire(self.config, self.state, call, self.now_ns, 0.5)
        return call if answer == (PROCEED, 0) else answer

    def record(self, call, outcome=SUCCESS):
        assert adaptive_limit.record(self.config, self.state, call, self.now_ns, outcome, 0.5) == (DONE, 0)

    def round(self, in_flight, latency_ns, outcome=SUCCESS):
        """So many calls at once, all answered after `latency_ns`."""
        calls = [self.acquire() for _ in range(in_flight)]
        self.now_ns += latency_ns
        for call in calls:
            if isinstance(call, Call):
                self.record(call, outcome)
        return self

    def rounds(self, count, in_flight, latency_ns, outcome=SUCCESS):
        for _ in range(count):
            self.round(in_flight, latency_ns, outcome)
        return self

    @property
    def limit(self):
        return self.state.limit_thousandths // 1000

    @property
    def baseline_ms(self):
        return self.state.baseline_ns / MS

    def at_rest(self):
        """The baseline is known to be 100 ms, the limit is 20."""
        self.rounds(8, 8, 100 * MS)
        assert (self.limit, self.baseline_ms) == (20, 100)
        return self


def test_calls_beyond_the_limit_are_refused_until_one_ends():
    limit = Limit(limit_initial=2)
    first = limit.acquire()
    limit.acquire()
    assert limit.acquire() == (REJECT, 0)
    limit.record(first)
    assert isinstance(limit.acquire(), Call)


@pytest.mark.parametrize("outcome", [SUCCESS, FAILURE, IGNORED])
def test_a_place_comes_back_whatever_became_of_the_call(outcome):
    limit = Limit(limit_initial=1)
    limit.record(limit.acquire(), outcome)
    assert limit.state.in_flight_count == 0


def test_the_limit_grows_by_its_root_while_three_quarters_are_in_flight():
    limit = Limit().at_rest()
    limit.round(16, 100 * MS)
    assert limit.limit == 24  # 20 + sqrt(20)


@pytest.mark.parametrize("in_flight", [1, 5, 10])
def test_the_limit_never_grows_with_half_of_it_in_flight_or_less(in_flight):
    limit = Limit().at_rest()
    limit.rounds(200, in_flight, 100 * MS)
    assert limit.limit == 20


def test_the_limit_shrinks_as_latency_rises_over_the_tolerated():
    limit = Limit().at_rest()
    limit.round(20, 200 * MS)
    assert limit.limit == 16  # 20 x 1.25 x 100 / 200 + sqrt(20)


def test_latency_within_the_tolerance_shrinks_nothing():
    limit = Limit().at_rest()
    limit.round(20, 124 * MS)
    assert limit.limit == 24


def test_one_terrible_window_halves_the_limit_at_most():
    limit = Limit().at_rest()
    limit.round(20, 60 * SECOND)
    assert limit.limit == 14  # 20 / 2 + sqrt(20)


def test_the_limit_stays_within_its_bounds():
    assert Limit(limit_max=25).at_rest().rounds(9, 24, 100 * MS).limit == 25
    assert Limit(limit_min=15).at_rest().rounds(9, 20, SECOND).limit == 15


def test_calls_that_began_before_the_last_change_do_not_count():
    limit = Limit().at_rest()
    old = [limit.acquire() for _ in range(10)]
    limit.rounds(1, 10, 100 * MS)  # ends a window
    before = limit.state.sample_count
    limit.now_ns += SECOND
    for call in old:
        limit.record(call)
    assert limit.state.sample_count == before == 0


def test_a_failure_faster_than_the_baseline_says_nothing():
    limit = Limit().at_rest()
    before = dataclasses.replace(limit.state)
    limit.rounds(50, 20, MS, FAILURE)
    assert limit.state.limit_thousandths == before.limit_thousandths
    assert limit.state.baseline_ns == before.baseline_ns


def test_a_failure_slower_than_the_baseline_shrinks_the_limit_and_leaves_the_baseline():
    limit = Limit().at_rest()
    limit.round(20, 800 * MS, FAILURE)
    assert (limit.limit, limit.baseline_ms) == (14, 100)
    limit.rounds(20, 4, 800 * MS, FAILURE)
    assert limit.baseline_ms == 100


def test_cancelled_calls_teach_nothing():
    limit = Limit().at_rest()
    limit.rounds(50, 20, 800 * MS, IGNORED)
    assert (limit.limit, limit.baseline_ms) == (20, 100)


def test_the_baseline_follows_quiet_windows():
    limit = Limit().at_rest()
    limit.rounds(100, 8, 150 * MS)
    assert limit.baseline_ms == pytest.approx(150, rel=0.02)


def test_the_baseline_does_not_follow_a_busy_window_up():
    limit = Limit().at_rest()
    limit.rounds(20, 20, 300 * MS)
    assert limit.baseline_ms == 100


def test_the_baseline_follows_a_busy_window_down():
    limit = Limit().at_rest()
    limit.rounds(90, 20, 50 * MS)
    assert limit.baseline_ms == pytest.approx(50, rel=0.02)


def held_back(**settings):
    """An overload that has held calls back for longer than probe_every: a drain has begun."""
    limit = Limit(**settings).at_rest()
    while limit.state.drain_until_ns == 0:
        limit.round(limit.limit, 200 * MS)
        assert limit.now_ns < 60 * SECOND
    return limit


def test_a_limit_that_holds_calls_back_is_drained_after_probe_every():
    limit = held_back(probe_every_ns=10 * SECOND)
    assert 10 * SECOND < limit.now_ns < 14 * SECOND
    assert sum(isinstance(limit.acquire(), Call) for _ in range(50)) == limit.limit // 2.5


def test_a_limit_that_leaves_room_is_never_drained():
    limit = Limit().at_rest()
    limit.rounds(2000, 15, 110 * MS)
    assert limit.state.drain_count == 0


def test_a_drain_finds_the_new_service_time():
    limit = held_back()
    while limit.state.drain_until_ns > 0:
        limit.round(4, 170 * MS)
    assert limit.baseline_ms == 170


def test_a_drain_under_an_unchanged_service_time_changes_nothing():
    limit = held_back()
    while limit.state.drain_until_ns > 0:
        limit.round(4, 100 * MS)
    assert limit.baseline_ms == 100


def test_a_drain_that_finds_a_queue_of_others_doubles_the_baseline_at_most():
    limit = held_back()
    while limit.state.drain_until_ns > 0:
        limit.round(4, 900 * MS)
    assert limit.baseline_ms == 200


def test_no_baseline_above_the_highest_is_believed():
    limit = held_back(baseline_max_ns=120 * MS)
    while limit.state.drain_until_ns > 0:
        limit.round(4, 900 * MS)
    assert limit.baseline_ms == 120


def test_a_drain_in_which_nothing_succeeds_ends_and_leaves_the_baseline():
    limit = held_back()
    begun_ns = limit.now_ns
    while limit.state.drain_until_ns > 0:
        limit.round(4, 300 * MS, FAILURE)
    assert limit.now_ns - begun_ns < 30 * SECOND // 3
    assert limit.baseline_ms == 100


def test_a_drain_with_few_answers_ends_with_what_it_has():
    limit = held_back()
    while limit.state.drain_until_ns > 0:
        limit.round(1, 3 * SECOND)
    assert limit.baseline_ms == 200


def test_a_noisy_service_is_measured_for_longer_than_an_even_one():
    even, noisy = Limit().at_rest(), Limit().at_rest()
    even.round(20, 100 * MS)
    for call, latency_ns in [(noisy.acquire(), latency) for latency in [10 * MS, 500 * MS] * 10]:
        call.attempt_started_ns = noisy.now_ns
        noisy.now_ns += latency_ns
        noisy.record(call)
    assert (even.state.sample_count, noisy.state.sample_count) == (0, 20)
