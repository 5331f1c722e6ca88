"""The shell around call policies for threads: the stages, walks and policies of `pipeline`, waited for by blocking.

One lock guards the policies' states; it is held neither while an attempt is made nor while a listener is told. A thread
cannot be stopped from outside, so an attempt is told its time (`attempt.remaining_s`, for the client's own timeout) and
an answer that comes too late is a timeout. With an `executor` attempts that have a time limit are made there, and the
caller goes on when the time is up: the abandoned attempt runs to its end in its thread, as it does in the simulator.
"""

import contextlib
import contextvars
import copy
import functools
import inspect
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, ParamSpec, TypeVar

from tenfold.errors import UsageError
from tenfold.policies.call.counts import Counts
from tenfold.policies.verbs import IGNORED, NEVER, REJECT, SUCCESS, WAKE
from tenfold.runtime.attempt import CURRENT, Attempt, no_answer, restore
from tenfold.runtime.choice import Policies, Unpack, chosen
from tenfold.runtime.shell import Shell
from tenfold.runtime.stages import Decision, Draw, Stage, Stages, Surroundings, Waiter, Walk

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPipeline(Shell):
    """Policies around calls to one dependency, outermost first, for threads.

        payments = ThreadPipeline(timeout="800 ms", retry={"attempts": 3, "budget": "20%"})
        receipt = payments.call(lambda attempt: charge(timeout=attempt.remaining_s), idempotent=True)

    Args:
        sleep_ns: blocks for so many ns.
        executor: makes the attempts that have a time limit, so that it holds whatever the attempt does; None: the
            caller's thread makes them.
        others: as for `Pipeline`.

    Raises:
        UsageError: an unknown policy or setting, or a value that cannot be read: all of them at once.
    """

    def __init__(
        self,
        configs: Iterable[Any] = (),
        *,
        name: str = "",
        clock_ns: Callable[[], int] = time.monotonic_ns,
        sleep_ns: Callable[[int], None] | None = None,
        draw: Draw = random.random,
        is_failure: Callable[[Exception], bool] = lambda error: True,
        fallback: Callable[[Exception], Any] | None = None,
        on_decision: Callable[[Decision], None] | None = None,
        executor: Executor | None = None,
        **policies: Unpack[Policies],
    ) -> None:
        around = Surroundings(clock_ns, is_failure, on_decision, threading.Event, threading.Event.set, _complain)
        stages = LockedStages((*configs, *chosen(policies)), around)
        super().__init__(stages, around, name, draw, fallback)
        self._lock = stages.lock
        self._sleep_ns = sleep_ns or _sleep_ns
        self._executor = executor
        if stages.hedge is not None and executor is None:
            raise UsageError("hedge needs threads to make a call in while another is under way", "give executor=...")

    def call(
        self,
        fn: Callable[[Attempt], T],
        *,
        idempotent: bool,
        deadline_ns: int = NEVER,
        is_marked: bool = False,
        key: str = "",
        draw: Draw | None = None,
    ) -> T:
        """Call `fn` under the policies, as often as they say. Arguments and errors as for `Pipeline.call`."""
        call = self._begun(deadline_ns, is_idempotent=idempotent, is_marked=is_marked, key=key)
        throw = draw or self._draw
        try:
            return self._make(fn, call, throw)
        except Exception as error:
            if self._fallback is None or not self._falls_back(error):
                raise
            return self._fallback(error)  # type: ignore[no-any-return]

    def _make(self, fn: Callable[[Attempt], T], call: Attempt, throw: Draw) -> T:
        """The short way when every policy lets the call pass and its first attempt succeeds; otherwise a walk."""
        stages = self._stages
        if self._is_traced or call.started_ns >= call.deadline_ns:
            stages.note("calls")
            return self._follow(stages.walk(call, throw), fn, call, [])
        stuck = self._passed(call, throw)
        if stuck is not None:
            return self._follow(stages.walk(call, throw, stuck), fn, call, [])
        try:
            answer = self._attempted(fn, call)
        except BaseException as caught:
            ended = [caught]  # in a list, because its traceback holds this frame: see `_follow`
        else:
            self._succeeded(call)
            return answer
        return self._follow(stages.attempts(call, throw), fn, call, ended)

    def _passed(self, call: Attempt, throw: Draw) -> tuple[int, int, Any] | None:
        """Ask every policy; where the call is stuck, or None. Raises CallRejected."""
        stages = self._stages
        with self._lock:
            stages.counts.calls += 1
            for depth, acquire, config, state, throws in stages.entries:
                asked = acquire(config, state, call, call.started_ns, throw() if throws else 0.0)
                if asked[0] == REJECT:
                    raise stages.refused(depth, call, call.started_ns, asked[1])
                if asked[0]:
                    return stages.stuck_at(depth, asked)
        return None

    def _succeeded(self, call: Attempt) -> None:
        now_ns = self._clock_ns()
        with self._lock:
            for stage, record, config, state in self._stages.exits:
                if record(config, state, call, now_ns, SUCCESS, 0.0)[0] == WAKE:
                    self._stages.wake(stage)

    def _follow(self, walk: Walk, fn: Callable[[Attempt], T], call: Attempt, ended: list[BaseException]) -> T:
        """Do what a walk says until it ends; `ended` holds what an attempt made before has raised, and is emptied."""
        answer: Any = None
        error: BaseException | None
        try:
            effect = walk.send(None)
            if ended:
                effect = walk.send(ended.pop())
            while True:
                error = None
                try:
                    if effect is None:
                        answer = self._attempted(fn, call)
                    else:
                        self._perform(effect, call)
                except BaseException as caught:
                    error = caught
                effect = walk.send(error)
        except StopIteration as end:
            error = end.value
        try:
            if error is not None:
                raise error
            return answer  # type: ignore[no-any-return]
        finally:
            error = None  # its traceback holds this frame: do not leave a cycle behind

    def _perform(self, effect: int | Waiter, call: Attempt) -> None:
        """Wait, as a walk says."""
        if not isinstance(effect, Waiter):
            self._sleep_ns(effect)
        elif call.deadline_ns >= NEVER:
            effect.woken.wait()
        elif not effect.woken.wait(max(0, call.deadline_ns - self._clock_ns()) / 1e9):
            raise self._late(call)

    def _attempted(self, fn: Callable[[Attempt], T], call: Attempt) -> T:
        """Make one attempt within its time."""
        if self._executor is not None and call.hedge_at_ns < NEVER:
            return self._hedged(self._executor, fn, call)
        if call.ends_ns >= NEVER:
            return fn(call)
        if self._executor is not None:
            return self._elsewhere(self._executor, fn, call)
        token = CURRENT.set(call)
        try:
            answer = fn(call)
        finally:
            CURRENT.reset(token)
        if self._clock_ns() >= call.ends_ns:
            raise self._late(call, "the answer came too late: give attempt.remaining_s to the client as its timeout")
        return answer

    def _elsewhere(self, executor: Executor, fn: Callable[[Attempt], T], call: Attempt) -> T:
        """Make one attempt in the executor, and wait for it as long as it has time.

        It is told a record of its own: it may still run, and look at its time, when the next attempt is made.
        """
        _ = call.key  # made now, or each attempt would make another
        future = _submitted(executor, fn, call)
        try:
            return future.result(call.remaining_ns / 1e9)
        except TimeoutError as error:
            if future.cancel() or not future.done():
                raise self._late(call) from error
            return future.result()  # it came in this instant, or is the attempt's own TimeoutError
        except BaseException:
            future.cancel()
            raise
        finally:
            del future  # what it raised holds this frame: do not leave a cycle behind

    def _hedged(self, executor: Executor, fn: Callable[[Attempt], T], call: Attempt) -> T:
        """The same for an attempt that may be made once more: see `hedging`. What loses runs to its end, for nobody."""
        _ = call.key
        running = [_submitted(executor, fn, call)]
        first, error = running[0], None
        try:
            while running:
                done, _ = wait(running, self._until_s(call), FIRST_COMPLETED)
                for future in [future for future in running if future in done]:  # in the order they were started
                    running.remove(future)
                    error = future.exception()
                    if error is None:
                        self._stages.note("hedges_won", int(future is not first))
                        return future.result()
                if not done and self._clock_ns() >= call.ends_ns:
                    raise self._late(call)
                if not done and call.hedge_at_ns < NEVER and self._stages.extra(call):
                    running.append(_submitted(executor, fn, call))
            assert error is not None
            raise error
        finally:
            for each in running:
                each.cancel()  # one that waits for a thread
            del running, first, error  # what they raised holds this frame: do not leave a cycle behind
            done = future = None  # type: ignore[assignment]

    def _until_s(self, call: Attempt) -> float | None:
        """Time until the attempt is over or to be hedged, in s; None: no such time."""
        next_ns = min(call.ends_ns, call.hedge_at_ns)
        return None if next_ns >= NEVER else max(0, next_ns - self._clock_ns()) / 1e9

    def _late(self, call: Attempt, hint: str = "") -> TimeoutError:
        """What ends an attempt, or a wait, because its time is up."""
        call.is_late = True
        late = no_answer(call)
        if hint:
            late.add_note(hint)
        return late

    def __call__(self, *, idempotent: bool) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Decorate a function: `@payments(idempotent=True)`. Every call of it goes through the policies."""

        def decorate(fn: Callable[P, T]) -> Callable[P, T]:
            assert not inspect.iscoroutinefunction(fn), f"{fn} is a coroutine function: see Pipeline"

            @functools.wraps(fn)
            def called(*args: P.args, **kwargs: P.kwargs) -> T:
                return self.call(lambda attempt: fn(*args, **kwargs), idempotent=idempotent)

            return called

        return decorate

    @contextlib.contextmanager
    def once(self, *, deadline_ns: int = NEVER, is_marked: bool = False) -> Iterator[Attempt]:
        """One attempt around a block: `with payments.once() as attempt: ...`.

        It is never repeated, and no fallback answers for it: a block has no answer to replace.

        Args:
            deadline_ns, is_marked: as for `call`.

        Raises:
            CallRejected, TimeoutError: as `call` does.
        """
        call = self._begun(deadline_ns, is_idempotent=False, is_marked=is_marked)
        self._stages.note("calls")
        walk = self._stages.walk(call, self._draw)
        error: BaseException | None = None
        try:
            effect = walk.send(None)
            while effect is not None:
                error = self._trouble_of(effect, call)
                effect = walk.send(error)
            token = CURRENT.set(call)
            try:
                yield call
            except BaseException as caught:
                error = caught
            else:
                error = self._late(call, "the block took too long") if self._clock_ns() >= call.ends_ns else None
            finally:
                restore(token)
            walk.send(error)
        except StopIteration as end:
            error = end.value
        try:
            if error is not None:
                raise error
        finally:
            error = None

    def _trouble_of(self, effect: int | Waiter, call: Attempt) -> BaseException | None:
        try:
            self._perform(effect, call)
        except BaseException as caught:
            return caught
        return None


def _submitted(executor: Executor, fn: Callable[[Attempt], T], call: Attempt) -> "Future[T]":
    return executor.submit(contextvars.copy_context().run, _made, fn, copy.copy(call))


class LockedStages(Stages):
    """Stages many threads walk through: every question and every answer is one step.

    Decisions are told in the order they were made, one at a time and without the lock: a listener may call the
    pipeline, and may take its time. A thread that finds another one telling leaves its own decision to that one.
    """

    def __init__(self, configs: Iterable[Any], around: Surroundings) -> None:
        super().__init__(configs, around)
        self.lock = threading.RLock()  # a finalizer may call the pipeline in the middle of a step
        self._untold: deque[Decision] = deque()
        self._telling = threading.Lock()

    def counted(self) -> Counts:
        """As for Stages."""
        with self.lock:
            return super().counted()

    def ask(self, stage: Stage, call: Attempt, throw: Draw) -> tuple[int, Any]:
        """As for Stages."""
        with self.lock:
            answer = super().ask(stage, call, throw)
        self._tell_listener()
        return answer

    def tell(self, stage: Stage, call: Attempt, outcome: int, throw: Draw) -> tuple[int, int]:
        """As for Stages."""
        with self.lock:
            answer = super().tell(stage, call, outcome, throw)
        self._tell_listener()
        return answer

    def note(self, name: str, by: int = 1) -> None:
        """As for Stages."""
        with self.lock:
            super().note(name, by)

    def give_up(self, waiter: Waiter, call: Attempt, throw: Draw) -> None:
        """As for Stages."""
        with self.lock:
            is_granted = waiter.is_granted
            if not is_granted:
                super().give_up(waiter, call, throw)
        if is_granted:
            self.tell(waiter.stage, call, IGNORED, throw)
        self._tell_listener()

    def leave(self, stage: Stage, call: Attempt) -> None:
        """As for Stages."""
        with self.lock:
            super().leave(stage, call)
        self._tell_listener()

    def extra(self, call: Attempt) -> bool:
        """As for Stages."""
        with self.lock:
            may = super().extra(call)
        self._tell_listener()
        return may

    def report(self, decision: Decision) -> None:
        """Keep the decision until the lock is released."""
        self._untold.append(decision)

    def _tell_listener(self) -> None:
        """Tell what is not told yet, unless it is being told."""
        while self._untold and self._telling.acquire(blocking=False):
            try:
                while self._untold:
                    super().report(self._untold.popleft())
            finally:
                self._telling.release()


def _made(fn: Callable[[Attempt], T], call: Attempt) -> T:
    """One attempt, in the context that was copied for it: pipelines further in keep within its time."""
    CURRENT.set(call)
    return fn(call)


def _complain(error: Exception) -> None:
    told = (type(error), error, error.__traceback__, threading.current_thread())
    threading.excepthook(threading.ExceptHookArgs(told))


def _sleep_ns(wait_ns: int) -> None:
    time.sleep(wait_ns / 1e9)
