"""The shell around call policies for threads: the stages, walks and policies of `pipeline`, waited for by blocking.

One lock guards the policies' states; it is never held while an attempt is made. A thread cannot be stopped from
outside, so an attempt is told its time (`attempt.remaining_s`, for the client's own timeout) and an answer that comes
too late is a timeout. With an `executor` attempts are made there, and the caller goes on when the time is up: the
abandoned attempt runs to its end in its thread, as it does in the simulator.
"""

import contextlib
import contextvars
import functools
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from concurrent.futures import TimeoutError as NotInTime
from typing import Any, ParamSpec, TypeVar

from tenfold.policies.verbs import NEVER, SUCCESS, WAKE
from tenfold.runtime.attempt import CURRENT, Attempt
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
        executor: makes the attempts, so that their time limits hold whatever the attempt does; None: the caller's
            thread makes them.
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
        around = Surroundings(clock_ns, is_failure, on_decision, threading.Event, threading.Event.set)
        stages = LockedStages((*configs, *chosen(policies)), around)
        super().__init__(stages, around, name, draw, fallback)
        self._lock = stages.lock
        self._sleep_ns = sleep_ns or _sleep_ns
        self._executor = executor

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
        if self._is_traced or call.started_ns >= call.deadline_ns:
            return self._follow(self._stages.walk(call, throw), fn, call, None)
        stuck = self._passed(call, throw)
        if stuck is not None:
            return self._follow(self._stages.walk(call, throw, stuck), fn, call, None)
        try:
            answer = self._attempted(fn, call)
        except BaseException as caught:
            error = caught
        else:
            self._succeeded(call)
            return answer
        return self._follow(self._stages.walk(call, throw, self._stages.inside()), fn, call, error)

    def _passed(self, call: Attempt, throw: Draw) -> tuple[int, int, Any] | None:
        """Ask every policy; where the call is stuck, or None."""
        with self._lock:
            for acquire, config, state, throws in self._stages.entries:
                asked = acquire(config, state, call, call.started_ns, throw() if throws else 0.0)
                if asked[0]:
                    return self._stages.stuck_at(state, asked)
        return None

    def _succeeded(self, call: Attempt) -> None:
        now_ns = self._clock_ns()
        with self._lock:
            for record, config, state in self._stages.exits:
                if record(config, state, call, now_ns, SUCCESS, 0.0)[0] == WAKE:
                    self._stages.woken_by(state)

    def _follow(self, walk: Walk, fn: Callable[[Attempt], T], call: Attempt, error: BaseException | None) -> T:
        """Do what a walk says until it ends; `error` is how an attempt made before has ended."""
        answer: Any = None
        try:
            effect = walk.send(None)
            if error is not None:
                effect = walk.send(error)
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
            raise TimeoutError

    def _attempted(self, fn: Callable[[Attempt], T], call: Attempt) -> T:
        """Make one attempt within its time."""
        if call.ends_ns >= NEVER:
            return fn(call)
        token = CURRENT.set(call)
        try:
            if self._executor is not None:
                return self._elsewhere(self._executor, fn, call)
            answer = fn(call)
        finally:
            CURRENT.reset(token)
        if self._clock_ns() >= call.ends_ns:
            raise TimeoutError("the answer came too late: give attempt.remaining_s to the client as its timeout")
        return answer

    def _elsewhere(self, executor: Executor, fn: Callable[[Attempt], T], call: Attempt) -> T:
        future = executor.submit(contextvars.copy_context().run, fn, call)
        try:
            return future.result(call.remaining_ns / 1e9)
        except NotInTime as error:
            if future.cancel() or not future.done():
                raise TimeoutError(f"no answer at {call.ends_ns} ns") from error
            return future.result()  # it came in this instant, or is the attempt's own TimeoutError

    def __call__(self, *, idempotent: bool) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Decorate a function: `@payments(idempotent=True)`. Every call of it goes through the policies."""

        def decorate(fn: Callable[P, T]) -> Callable[P, T]:
            @functools.wraps(fn)
            def called(*args: P.args, **kwargs: P.kwargs) -> T:
                return self.call(lambda attempt: fn(*args, **kwargs), idempotent=idempotent)

            return called

        return decorate

    @contextlib.contextmanager
    def once(self, *, deadline_ns: int = NEVER, is_marked: bool = False) -> Iterator[Attempt]:
        """One attempt around a block: `with payments.once() as attempt: ...`. It is never repeated."""
        call = self._begun(deadline_ns, is_idempotent=False, is_marked=is_marked)
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
                error = TimeoutError("the block took too long") if self._clock_ns() >= call.ends_ns else None
            finally:
                CURRENT.reset(token)
            walk.send(error)
        except StopIteration as end:
            error = end.value
        if error is not None:
            raise error

    def _trouble_of(self, effect: int | Waiter, call: Attempt) -> BaseException | None:
        try:
            self._perform(effect, call)
        except BaseException as caught:
            return caught
        return None


class LockedStages(Stages):
    """Stages many threads walk through: every question and every answer is one step."""

    def __init__(self, configs: Iterable[Any], around: Surroundings) -> None:
        super().__init__(configs, around)
        self.lock = threading.RLock()  # a listener may ask the pipeline

    def ask(self, stage: Stage, call: Attempt, throw: Draw) -> tuple[int, Any]:
        """As for Stages."""
        with self.lock:
            return super().ask(stage, call, throw)

    def tell(self, stage: Stage, call: Attempt, outcome: int, throw: Draw) -> tuple[int, int]:
        """As for Stages."""
        with self.lock:
            return super().tell(stage, call, outcome, throw)

    def note(self, name: str, by: int = 1) -> None:
        """As for Stages."""
        with self.lock:
            super().note(name, by)

    def give_up(self, waiter: Waiter, call: Attempt, throw: Draw) -> None:
        """As for Stages."""
        with self.lock:
            super().give_up(waiter, call, throw)


def _sleep_ns(wait_ns: int) -> None:
    time.sleep(wait_ns / 1e9)
