"""The circuit breaker, transition by transition."""

import dataclasses

import pytest

from tenfold.policies.call import circuit_breaker
from tenfold.policies.call.call import Call
from tenfold.policies.call.circuit_breaker import CLOSED, HALF_OPEN, OPEN, Config, State
from tenfold.policies.verbs import FAILURE, IGNORED, PROCEED, REJECT, SUCCESS

SECOND = 1_000_000_000


class Breaker:
    """A breaker with its clock; each call is its own `Call`."""

    def __init__(self, **settings):
        self.config = Config(**{"failures": 3, "open_ns": 10 * SECOND, "lease_ns": 5 * SECOND} | settings)
        self.state, self.now_ns = State(), 0

    def acquire(self):
        call = Call()
        self.answer, self.wait_ns = circuit_breaker.acquire(self.config, self.state, call, self.now_ns, 0.5)
        return call

    def record(self, call, outcome):
        circuit_breaker.record(self.config, self.state, call, self.now_ns, outcome, 0.5)

    def calls(self, *outcomes):
        for outcome in outcomes:
            self.record(self.acquire(), outcome)

    def opened(self):
        self.calls(FAILURE, FAILURE, FAILURE)
        assert self.state.phase == OPEN
        return self

    def half_open(self):
        """Half open, the probe still in flight."""
        self.opened().now_ns += 10 * SECOND
        self.probe = self.acquire()
        assert (self.state.phase, self.answer) == (HALF_OPEN, PROCEED)
        return self

    def remembers(self):
        return dataclasses.replace(self.state)


def test_failures_in_a_row_open_it():
    breaker = Breaker()
    breaker.calls(FAILURE, FAILURE)
    assert breaker.state.phase == CLOSED
    breaker.calls(FAILURE)
    assert (breaker.state.phase, breaker.state.opened_count) == (OPEN, 1)


def test_a_success_breaks_the_row():
    breaker = Breaker()
    breaker.calls(FAILURE, FAILURE, SUCCESS, FAILURE, FAILURE)
    assert breaker.state.phase == CLOSED


def test_zero_failures_switches_the_row_off():
    breaker = Breaker(failures=0)
    breaker.calls(*[FAILURE] * 100)
    assert breaker.state.phase == CLOSED


def test_cancellation_neither_counts_nor_breaks_the_row():
    breaker = Breaker()
    breaker.calls(FAILURE, FAILURE, IGNORED)
    assert breaker.state.phase == CLOSED
    breaker.calls(FAILURE)
    assert breaker.state.phase == OPEN


def test_open_rejects_with_the_time_left():
    breaker = Breaker().opened()
    breaker.now_ns += 4 * SECOND
    breaker.acquire()
    assert (breaker.answer, breaker.wait_ns) == (REJECT, 6 * SECOND)


def test_one_probe_at_a_time_and_the_others_are_told_when_its_lease_ends():
    breaker = Breaker().half_open()
    breaker.now_ns += SECOND
    breaker.acquire()
    assert (breaker.answer, breaker.wait_ns) == (REJECT, 4 * SECOND)


@pytest.mark.parametrize("probes", [1, 2, 7])
def test_half_open_lets_through_as_many_as_configured(probes):
    breaker = Breaker(probes=probes).half_open()
    answers = []
    for _ in range(20):
        breaker.acquire()
        answers.append(breaker.answer)
    assert answers.count(PROCEED) == probes - 1


def test_successful_probe_closes():
    breaker = Breaker().half_open()
    breaker.record(breaker.probe, SUCCESS)
    assert breaker.state.phase == CLOSED


def test_failed_probe_opens_for_the_whole_time_again():
    breaker = Breaker().half_open()
    breaker.now_ns += SECOND
    breaker.record(breaker.probe, FAILURE)
    breaker.acquire()
    assert (breaker.state.phase, breaker.wait_ns) == (OPEN, 10 * SECOND)


def test_closing_takes_as_many_successes_as_configured():
    breaker = Breaker(successes=2).half_open()
    breaker.record(breaker.probe, SUCCESS)
    assert breaker.state.phase == HALF_OPEN
    breaker.calls(SUCCESS)
    assert breaker.state.phase == CLOSED


def test_cancelled_probe_gives_its_slot_back_and_teaches_nothing():
    breaker = Breaker().half_open()
    breaker.record(breaker.probe, IGNORED)
    assert (breaker.state.phase, breaker.state.probe_count, breaker.state.success_count) == (HALF_OPEN, 0, 0)
    breaker.acquire()
    assert breaker.answer == PROCEED


def test_hung_probe_loses_its_slot_when_its_lease_ends():
    breaker = Breaker().half_open()
    breaker.now_ns += 5 * SECOND - 1
    breaker.acquire()
    assert breaker.answer == REJECT
    breaker.now_ns += 1
    second = breaker.acquire()
    assert breaker.answer == PROCEED
    before = breaker.remembers()
    for outcome in (SUCCESS, FAILURE, IGNORED):
        breaker.record(breaker.probe, outcome)
    assert breaker.state == before
    breaker.record(second, SUCCESS)
    assert breaker.state.phase == CLOSED


@pytest.mark.parametrize("outcome", [SUCCESS, FAILURE, IGNORED])
def test_answer_from_an_earlier_era_moves_nothing(outcome):
    breaker = Breaker()
    old = breaker.acquire()
    breaker.opened()
    for _ in range(3):
        before = breaker.remembers()
        breaker.record(old, outcome)
        assert breaker.state == before
        breaker.now_ns += 10 * SECOND
        if breaker.state.phase == OPEN:
            probe = breaker.acquire()
        else:
            breaker.record(probe, SUCCESS)
    assert breaker.state.phase == CLOSED


def test_share_of_failures_opens_it_once_there_are_enough_calls():
    breaker = Breaker(failures=0, failure_share_ratio=0.5, calls_min=20, window_ns=10 * SECOND)
    breaker.calls(*[SUCCESS, FAILURE] * 9, SUCCESS)
    assert breaker.state.phase == CLOSED
    breaker.calls(FAILURE)
    assert breaker.state.phase == OPEN


def test_share_below_the_threshold_keeps_it_closed():
    breaker = Breaker(failures=0, failure_share_ratio=0.5, calls_min=20)
    breaker.calls(*[SUCCESS, SUCCESS, FAILURE] * 500)
    assert breaker.state.phase == CLOSED


def test_failures_older_than_the_window_are_forgotten():
    breaker = Breaker(failures=0, failure_share_ratio=0.5, calls_min=20, window_ns=10 * SECOND)
    breaker.calls(*[FAILURE] * 19)
    breaker.now_ns += 10 * SECOND
    breaker.calls(*[FAILURE] * 19)
    assert breaker.state.phase == CLOSED
    breaker.calls(FAILURE)
    assert breaker.state.phase == OPEN


def test_after_closing_the_window_starts_empty():
    breaker = Breaker(failures=0, failure_share_ratio=0.5, calls_min=2)
    breaker.calls(FAILURE, FAILURE)
    breaker.now_ns += 10 * SECOND
    breaker.calls(SUCCESS, FAILURE)
    assert breaker.state.phase == CLOSED


def test_a_window_of_any_traffic_costs_the_same_memory():
    breaker = Breaker(failures=0, failure_share_ratio=1.0, calls_min=10)
    breaker.calls(SUCCESS, *[FAILURE] * 10_000)
    numbers = dataclasses.astuple(breaker.state)
    assert sum(number.__sizeof__() for number in numbers) + breaker.state.__sizeof__() < 2_000
