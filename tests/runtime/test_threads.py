"""What only the pipeline for threads can do, or get wrong: real threads, an executor, a lock."""

import asyncio
import contextlib
import contextvars
import functools
import random
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from shells import MS, SECOND, collecting

from tenfold.errors import CallRejected
from tenfold.policies.call import CALL_POLICIES, bulkhead, circuit_breaker
from tenfold.runtime.attempt import CURRENT, within
from tenfold.runtime.pipeline import Pipeline
from tenfold.runtime.threads import ThreadPipeline

PATIENCE_S = 20  # of a test, when something hangs


@pytest.fixture
def executor():
    with ThreadPoolExecutor(8) as pool:
        yield pool


class Gate:
    """An attempt that waits until it is let go."""

    def __init__(self):
        self.entered, self.open, self.told = threading.Semaphore(0), threading.Event(), []

    def __call__(self, attempt):
        self.told.append(attempt)
        self.entered.release()
        assert self.open.wait(PATIENCE_S)
        return "late"


def queued(pipeline, count):
    """Wait until so many calls stand in line."""
    until = time.monotonic() + PATIENCE_S
    while pipeline.state("bulkhead").queue_count < count:
        assert time.monotonic() < until
        time.sleep(0)


# An executor.


def test_caller_goes_on_when_the_time_is_up_and_the_attempt_runs_to_its_end(executor):
    gate = Gate()
    pipeline = ThreadPipeline(timeout="10 ms", circuit_breaker={"failures": 1}, bulkhead=1, executor=executor)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
        pipeline.call(gate, idempotent=False)
    assert not gate.open.is_set()
    assert pipeline.state("circuit_breaker").phase == circuit_breaker.OPEN
    assert pipeline.state("bulkhead") == bulkhead.State()
    assert pipeline.counts.timeouts == 1
    gate.open.set()


def test_abandoned_attempt_keeps_its_number_its_time_and_the_calls_key(executor):
    gate, second = Gate(), []
    pipeline = ThreadPipeline(timeout="10 ms", retry={"attempts": 2, "backoff": 0}, executor=executor)

    def fn(attempt):
        return gate(attempt) if not gate.told else second.append((attempt, CURRENT.get()))

    pipeline.call(fn, idempotent=True)
    (first,), ((later, current),) = gate.told, second
    assert (first.number, later.number) == (1, 2)
    assert first.ends_ns < later.ends_ns
    assert first.key == later.key
    assert current is later
    gate.open.set()


def test_attempt_for_which_no_thread_is_free_in_time_is_not_made():
    made = []
    with ThreadPoolExecutor(1) as executor:
        busy = threading.Event()
        executor.submit(busy.wait, PATIENCE_S)
        pipeline = ThreadPipeline(timeout="10 ms", executor=executor)
        with pytest.raises(TimeoutError):
            pipeline.call(made.append, idempotent=True)
        busy.set()
    assert made == []


@pytest.mark.parametrize("error", [TimeoutError("its own"), StopIteration(), OSError()], ids=repr)
def test_error_of_an_attempt_in_an_executor_is_raised_as_it_is(executor, error):
    pipeline = ThreadPipeline(timeout="10 s", bulkhead=1, executor=executor)

    def fn(attempt):
        raise error

    with pytest.raises(type(error)) as caught:
        pipeline.call(fn, idempotent=False)
    assert caught.value is error
    assert pipeline.counts.timeouts == 0
    assert pipeline.state("bulkhead") == bulkhead.State()


def test_attempt_without_a_limit_is_made_by_the_caller(executor):
    pipeline = ThreadPipeline(executor=executor)
    assert pipeline.call(lambda attempt: threading.current_thread(), idempotent=True) is threading.current_thread()


def test_answer_of_the_instant_in_which_the_time_is_up_is_an_answer():
    class Punctual(Future):
        def result(self, timeout=None):
            if timeout is not None:
                self.set_result("just in time")
                raise TimeoutError
            return super().result()

    class Executor:
        def submit(self, *args):
            future = Punctual()
            future.set_running_or_notify_cancel()
            return future

    pipeline = ThreadPipeline(timeout="1 s", executor=Executor())
    assert pipeline.call(lambda attempt: None, idempotent=True) == "just in time"


def test_caller_that_is_interrupted_does_not_leave_its_attempt_in_line():
    left = []

    class Interrupted(Future):
        def result(self, timeout=None):
            raise KeyboardInterrupt

    class Executor:
        def submit(self, *args):
            left.append(Interrupted())
            return left[0]

    pipeline = ThreadPipeline(timeout="1 s", bulkhead=1, executor=Executor())
    with pytest.raises(KeyboardInterrupt):
        pipeline.call(lambda attempt: None, idempotent=True)
    assert left[0].cancelled()
    assert pipeline.state("bulkhead") == bulkhead.State()


def test_failed_attempt_in_an_executor_leaves_no_cycle(executor):
    pipeline = ThreadPipeline(timeout="10 s", executor=executor)

    def fn(attempt):
        raise OSError

    def some():
        for _ in range(10):
            with contextlib.suppress(OSError):
                pipeline.call(fn, idempotent=False)

    some()
    with collecting() as left:
        some()
        executor.submit(int).result()
    assert left() == 0


# Deadlines across both worlds.


def test_thread_keeps_within_the_time_of_the_task_it_works_for():
    told = []
    outer, inner = Pipeline(timeout="10 s"), ThreadPipeline(timeout="1 min")

    async def fn(attempt):
        await asyncio.to_thread(inner.call, told.append, idempotent=True)
        return attempt.ends_ns

    ends_ns = asyncio.run(outer.call(fn, idempotent=True))
    assert told[0].ends_ns == ends_ns


def test_task_keeps_within_the_time_of_the_thread_that_runs_it(executor):
    outer, inner = ThreadPipeline(timeout="10 s", executor=executor), Pipeline(timeout="1 min")

    async def fn(attempt):
        return attempt.ends_ns

    def run(attempt):
        return asyncio.run(inner.call(fn, idempotent=True)), attempt.ends_ns

    assert len(set(outer.call(run, idempotent=True))) == 1


def test_block_entered_in_one_thread_and_left_in_another_gives_its_slot_back(executor):
    pipeline = ThreadPipeline(bulkhead=1, timeout="10 s")
    block = pipeline.once()
    executor.submit(contextvars.copy_context().run, block.__enter__).result()
    executor.submit(contextvars.copy_context().run, block.__exit__, None, None, None).result()
    assert pipeline.state("bulkhead") == bulkhead.State()


def test_scope_of_a_request_may_be_left_in_another_thread(executor):
    scope = within(SECOND)
    executor.submit(contextvars.copy_context().run, scope.__enter__).result()
    executor.submit(contextvars.copy_context().run, scope.__exit__, None, None, None).result()
    assert CURRENT.get() is None


# The queue.


def test_waiters_are_served_first_come_first_served(executor):
    gate, served = Gate(), []
    pipeline = ThreadPipeline(bulkhead={"in_flight": 1, "queue": 5})
    calls = [executor.submit(pipeline.call, gate, idempotent=True)]
    assert gate.entered.acquire(timeout=PATIENCE_S)
    for number in range(5):
        fn = functools.partial(lambda number, attempt: served.append(number), number)
        calls.append(executor.submit(pipeline.call, fn, idempotent=True))
        queued(pipeline, number + 1)
    gate.open.set()
    for call in calls:
        call.result(PATIENCE_S)
    assert served == [0, 1, 2, 3, 4]
    assert pipeline.state("bulkhead") == bulkhead.State()


def test_waiter_that_is_handed_a_slot_as_it_gives_up_hands_it_on():
    pipeline = ThreadPipeline(bulkhead={"in_flight": 1, "queue": 2})

    class Unlucky(threading.Event):
        """Its time is up in the instant the slot is handed over."""

        def wait(self, timeout=None):
            with contextlib.suppress(StopIteration):
                holder.send(None)
            assert self.is_set()
            return False

    def holding():
        with pipeline.once():
            yield

    holder = holding()
    holder.send(None)
    object.__setattr__(pipeline._stages._around, "waiting", Unlucky)
    with pytest.raises(CallRejected, match="deadline"):
        pipeline.call(lambda attempt: None, idempotent=True, deadline_ns=2**61)
    assert pipeline.state("bulkhead") == bulkhead.State()
    assert pipeline.call(lambda attempt: "ok", idempotent=True) == "ok"


def test_waiter_that_is_interrupted_gives_up_its_place():
    pipeline = ThreadPipeline(bulkhead={"in_flight": 1, "queue": 1})

    class Interrupted(threading.Event):
        def wait(self, timeout=None):
            raise KeyboardInterrupt

    object.__setattr__(pipeline._stages._around, "waiting", Interrupted)
    with pipeline.once(), pytest.raises(KeyboardInterrupt):
        pipeline.call(lambda attempt: None, idempotent=True)
    assert pipeline.state("bulkhead") == bulkhead.State()


# The lock.


@pytest.mark.parametrize("traced", [False, True])
def test_policies_are_asked_and_told_one_at_a_time(monkeypatch, executor, traced):
    inside, most = [0], [0]

    def watched(kernel):
        def alone(*args):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0)  # lets another thread in, if it may
            answer = kernel(*args)
            inside[0] -= 1
            return answer

        return alone

    for policy in CALL_POLICIES:
        for name in ("acquire", "record", "leave"):
            if hasattr(policy, name):
                monkeypatch.setattr(policy, name, watched(getattr(policy, name)))
    pipeline = ThreadPipeline(
        retry={"attempts": 2, "backoff": 0},
        circuit_breaker={"failures": 3, "open": 0},
        bulkhead={"in_flight": 2, "queue": 2},
        timeout="1 s",
        on_decision=(lambda told: None) if traced else None,
    )

    def some(seed):
        dice = random.Random(seed)

        def fn(attempt):
            if dice.random() < 0.3:
                raise OSError

        for number in range(40):
            with contextlib.suppress(OSError, CallRejected):
                if number % 4:
                    pipeline.call(fn, idempotent=True, deadline_ns=time.monotonic_ns() + dice.choice([0, MS, SECOND]))
                else:
                    with pipeline.once() as attempt:
                        fn(attempt)

    for ended in [executor.submit(some, seed) for seed in range(8)]:
        ended.result(PATIENCE_S)
    assert most == [1]


@pytest.mark.parametrize("traced", [False, True])
def test_the_lock_is_free_while_an_attempt_is_made_and_while_a_listener_is_told(executor, traced):
    def elsewhere():
        return executor.submit(lambda: pipeline.counts.calls).result(PATIENCE_S)

    seen = []
    pipeline = ThreadPipeline(
        bulkhead=1,
        retry={"attempts": 2, "backoff": 0},
        on_decision=(lambda told: seen.append(elsewhere())) if traced else None,
    )

    def fn(attempt):
        seen.append(elsewhere())
        if attempt.number == 1:
            raise OSError

    pipeline.call(fn, idempotent=True)
    assert set(seen) == {1}


def test_listener_may_call_the_pipeline_and_hears_of_it_afterwards():
    told = []

    def listener(decision):
        if not told:
            told.append(decision)
            assert pipeline.call(lambda attempt: "inner", idempotent=True) == "inner"
        else:
            told.append(decision)

    pipeline = ThreadPipeline(bulkhead={"in_flight": 2}, on_decision=listener)
    assert pipeline.call(lambda attempt: "outer", idempotent=True) == "outer"
    assert [decision.verb for decision in told] == ["acquire", "acquire", "record", "record"]
    assert pipeline.state("bulkhead") == bulkhead.State()


def test_decisions_are_told_in_the_order_they_were_made_and_none_is_lost(executor):
    told, telling = [], threading.Lock()

    def listener(decision):
        assert telling.acquire(blocking=False), "one at a time"
        told.append(decision.verb)
        time.sleep(0)
        telling.release()

    pipeline = ThreadPipeline(bulkhead=8, on_decision=listener)
    for ended in [
        executor.submit(lambda: [pipeline.call(lambda attempt: None, idempotent=True) for _ in range(50)])
        for _ in range(8)
    ]:
        ended.result(PATIENCE_S)
    assert len(told) == 8 * 50 * 2
    in_flight = 0
    for verb in told:
        in_flight += 1 if verb == "acquire" else -1
        assert 0 <= in_flight <= 8
    assert in_flight == 0
