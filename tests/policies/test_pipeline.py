"""The asyncio shell in virtual time: when things happen, to the nanosecond. What both shells do is in tests/runtime."""

import asyncio
from types import SimpleNamespace

import pytest

from tenfold.errors import CallRejected
from tenfold.policies.call import bulkhead, circuit_breaker, deadline, retry, timeout
from tenfold.policies.verbs import PROCEED, RETRY, WAIT
from tenfold.runtime.attempt import within
from tenfold.runtime.pipeline import Pipeline
from tenfold.runtime.stages import Stage
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
        told = SimpleNamespace(number=attempt.number, remaining_ns=attempt.remaining_ns, key=attempt.key)
        self.attempts.append(told)
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


def test_attempt_without_an_answer_in_time_is_a_failure():
    case = Case(circuit_breaker.Config(failures=1), timeout.Config(limit_ns=SECOND), script=[9.0])
    with pytest.raises(TimeoutError):
        case.run()
    assert case.state("circuit_breaker").phase == circuit_breaker.OPEN
    assert case.world.now_ns == SECOND


@pytest.mark.parametrize("is_traced", [False, True])
def test_an_attempt_cut_at_the_deadline_is_a_failure_whether_decisions_are_traced_or_not(is_traced):
    world = World()
    told = {"on_decision": lambda decision: None} if is_traced else {}
    pipeline = Pipeline(deadline="1 s", circuit_breaker={"failures": 1}, clock_ns=world.clock_ns, **told)
    with pytest.raises(TimeoutError):
        world.run(pipeline.call(lambda attempt: asyncio.sleep(9), idempotent=True))
    assert pipeline.state("circuit_breaker").phase == circuit_breaker.OPEN


def test_timed_out_attempts_are_counted_and_other_timeouts_of_the_dependency_are_not():
    case = Case(retry.Config(), timeout.Config(limit_ns=SECOND), script=[9.0, TimeoutError("disk"), 9.0])
    with pytest.raises(TimeoutError):
        case.run()
    assert (case.pipeline.counts.attempts, case.pipeline.counts.timeouts) == (3, 2)


def test_callers_deadline_limits_the_call_without_any_policy():
    case = Case(script=[9.0])
    with pytest.raises(TimeoutError):
        case.run(deadline_ns=SECOND)
    assert (case.world.now_ns, case.attempts[0].remaining_ns) == (SECOND, SECOND)


def test_dice_are_thrown_only_for_policies_that_look_at_them():
    case = Case(retry.Config(), circuit_breaker.Config(), bulkhead.Config(in_flight=1), script=[ConnectionError()])
    thrown = []
    case.run(draw=lambda: thrown.append(1) or 0.5)
    assert len(thrown) == 1, "once for each failure of an attempt"


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
    stage = Stage(pacing, None, None, lambda *args: answers.pop(0), lambda *args: (PROCEED, 0), False, False, ())
    case.pipeline._stages.all = (stage,)
    assert case.run() == "ok"
    assert case.world.now_ns == SECOND
    with pytest.raises(CallRejected, match="too_fast"):
        case.run(deadline_ns=SECOND + 1)


def test_cancellation_from_outside_wins_over_a_time_limit_of_the_same_instant():
    case = Case(timeout.Config(limit_ns=SECOND), script=[9.0])

    async def scenario():
        task = asyncio.create_task(case.call())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(1, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    case.world.run(scenario())


def test_a_timeout_in_the_clean_up_of_a_cancelled_task_is_still_a_timeout():
    case = Case(timeout.Config(limit_ns=SECOND), script=[9.0])

    async def cleaning_up():
        try:
            await asyncio.sleep(9)
        finally:
            with pytest.raises(TimeoutError):
                await case.call()

    async def scenario():
        task = asyncio.create_task(cleaning_up())
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    assert case.world.run(scenario())
    assert case.world.now_ns == 1500 * MS


def test_time_limits_nest_and_each_cancels_only_its_own_block():
    world = World()
    inner = Pipeline(timeout="1 s", clock_ns=world.clock_ns)
    outer = Pipeline(timeout="2 s", clock_ns=world.clock_ns)

    async def block(attempt):
        with pytest.raises(TimeoutError):
            await inner.call(lambda attempt: asyncio.sleep(9), idempotent=True)
        await asyncio.sleep(0.5)
        return asyncio.current_task().cancelling()

    assert world.run(outer.call(block, idempotent=True)) == 0
    assert world.now_ns == 1500 * MS


def test_a_server_gives_its_pipelines_what_its_caller_has_left():
    case = Case(deadline.Config(total_ns=9 * SECOND), script=[9.0])

    async def request():
        with within(SECOND, case.world.clock_ns):
            await case.call()

    with pytest.raises(TimeoutError):
        case.world.run(request())
    assert case.world.now_ns == SECOND


def test_a_limit_that_ends_before_an_earlier_one_ends_in_time_all_the_same():
    case = Case(timeout.Config(limit_ns=5 * SECOND), script=[9.0, 9.0, 9.0])

    async def scenario():
        ends = []

        async def one(limit_ns):
            with pytest.raises(TimeoutError):
                await case.call(deadline_ns=limit_ns)
            ends.append(case.world.now_ns)

        await asyncio.gather(one(2**61), one(SECOND), one(3 * SECOND))
        return ends

    assert case.world.run(scenario()) == [SECOND, 3 * SECOND, 5 * SECOND]


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
