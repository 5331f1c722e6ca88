"""The asyncio shell around call policies: reads the clock, throws the dice, sleeps, makes the attempts.

It knows no policy by name and decides nothing: every answer comes from a policy, by way of `runtime.stages`. One
pipeline is one caller's way to one dependency; its states are shared by all calls, and what belongs to one call travels
in its `Attempt`.
"""

import asyncio
import contextlib
import copy
import functools
import inspect
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import Token
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from tenfold.errors import UsageError
from tenfold.policies.verbs import NEVER, REJECT, SUCCESS, WAKE
from tenfold.runtime.attempt import CURRENT, Attempt, no_answer, restore
from tenfold.runtime.choice import Policies, Unpack, chosen
from tenfold.runtime.expiry import Limits
from tenfold.runtime.hedging import hedged
from tenfold.runtime.shell import Shell
from tenfold.runtime.stages import MARK, Decision, Draw, Stages, Surroundings, Waiter, Walk

__all__ = ["MARK", "Attempt", "Decision", "Pipeline"]

P = ParamSpec("P")
T = TypeVar("T")


class Pipeline(Shell):
    """Policies around calls to one dependency, outermost first, for asyncio.

        payments = Pipeline(timeout="800 ms", retry={"attempts": 3, "budget": "20%"}, circuit_breaker={"failures": 5})
        receipt = await payments.call(charge, idempotent=True)

    Args:
        configs: one `Config` per policy, in any order; they are arranged as in `CALL_POLICIES`, see `order`.
        name: of the arrow, for metrics: "api -> payments".
        clock_ns: monotonic time in ns. Never a wall clock: that one is stepped.
        sleep_ns: waits so many ns.
        draw: a random number in [0, 1).
        is_failure: whether an exception speaks against the dependency; the others end the call and count nowhere.
        fallback: answers instead, when a policy has refused or the last attempt failed; told the exception.
        on_decision: told of every answer of a policy.
        policies: settings as in the design file, by the policy's name: `bulkhead={"in_flight": 20, "queue": "40"}`.

    Raises:
        UsageError: an unknown policy or setting, or a value that cannot be read: all of them at once.
    """

    def __init__(
        self,
        configs: Iterable[Any] = (),
        *,
        name: str = "",
        clock_ns: Callable[[], int] = time.monotonic_ns,
        sleep_ns: Callable[[int], Awaitable[None]] | None = None,
        draw: Draw = random.random,
        is_failure: Callable[[Exception], bool] = lambda error: True,
        fallback: Callable[[Exception], Any] | None = None,
        on_decision: Callable[[Decision], None] | None = None,
        **policies: Unpack[Policies],
    ) -> None:
        around = Surroundings(clock_ns, is_failure, on_decision, _waiting, _wake, _complain)
        super().__init__(Stages((*configs, *chosen(policies)), around), around, name, draw, fallback)
        self._sleep_ns = sleep_ns or _sleep_ns
        self._limits = Limits(clock_ns)
        self._limited_calls = self._limits.line
        self._is_apart = self._is_traced or fallback is not None or self._stages.hedge is not None
        if fallback is not None:
            self._without_fallback = copy.copy(self)
            self._without_fallback._fallback, self._without_fallback._is_apart = None, self._is_traced

    async def call(  # noqa: C901 - every function called here costs as much as a policy
        self,
        fn: Callable[[Attempt], Awaitable[T]],
        *,
        idempotent: bool,
        deadline_ns: int = NEVER,
        is_marked: bool = False,
        key: str = "",
        draw: Draw | None = None,
    ) -> T:
        """Call `fn` under the policies, as often as they say.

        Args:
            fn: makes one attempt. It runs in the caller's task and is cancelled when its time is up.
            idempotent: whether a second attempt does no harm. No default: only the caller knows.
            deadline_ns: by when the answer is wanted, on this pipeline's clock; one of further out counts in any case.
            is_marked: the request carries the mark "do not retry".
            key: idempotency key of the call; every attempt is told the same one. One is made when it is asked for.
            draw: dice of this call alone; the pipeline's otherwise.

        Raises:
            CallRejected: a policy refused; an earlier attempt's error is its cause.
            TimeoutError: the last attempt had no answer in time.
            Exception: what the last attempt raised, carrying the mark when its layer has given up on it.
        """
        # Nearly every call: all policies let it pass, its first attempt succeeds. Everything else is a walk.
        if self._is_apart:
            return await self._call_apart(fn, draw, idempotent, deadline_ns=deadline_ns, is_marked=is_marked, key=key)
        clock_ns, outer = self._clock_ns, CURRENT.get()
        now_ns = clock_ns()
        if outer is not None:
            deadline_ns, is_marked = min(deadline_ns, outer.ends_ns), is_marked or bool(outer.is_marked)
        call = self._attempt()
        call.started_ns, call.deadline_ns, call.attempt_deadline_ns = now_ns, deadline_ns, NEVER
        call.attempt_count = call.attempt_started_ns = call.ticket_generation = 0
        if is_marked or key or not idempotent:  # what an attempt is anyway is not written: see `Attempt`
            call.is_idempotent, call.is_marked, call.given_key = idempotent, is_marked, key
        throw = draw or self._draw
        stages = self._stages
        stages.counts.calls += 1
        if now_ns >= deadline_ns:
            return await self._follow(stages.walk(call, throw), fn, call, [])
        for depth, acquire, config, state, throws in stages.entries:
            asked = acquire(config, state, call, now_ns, throw() if throws else 0.0)
            if asked[0]:
                if asked[0] == REJECT:
                    raise stages.refused(depth, call, now_ns, asked[1])
                return await self._follow(stages.walk(call, throw, stages.stuck_at(depth, asked)), fn, call, [])
        try:
            ends_ns = call.attempt_deadline_ns if call.attempt_deadline_ns < call.deadline_ns else call.deadline_ns
            if ends_ns >= NEVER:
                answer = await fn(call)
            else:
                self._limits.start(call, ends_ns)
                token = CURRENT.set(call)
                try:
                    answer = await fn(call)
                finally:
                    if self._limited_calls.pop(call, None) is None:
                        self._limits.end_apart(call)
                    restore(token)
        except BaseException as caught:
            ended = [_ended(call, caught)]  # in a list, because its traceback holds this frame: see `_follow`
        else:
            now_ns = clock_ns()
            for stage, record, config, state in stages.exits:
                if record(config, state, call, now_ns, SUCCESS, 0.0)[0] == WAKE:
                    stages.wake(stage)
            return answer
        return await self._follow(stages.attempts(call, throw), fn, call, ended)

    async def _follow(
        self, walk: Walk, fn: Callable[[Attempt], Awaitable[T]], call: Attempt, ended: list[BaseException]
    ) -> T:
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
                        answer = await self._limited(self._made(fn, call), call, call.ends_ns)
                    else:
                        await self._perform(effect, call)
                except BaseException as caught:
                    error = _ended(call, caught)
                effect = walk.send(error)
        except StopIteration as end:
            error = end.value
        try:
            if error is not None:
                raise error
            return answer  # type: ignore[no-any-return]
        finally:
            error = None  # its traceback holds this frame: do not leave a cycle behind

    def _made(self, fn: Callable[[Attempt], Awaitable[T]], call: Attempt) -> Awaitable[T]:
        """An attempt; hedged when a time for that is set."""
        return fn(call) if call.hedge_at_ns >= NEVER else hedged(fn, call, self._stages)

    async def _perform(self, effect: int | Waiter, call: Attempt) -> None:
        """Wait, as a walk says."""
        if isinstance(effect, Waiter):
            await self._limited(effect.woken, call, call.deadline_ns)
        else:
            await self._sleep_ns(effect)

    async def _trouble_of(self, effect: int | Waiter, call: Attempt) -> BaseException | None:
        """What came of waiting."""
        try:
            await self._perform(effect, call)
        except BaseException as caught:
            return _ended(call, caught)
        return None

    async def _limited(self, awaited: Awaitable[T], call: Attempt, ends_ns: int) -> T:
        """Wait for something, cancelled when the time is up; see `_ended`."""
        if ends_ns >= NEVER:
            return await awaited
        self._limits.start(call, ends_ns)
        token = CURRENT.set(call)
        try:
            return await awaited
        finally:
            self._limits.end(call)
            restore(token)

    def lift(self, attempt: Attempt) -> None:
        """Let an attempt that is under way take as long as it wants: its answer has left, the rest is nobody's wait."""
        attempt.deadline_ns = attempt.attempt_deadline_ns = NEVER
        self._limits.end(attempt)

    async def _call_apart(
        self, fn: Callable[[Attempt], Awaitable[T]], draw: Draw | None, is_idempotent: bool, **options: Any
    ) -> T:
        """A call that has a listener, who is to hear of every step, or a fallback, or hedges."""
        if self._fallback is None:
            call = self._begun(is_idempotent=is_idempotent, **options)
            self._stages.note("calls")
            return await self._follow(self._stages.walk(call, draw or self._draw), fn, call, [])
        try:
            return await self._without_fallback.call(fn, idempotent=is_idempotent, draw=draw, **options)
        except Exception as error:
            if not self._falls_back(error):
                raise
            answer = self._fallback(error)
            return await answer if inspect.isawaitable(answer) else answer  # type: ignore[no-any-return]

    def __call__(
        self, *, idempotent: bool
    ) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, T]]]:
        """Decorate a coroutine function: `@payments(idempotent=True)`. Every call of it goes through the policies."""

        def decorate(fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
            assert inspect.iscoroutinefunction(fn), f"{fn} is no coroutine function: see ThreadPipeline"

            @functools.wraps(fn)
            async def called(*args: P.args, **kwargs: P.kwargs) -> T:
                return await self.call(lambda attempt: fn(*args, **kwargs), idempotent=idempotent)

            return called

        return decorate

    def once(
        self, *, deadline_ns: int = NEVER, is_marked: bool = False
    ) -> contextlib.AbstractAsyncContextManager[Attempt]:
        """One attempt around a block: `async with payments.once() as attempt: ...`.

        It is never repeated, and no fallback answers for it: a block has no answer to replace.

        Args:
            deadline_ns, is_marked: as for `call`.

        Raises:
            CallRejected, TimeoutError: as `call` does.
        """
        return _Block(self, deadline_ns, is_marked)


class _Block:
    """One attempt around a block.

    A class, because contextlib's generator leaves a cycle behind when an exception is replaced by another on its way
    out, and that is how every block ends whose time is up: CancelledError becomes TimeoutError.
    """

    __slots__ = ("_call", "_options", "_pipeline", "_token", "_walk")

    def __init__(self, pipeline: Pipeline, deadline_ns: int, is_marked: bool) -> None:
        self._pipeline, self._options = pipeline, (deadline_ns, is_marked)

    async def __aenter__(self) -> Attempt:
        pipeline, (deadline_ns, is_marked) = self._pipeline, self._options
        self._call = call = pipeline._begun(deadline_ns, is_idempotent=False, is_marked=is_marked)
        self._walk = walk = pipeline._stages.walk(call, pipeline._draw)
        pipeline._stages.note("calls")
        error: BaseException | None = None
        try:
            effect = walk.send(None)
            while effect is not None:
                error = await pipeline._trouble_of(effect, call)
                effect = walk.send(error)
            self._limit(call)
        except StopIteration as end:
            error = end.value
        try:
            if error is not None:
                raise error
            return call
        finally:
            error = None  # its traceback holds this frame: do not leave a cycle behind

    def _limit(self, call: Attempt) -> None:
        """Start the block's time limit; when that cannot be, the walk ends with the reason."""
        self._token: Token[Attempt | None] | None = None
        if call.ends_ns < NEVER:
            try:
                self._pipeline._limits.start(call, call.ends_ns)
            except UsageError as caught:
                self._walk.send(caught)
            self._token = CURRENT.set(call)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        call = self._call
        if self._token is not None:
            self._pipeline._limits.end(call)
            restore(self._token)
        ended = None if error is None else _ended(call, error)
        try:
            self._walk.send(ended)
        except StopIteration as end:
            ended = end.value
        try:
            if ended is not error:
                assert ended is not None
                raise ended
        finally:
            del ended, error


def _ended(call: Attempt, error: BaseException) -> BaseException:
    """How a block under a time limit has ended: a TimeoutError when the limit did it, else what it raised."""
    if not call.is_late:
        return error
    if not isinstance(error, asyncio.CancelledError):
        call.is_late = False  # the block made something else of its cancellation
        return error
    late = no_answer(call)
    late.__cause__ = error
    return late


def _waiting() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


def _wake(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)


def _complain(error: Exception) -> None:
    told = {"message": "on_decision of a pipeline has raised", "exception": error}
    asyncio.get_running_loop().call_exception_handler(told)


async def _sleep_ns(wait_ns: int) -> None:
    await asyncio.sleep(wait_ns / 1e9)
