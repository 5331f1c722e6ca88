"""What a pipeline does, whatever it waits by: every case runs for asyncio and for threads, with a listener and without.

Without a listener a call that meets no trouble takes a short way of its own, and becomes a walk where it meets some.
"""

import inspect

import pytest
from shells import MS, SECOND, AsyncCase, Blocks, Calls, Takes, at_rest

from tenfold.errors import CallRejected
from tenfold.policies.call import CALL_POLICIES, bulkhead, circuit_breaker, retry, timeout
from tenfold.policies.verbs import NEVER
from tenfold.runtime.attempt import within
from tenfold.runtime.pipeline import MARK

STEADY = {"attempts": 3, "backoff": "100 ms", "jitter": 0}


# Order, attempts.


def test_policies_stand_in_the_order_of_the_table_however_they_are_given(make):
    case = make(
        timeout.Config(limit_ns=1), bulkhead.Config(in_flight=1), retry.Config(), deadline="1 s", circuit_breaker=True
    )
    given = {"deadline", "retry", "circuit_breaker", "bulkhead", "timeout"}
    assert case.pipeline.order == tuple(policy.NAME for policy in CALL_POLICIES if policy.NAME in given)


def test_without_policies_the_call_is_just_made(make):
    case = make()
    assert case.call() == "ok"
    assert (case.attempts[0].number, case.attempts[0].remaining_ns) == (1, NEVER)


def test_failed_attempts_are_repeated_after_growing_pauses(make):
    case = make(retry=STEADY, script=[ConnectionError(), ConnectionError(), 42])
    assert case.call() == 42
    assert [attempt.number for attempt in case.attempts] == [1, 2, 3]
    assert case.world.now_ns == 300 * MS


def test_the_last_error_is_raised_when_the_attempts_are_used_up(make):
    errors = [ConnectionError(number) for number in range(3)]
    case = make(retry=STEADY, script=errors)
    with pytest.raises(ConnectionError) as caught:
        case.call()
    assert caught.value is errors[2]


def test_unsafe_call_is_never_repeated(make):
    case = make(retry=STEADY, script=[ConnectionError()])
    with pytest.raises(ConnectionError):
        case.call(idempotent=False)
    assert len(case.attempts) == 1


def test_error_that_says_nothing_of_the_dependency_ends_the_call_and_counts_nowhere(make):
    case = make(
        retry=STEADY,
        circuit_breaker={"failures": 1},
        script=[KeyError("bug")],
        is_failure=lambda error: isinstance(error, OSError),
    )
    with pytest.raises(KeyError):
        case.call()
    assert (len(case.attempts), case.state("circuit_breaker")) == (1, circuit_breaker.State())


def test_every_attempt_of_a_call_is_told_the_same_key_and_every_call_another(make):
    case = make(retry=STEADY, script=[ConnectionError()])
    case.call()
    case.call()
    case.call(key="order-7")
    keys = [attempt.key for attempt in case.attempts]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == "order-7"


def test_dice_of_one_call_are_its_own(make):
    case, thrown = make(retry=STEADY, script=[ConnectionError()]), []
    case.call(draw=lambda: thrown.append(1) or 0.5)
    assert len(thrown) == 1


# Marks and hints.


def test_request_that_carries_the_mark_is_not_repeated_and_its_error_carries_it_on(make):
    case = make(retry=STEADY, script=[ConnectionError()])
    with pytest.raises(ConnectionError) as caught:
        case.call(is_marked=True)
    assert getattr(caught.value, MARK)
    assert len(case.attempts) == 1


def test_layer_that_has_given_up_keeps_the_layers_above_from_retrying(make):
    inner = make(retry={**STEADY, "mark": True}, script=[ConnectionError()] * 9)
    outer = make(retry=STEADY, script=[Calls(inner)] * 3, world=inner.world)
    with pytest.raises(ConnectionError):
        outer.call()
    assert (len(outer.attempts), len(inner.attempts)) == (1, 3)


class FrozenError(Exception):
    def __setattr__(self, name, value):
        raise AttributeError(name)


def test_error_that_cannot_be_marked_is_raised_as_it_is(make):
    case = make(retry={"attempts": 2, "mark": True}, script=[FrozenError(), error := FrozenError()])
    with pytest.raises(FrozenError) as caught:
        case.call()
    assert caught.value is error


def hinting(hint):
    error = ConnectionError()
    error.retry_after_ns = hint
    return error


def test_the_pause_is_as_long_as_the_callee_asks_for(make):
    case = make(retry=STEADY, script=[hinting(7 * SECOND)])
    case.call()
    assert case.world.now_ns == 7 * SECOND + 7 * SECOND // 10


def test_hint_beyond_the_deadline_ends_the_call_at_once_with_the_original_error(make):
    case = make(deadline="5 s", retry=STEADY, script=[error := hinting(7 * SECOND)])
    with pytest.raises(ConnectionError) as caught:
        case.call()
    assert (caught.value, case.world.now_ns) == (error, 0)


@pytest.mark.parametrize("hint", [None, "7", -1, float("nan"), object()], ids=str)
def test_hint_that_says_nothing_is_no_hint(make, hint):
    case = make(retry=STEADY, bulkhead=1, script=[hinting(hint)])
    assert case.call() == "ok"
    assert case.world.now_ns == 100 * MS
    assert at_rest(case)


# Breaker.


def test_breaker_refuses_until_its_time_is_over_and_then_probes(make):
    case = make(circuit_breaker={"failures": 1, "open": "10 s"}, script=[ConnectionError()])
    with pytest.raises(ConnectionError):
        case.call()
    with pytest.raises(CallRejected) as caught:
        case.call()
    assert (caught.value.reason, caught.value.retry_after_ns, len(case.attempts)) == ("circuit_open", 10 * SECOND, 1)
    case.wait(10)
    assert case.call() == "ok"
    assert case.state("circuit_breaker").phase == circuit_breaker.CLOSED


def test_refused_second_attempt_names_the_first_ones_error_as_cause(make):
    case = make(retry=STEADY, circuit_breaker={"failures": 1}, script=[error := ConnectionError()])
    with pytest.raises(CallRejected) as caught:
        case.call()
    assert caught.value.__cause__ is error
    assert caught.value.retry_after_ns == 30 * SECOND - 100 * MS


# Time limits.


def test_attempt_without_an_answer_in_time_is_a_failure(make):
    case = make(circuit_breaker={"failures": 1}, bulkhead=1, timeout="1 s", script=[Takes(9)])
    with pytest.raises(TimeoutError, match="no answer within 1 s"):
        case.call()
    assert case.state("circuit_breaker").phase == circuit_breaker.OPEN
    assert case.counts == {"calls": 1, "attempts": 1, "timeouts": 1, "breaker_opened": 1}
    assert at_rest(case)


def test_message_of_a_timeout_names_the_limit_wherever_the_clock_stands(make):
    case = make(timeout="1 s", script=[Takes(9)])
    case.wait(12345)
    with pytest.raises(TimeoutError, match="no answer within 1 s"):
        case.call()


def test_first_attempt_that_runs_into_the_calls_deadline_is_a_failure_of_the_dependency(make):
    case = make(deadline="1 s", circuit_breaker={"failures": 1}, bulkhead=1, script=[Takes(9)])
    with pytest.raises(TimeoutError):
        case.call()
    assert case.state("circuit_breaker").phase == circuit_breaker.OPEN
    assert case.counts == {"calls": 1, "attempts": 1, "breaker_opened": 1}
    assert at_rest(case)


def test_error_that_comes_at_the_calls_deadline_is_raised_as_it_is(make):
    case = make(deadline="1 s", retry=STEADY, script=[Takes(0.999999999, ConnectionError())])
    with pytest.raises(ConnectionError):
        case.call()


def test_late_attempts_are_repeated(make):
    case = make(retry=STEADY, timeout="1 s", script=[Takes(1.5)])
    assert case.call() == "ok"
    assert case.counts == {"calls": 1, "attempts": 2, "retries": 1, "timeouts": 1}


def test_callers_deadline_limits_the_call_without_any_policy(make):
    case = make(script=[Takes(9)])
    with pytest.raises(TimeoutError):
        case.call(deadline_ns=SECOND)
    assert case.attempts[0].remaining_ns == SECOND


def test_call_whose_time_is_already_up_is_not_made(make):
    case = make(circuit_breaker={"failures": 1}, bulkhead=1)
    with pytest.raises(CallRejected, match="deadline"):
        case.call(deadline_ns=0)
    assert (case.attempts, case.state("circuit_breaker"), case.counts) == ([], circuit_breaker.State(), {"calls": 1})
    assert at_rest(case)


def test_attempt_is_told_the_time_that_is_left(make):
    case = make(deadline="2 s", retry=STEADY, timeout="1500 ms", script=[Takes(0.9, ConnectionError())])
    case.call()
    assert [attempt.remaining_ns for attempt in case.attempts] == [1500 * MS, SECOND]


def test_pipeline_further_in_keeps_within_the_time_of_the_one_further_out(make):
    inner = make(deadline="5 s", retry={**STEADY, "attempts": 9, "backoff": "400 ms"}, script=[ConnectionError()] * 9)
    outer = make(timeout="1 s", script=[Calls(inner)], world=inner.world)
    with pytest.raises(ConnectionError):
        outer.call()
    assert [attempt.remaining_ns for attempt in inner.attempts] == [SECOND, 600 * MS]


def test_server_gives_its_pipelines_what_its_caller_has_left(make):
    case = make(deadline="9 s", script=[Takes(5)])
    with within(SECOND, case.world.clock_ns), within(3 * SECOND, case.world.clock_ns) as scope:
        assert scope.remaining_s == 1.0
        case.outer = scope
        with pytest.raises(TimeoutError):
            case.call()
    assert case.attempts[0].remaining_ns == SECOND


# Queue.


def test_waiter_gives_up_at_its_deadline_and_frees_its_place(make):
    case = make(bulkhead={"in_flight": 1, "queue": 1})
    case.script = [Calls(case, {"deadline_ns": 5 * MS})]
    with pytest.raises(CallRejected) as caught:
        case.call()
    assert (caught.value.policy, caught.value.reason) == ("bulkhead", "deadline")
    assert case.counts == {"calls": 2, "attempts": 1}
    assert at_rest(case)


def test_call_that_finds_the_queue_full_is_refused_and_the_breaker_learns_nothing(make):
    case = make(circuit_breaker={"failures": 1}, bulkhead=1)
    case.script = [Calls(case)]
    with pytest.raises(CallRejected, match="bulkhead_full"):
        case.call()
    assert case.state("circuit_breaker") == circuit_breaker.State()
    assert case.counts == {"calls": 2, "attempts": 1, "rejected_by_bulkhead": 1}
    assert at_rest(case)


def test_probe_that_finds_the_queue_full_gives_its_probe_slot_back(make):
    case = make(circuit_breaker={"failures": 1, "open": "1 s"}, bulkhead=2, script=[ConnectionError()])
    with pytest.raises(ConnectionError):
        case.call()
    case.wait(1)
    breaker = case.state("circuit_breaker")
    case.state("bulkhead").in_flight_count += 2
    with pytest.raises(CallRejected, match="bulkhead_full"):
        case.call()
    assert (breaker.phase, breaker.probe_count) == (circuit_breaker.HALF_OPEN, 0)
    case.state("bulkhead").in_flight_count -= 2
    assert case.call() == "ok"


# Fallback.


def test_fallback_answers_for_a_failure_and_is_told_it(make):
    case = make(fallback=lambda error: f"instead of {error}", script=[ConnectionError("down")])
    assert (case.call(), case.call()) == ("instead of down", "ok")


def test_fallback_answers_for_a_refusal(make):
    case = make(circuit_breaker={"failures": 1}, fallback=lambda error: type(error), script=[OSError()])
    assert [case.call(), case.call()] == [OSError, CallRejected]


def test_fallback_answers_once_after_the_last_attempt(make):
    told = []
    case = make(retry=STEADY, fallback=told.append, script=[ConnectionError(number) for number in range(3)])
    assert case.call() is None
    assert [str(error) for error in told] == ["2"]


def test_fallback_does_not_hide_what_is_no_failure(make):
    case = make(fallback=lambda error: "hidden", is_failure=lambda error: False, script=[KeyError()])
    with pytest.raises(KeyError):
        case.call()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()], ids=repr)
def test_fallback_does_not_keep_a_program_from_ending(make, error):
    case = make(fallback=lambda error: "hidden", script=[error])
    with pytest.raises(type(error)):
        case.call()


def test_what_the_fallback_raises_is_raised(make):
    def fallback(error):
        raise LookupError from error

    case = make(fallback=fallback, script=[ConnectionError()])
    with pytest.raises(LookupError):
        case.call()


# Decorator.


def test_decorated_function_stays_what_it_was_and_goes_through_the_policies(make):
    case = make(retry=STEADY, script=[ConnectionError(), ""])
    charge = case.decorated()
    assert (charge.__name__, charge.__doc__) == ("charge", "Charge.")
    assert str(inspect.signature(charge)) == "(amount: int, *, to: str = 'us') -> str"
    assert inspect.iscoroutinefunction(charge) == isinstance(case, AsyncCase)
    assert case.finish(lambda: charge(7, to="them")) == "7 to them"
    assert case.counts == {"calls": 1, "attempts": 2, "retries": 1}


def test_decorator_for_the_other_world_is_refused(make):
    async def coroutine(): ...
    def function(): ...

    case = make()
    with pytest.raises(AssertionError, match="Pipeline"):
        case.pipeline(idempotent=True)(function if isinstance(case, AsyncCase) else coroutine)


# A block.


def test_block_is_one_attempt(make):
    case = make(retry=STEADY, bulkhead=1, timeout="1 s")
    assert case.block() == "ok"
    assert (case.attempts[0].number, case.attempts[0].remaining_ns) == (1, SECOND)
    assert case.counts == {"calls": 1, "attempts": 1}
    assert at_rest(case)


def test_block_is_never_repeated_and_its_error_passes_unchanged(make):
    case = make(retry=STEADY, circuit_breaker={"failures": 1}, bulkhead=1, script=[error := ConnectionError()])
    with pytest.raises(ConnectionError) as caught:
        case.block()
    assert caught.value is error
    assert error.__cause__ is error.__context__ is None
    assert case.counts == {"calls": 1, "attempts": 1, "breaker_opened": 1}
    assert at_rest(case)


def test_block_is_refused_before_it_begins(make):
    case = make(circuit_breaker={"failures": 1}, script=[ConnectionError()])
    with pytest.raises(ConnectionError):
        case.block()
    with pytest.raises(CallRejected, match="circuit_open"):
        case.block()
    assert len(case.attempts) == 1


def test_block_that_takes_too_long_is_a_failure(make):
    case = make(circuit_breaker={"failures": 1}, bulkhead=1, timeout="1 s", script=[Takes(9)])
    with pytest.raises(TimeoutError, match="no answer within 1 s"):
        case.block()
    assert case.counts == {"calls": 1, "attempts": 1, "timeouts": 1, "breaker_opened": 1}
    assert at_rest(case)


def test_block_waits_for_a_slot_until_its_deadline(make):
    case = make(bulkhead={"in_flight": 1, "queue": 1})
    case.script = [Blocks(case, {"deadline_ns": 5 * MS})]
    with pytest.raises(CallRejected, match="deadline"):
        case.block()
    assert case.counts == {"calls": 2, "attempts": 1}
    assert at_rest(case)


def test_pipeline_called_in_a_block_keeps_within_its_time(make):
    inner = make(script=[Takes(5)])
    outer = make(timeout="1 s", script=[Calls(inner)], world=inner.world)
    with pytest.raises(TimeoutError):
        outer.block()
    assert inner.attempts[0].remaining_ns == SECOND


# Exceptions that are none.

ENDS = [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, StopAsyncIteration]


@pytest.mark.parametrize("way", ["call", "block"])
@pytest.mark.parametrize("end", ENDS)
def test_every_slot_comes_back_whatever_an_attempt_raises(make, way, end):
    case = make(bulkhead=1, circuit_breaker={"failures": 9}, timeout="1 s", script=[end()])
    is_wrapped = isinstance(case, AsyncCase) and end is StopIteration  # no coroutine can raise it: PEP 479
    with pytest.raises(RuntimeError if is_wrapped else end):
        getattr(case, way)()
    failures = int(issubclass(end, Exception))
    assert case.state("circuit_breaker").failure_count == failures
    assert at_rest(case)


def test_function_that_raises_before_there_is_anything_to_await_has_failed(make):
    case = make(retry=STEADY, bulkhead=1)

    def fn(attempt):
        raise StopIteration

    with pytest.raises(RuntimeError if isinstance(case, AsyncCase) else StopIteration):
        case.call(fn)
    assert case.counts == {"calls": 1, "attempts": 3, "retries": 2}
    assert at_rest(case)


@pytest.mark.parametrize("way", ["call", "block"])
def test_judge_that_fails_itself_costs_no_slot(make, way):
    def is_failure(error):
        raise LookupError

    case = make(bulkhead=1, circuit_breaker={"failures": 1}, is_failure=is_failure, script=[ConnectionError()])
    with pytest.raises(LookupError):
        getattr(case, way)()
    assert case.state("circuit_breaker") == circuit_breaker.State()
    assert at_rest(case)
