"""The asyncio shell: what it hands on, what it gives back, what it leaves behind."""

import asyncio
from types import SimpleNamespace

import pytest

from tenfold.errors import CallRejected
from tenfold.policies.call import (
    CALL_POLICIES,
    adaptive_limit,
    bulkhead,
    circuit_breaker,
    deadline,
    hedge,
    rate_limit,
    retry,
    throttle,
    timeout,
)
from tenfold.policies.verbs import NEVER, PROCEED, RETRY, WAIT
from tenfold.runtime.pipeline import MARK, Pipeline, Stage
from tenfold.runtime.time_limit import TimeLimit
from tenfold.testing.world import World

MS = 1_000_000
SECOND = 1_000_000_000


class Case:
    """A pipeline in a world of its own, and a backend that follows a script."""

    def __init__(self, *configs, script=(), **options):
        self.world, self.attempts, self.script, self.decisions = World(draws=[0.5] * 1000), [], list(script), []
        self.pipeline = Pipeline(
            configs,
            clock_ns=self.world.clock_ns,
            draw=self.world.draw,
            on_decision=self.decisions.append,
            **options,
        )

    async def backend(self, attempt):
        self.attempts.append(attempt)
        end = self.script.pop(0) if self.script else "ok"
        if isinstance(end, float):
            await asyncio.sleep(end)
        elif isinstance(end, BaseException):
            raise end
        return end

    def call(self, **options):
        return self.pipeline.call(self.backend, **{"idempotent": True} | options)

    def run(self, **options):
        return self.world.run(self.call(**options))

    def state(self, name):
        return self.pipeline.state(name)


def test_policies_stand_in_the_order_of_the_table_however_they_are_given():
    configs = [timeout.Config(limit_ns=1), bulkhead.Config(in_flight=1), circuit_breaker.Config(), retry.Config()]
    others = [throttle.Config(), hedge.Config(), adaptive_limit.Config(), rate_limit.Config(rate_per_s=1.0)]
    case = Case(*configs, *others, deadline.Config(total_ns=1))
    assert case.pipeline.order == tuple(policy.NAME for policy in CALL_POLICIES)


def test_without_policies_the_call_is_just_made():
    case = Case()
    assert case.run() == "ok"
    assert (case.attempts[0].number, case.attempts[0].remaining_ns) == (1, NEVER)


def test_failed_attempts_are_repeated_and_numbered():
    case = Case(retry.Config(), script=[ConnectionError(), ConnectionError(), 42])
    assert case.run() == 42
    assert [attempt.number for attempt in case.attempts] == [1, 2, 3]
    assert case.world.now_ns == 300 * MS


def test_the_original_error_is_raised_when_the_attempts_are_used_up():
    errors = [ConnectionError(number) for number in range(3)]
    case = Case(retry.Config(), script=errors)
    with pytest.raises(ConnectionError) as caught:
        case.run()
    assert caught.value is errors[2]


def test_unsafe_call_is_never_repeated():
    case = Case(retry.Config(), script=[ConnectionError()])
    with pytest.raises(ConnectionError):
        case.run(idempotent=False)
    assert len(case.attempts) == 1


def test_request_that_carries_the_mark_is_not_repeated_and_its_error_carries_it_on():
    case = Case(retry.Config(), script=[ConnectionError()])
    with pytest.raises(ConnectionError) as caught:
        case.run(is_marked=True)
    assert getattr(caught.value, MARK)
    assert len(case.attempts) == 1


def test_error_that_says_nothing_of_the_dependency_ends_the_call_and_counts_nowhere():
    case = Case(
        retry.Config(),
        circuit_breaker.Config(failures=1),
        script=[KeyError("bug")],
        is_failure=lambda error: isinstance(error, OSError),
    )
    with pytest.raises(KeyError):
        case.run()
    assert (len(case.attempts), case.state("circuit_breaker")) == (1, circuit_breaker.State())


def test_attempt_without_an_answer_in_time_is_a_failure():
    case = Case(circuit_breaker.Config(failures=1), timeout.Config(limit_ns=SECOND), script=[9.0])
    with pytest.raises(TimeoutError):
        case.run()
    assert case.state("circuit_breaker").phase == circuit_breaker.OPEN
    assert case.world.now_ns == SECOND


def test_callers_deadline_limits_the_call_without_any_policy():
    case = Case(script=[9.0])
    with pytest.raises(TimeoutError):
        case.run(deadline_ns=SECOND)
    assert (case.world.now_ns, case.attempts[0].remaining_ns) == (SECOND, SECOND)


def test_call_whose_time_is_already_up_is_not_made():
    case = Case(circuit_breaker.Config(failures=1))
    with pytest.raises(CallRejected, match="deadline"):
        case.run(deadline_ns=0)
    assert (case.attempts, case.state("circuit_breaker")) == ([], circuit_breaker.State())


def test_dice_are_thrown_only_for_policies_that_look_at_them():
    case = Case(retry.Config(), circuit_breaker.Config(), bulkhead.Config(in_flight=1), script=[ConnectionError()])
    thrown = []
    case.run(draw=lambda: thrown.append(1) or 0.5)
    assert len(thrown) == 2, "once for each end of an attempt"


def test_refusal_further_in_is_no_failure_further_out():
    case = Case(retry.Config(), circuit_breaker.Config(failures=1), bulkhead.Config(in_flight=1), script=[1.0])

    async def scenario():
        first = asyncio.create_task(case.call())
        await asyncio.sleep(0)
        with pytest.raises(CallRejected) as caught:
            await case.call()
        assert (caught.value.policy, caught.value.reason) == ("bulkhead", "bulkhead_full")
        await first

    case.world.run(scenario())
    assert case.state("circuit_breaker") == circuit_breaker.State()
    assert len(case.attempts) == 1, "nor is it repeated"


def test_refused_second_attempt_names_the_first_ones_error_as_cause():
    error = ConnectionError()
    case = Case(retry.Config(), circuit_breaker.Config(failures=1), script=[error])
    with pytest.raises(CallRejected) as caught:
        case.run()
    assert caught.value.__cause__ is error
    assert caught.value.retry_after_ns == 30 * SECOND - 100 * MS


def test_waiter_gives_up_at_its_deadline_and_frees_its_place():
    case = Case(bulkhead.Config(in_flight=1, queue=1), script=[5.0])

    async def scenario():
        first = asyncio.create_task(case.call())
        await asyncio.sleep(0)
        with pytest.raises(CallRejected, match="deadline"):
            await case.call(deadline_ns=SECOND)
        assert case.world.now_ns == SECOND
        assert case.state("bulkhead").queue_count == 0
        await first

    case.world.run(scenario())
    assert case.state("bulkhead") == bulkhead.State()


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit()])
def test_every_slot_comes_back_when_the_task_is_torn_down(error):
    case = Case(bulkhead.Config(in_flight=1), circuit_breaker.Config(failures=1), script=[error])

    async def scenario():
        with pytest.raises(type(error)):
            await case.call()

    case.world.run(scenario())
    assert case.state("bulkhead") == bulkhead.State()
    assert case.state("circuit_breaker") == circuit_breaker.State()


def test_call_cancelled_in_its_pause_holds_nothing():
    case = Case(retry.Config(backoff_ns=9 * SECOND), bulkhead.Config(in_flight=1), script=[ConnectionError()])

    async def scenario():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await case.call()

    case.world.run(scenario())
    assert (case.world.now_ns, case.state("bulkhead")) == (SECOND, bulkhead.State())


def test_decisions_are_reported_after_the_transition_in_the_order_they_were_made():
    case = Case(retry.Config(), circuit_breaker.Config(), script=[ConnectionError()])
    case.run()
    told = [(decision.policy, decision.verb, decision.answer == RETRY) for decision in case.decisions]
    one_round = [
        ("retry", "acquire"),
        ("circuit_breaker", "acquire"),
        ("circuit_breaker", "record"),
        ("retry", "record"),
    ]
    assert told == [(*step, step == ("retry", "record")) for step in one_round] + [(*step, False) for step in one_round]


def test_policy_that_says_wait_is_asked_again_and_not_past_the_deadline():
    answers = [(WAIT, SECOND), (PROCEED, 0), (WAIT, SECOND)]
    pacing = SimpleNamespace(NAME="pacing", REFUSAL="too_fast")
    case = Case()
    case.pipeline._stages = (
        Stage(pacing, None, None, lambda *args: answers.pop(0), lambda *args: (PROCEED, 0), False, False),
    )
    assert case.run() == "ok"
    assert case.world.now_ns == SECOND
    with pytest.raises(CallRejected, match="too_fast"):
        case.run(deadline_ns=SECOND + 1)


def test_cancellation_from_outside_wins_over_a_time_limit_of_the_same_instant():
    world = World()

    async def limited():
        with TimeLimit(SECOND):
            await asyncio.sleep(9)

    async def scenario():
        task = asyncio.create_task(limited())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(1, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    world.run(scenario())


def test_time_limits_nest_and_each_cancels_only_its_own_block():
    async def scenario():
        with TimeLimit(2 * SECOND):
            with pytest.raises(TimeoutError), TimeLimit(SECOND):
                await asyncio.sleep(9)
            await asyncio.sleep(0.5)
        return asyncio.current_task().cancelling()

    assert World().run(scenario()) == 0


def test_an_hour_in_the_world_takes_no_time_and_ends_to_the_nanosecond():
    world = World()
    world.run(asyncio.sleep(3600))
    assert world.now_ns == 3600 * SECOND


def test_world_in_which_nothing_can_happen_any_more_says_so():
    async def forever():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing can ever happen again"):
        World().run(forever())


def test_loaded_dice_show_their_numbers_first_zero_included():
    world = World(seed=1, draws=[0.0, 0.25])
    assert [world.draw(), world.draw()] == [0.0, 0.25]
    assert world.draw() == World(seed=1).draw()
