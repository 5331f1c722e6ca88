"""Retrying and its budget, transition by transition."""

import pytest

from tenfold.policies.call import retry
from tenfold.policies.call.call import ATTEMPTS, BUDGET, DEADLINE, GOES_ON, MARKED, UNSAFE, Call
from tenfold.policies.call.retry import DECORRELATED, FULL, Config, State
from tenfold.policies.verbs import DONE, FAILURE, IGNORED, PROCEED, RETRY, SUCCESS

MS = 1_000_000
SECOND = 1_000_000_000


def attempt(config, state=None, call=None, outcome=FAILURE, now_ns=0, draw=0.5):
    """One attempt and its end; the answer of record."""
    state, call = state or State(), call or Call()
    assert retry.acquire(config, state, call, now_ns, draw) == (PROCEED, 0)
    return retry.record(config, state, call, now_ns, outcome, draw)


@pytest.mark.parametrize("outcome", [SUCCESS, IGNORED])
def test_success_and_cancellation_end_the_call(outcome):
    call = Call()
    assert attempt(Config(), call=call, outcome=outcome) == (DONE, 0)
    assert call.stop_reason == GOES_ON


def test_pauses_double_up_to_the_cap():
    config, call = Config(attempts=9, backoff_ns=100 * MS, backoff_max_ns=SECOND), Call()
    pauses = [attempt(config, call=call)[1] for _ in range(6)]
    assert pauses == [100 * MS, 200 * MS, 400 * MS, 800 * MS, SECOND, SECOND]


def test_three_attempts_are_three_calls_not_four():
    config, call = Config(attempts=3), Call()
    answers = [attempt(config, call=call)[0] for _ in range(3)]
    assert (answers, call.stop_reason) == ([RETRY, RETRY, DONE], ATTEMPTS)


def test_no_backoff_means_no_pause():
    assert attempt(Config(backoff_ns=0)) == (RETRY, 0)


@pytest.mark.parametrize(("draw", "pause_ns"), [(0.0, 800 * MS), (0.5, SECOND), (1 - 2**-53, 1200 * MS - 1)])
def test_jitter_comes_after_the_cap(draw, pause_ns):
    config = Config(backoff_ns=50 * SECOND, backoff_max_ns=SECOND)
    assert attempt(config, draw=draw) == (RETRY, pytest.approx(pause_ns, abs=1))


@pytest.mark.parametrize(("draw", "pause_ns"), [(0.0, 0), (0.25, 250 * MS)])
def test_full_jitter_draws_from_nothing_to_the_pause(draw, pause_ns):
    assert attempt(Config(backoff_ns=SECOND, jitter_mode=FULL), draw=draw) == (RETRY, pause_ns)


def test_decorrelated_jitter_draws_from_the_base_to_three_times_the_previous_pause_or_the_cap():
    config = Config(attempts=9, backoff_ns=SECOND, backoff_max_ns=4 * SECOND, jitter_mode=DECORRELATED)
    call = Call()
    pauses = [attempt(config, call=call, draw=0.5)[1] for _ in range(4)]
    assert pauses == [2 * SECOND, 2 * SECOND + SECOND // 2, 2 * SECOND + SECOND // 2, 2 * SECOND + SECOND // 2]


def test_pause_is_never_shorter_than_the_callee_asks_for():
    for draw in (0.0, 0.5, 0.999):
        _, wait_ns = attempt(Config(backoff_ns=SECOND), call=Call(retry_after_ns=7 * SECOND), draw=draw)
        assert 7 * SECOND <= wait_ns <= 8.4 * SECOND
    assert attempt(Config(backoff_ns=9 * SECOND), call=Call(retry_after_ns=SECOND)) == (RETRY, 9 * SECOND)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (Call(is_marked=1), MARKED),
        (Call(is_idempotent=0), UNSAFE),
        (Call(deadline_ns=100 * MS), DEADLINE),
    ],
)
def test_call_is_not_repeated_and_says_why(call, reason):
    assert attempt(Config(backoff_ns=100 * MS), call=call) == (DONE, 0)
    assert call.stop_reason == reason


def test_pause_that_ends_before_the_deadline_is_begun():
    assert attempt(Config(backoff_ns=100 * MS), call=Call(deadline_ns=100 * MS + 1)) == (RETRY, 100 * MS)


def test_budget_pays_one_retry_for_five_requests():
    config, state = Config(attempts=2, budget_ratio=0.2), State()
    answers = [attempt(config, state)[0] for _ in range(20)]
    assert answers == ([DONE] * 4 + [RETRY]) * 4


def test_attempts_after_the_first_deposit_nothing():
    config, state, call = Config(attempts=200, budget_ratio=1.0), State(), Call()
    assert attempt(config, state, call)[0] == RETRY
    assert attempt(config, state, call)[0] == DONE
    assert call.stop_reason == BUDGET


def test_success_costs_no_budget():
    config, state = Config(budget_ratio=0.2), State()
    for _ in range(30):
        attempt(config, state, outcome=SUCCESS)
    assert attempt(config, state)[0] == RETRY


def test_deposits_older_than_the_window_are_gone():
    config, state = Config(budget_ratio=0.2, budget_window_ns=10 * SECOND), State()
    for _ in range(100):
        attempt(config, state, outcome=SUCCESS)
    assert attempt(config, state, now_ns=10 * SECOND)[0] == DONE


def test_reserve_pays_for_retries_whatever_the_traffic():
    config, state = Config(budget_ratio=0.0, budget_reserve_per_s=0.1, budget_window_ns=10 * SECOND), State()
    assert [attempt(config, state)[0] for _ in range(2)] == [RETRY, DONE]
    assert attempt(config, state, now_ns=10 * SECOND)[0] == RETRY


def test_refused_budget_is_not_withdrawn_from():
    config, state = Config(budget_ratio=0.2), State()
    for _ in range(4):
        attempt(config, state)
    assert state.total == 800_000


def test_layer_that_gives_up_marks_the_call_when_told_to():
    for config, marked in (
        (Config(attempts=2, mark=True), 1),
        (Config(attempts=2), 0),
        (Config(attempts=1, mark=True), 0),
    ):
        call = Call()
        while attempt(config, call=call)[0] == RETRY:
            pass
        assert call.is_marked == marked
