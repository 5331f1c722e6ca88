"""The asyncio shell around call policies: reads the clock, throws the dice, sleeps, keeps waiters in order.

It knows no policy by name and decides nothing: every answer comes from a policy, and the protocol it follows stands in
`tenfold.policies.call`. One pipeline is one caller's way to one dependency; its states are shared by all calls, and
what belongs to one call travels in its `Call`.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from tenfold.errors import CallRejected
from tenfold.policies.call import CALL_POLICIES
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import (
    FAILURE,
    IGNORED,
    LONGEST_NS,
    NEVER,
    PROCEED,
    QUEUE,
    REJECT,
    RETRY,
    SUCCESS,
    WAIT,
    WAKE,
)
from tenfold.runtime.time_limit import TimeLimit

T = TypeVar("T")
Draw = Callable[[], float]

MARK = "tenfold_do_not_retry"
"""Attribute of an error whose layer has given up on it: the layers above do not retry."""


class Attempt(NamedTuple):
    """What the function that makes the attempt is told."""

    number: int  # 1 is the first
    remaining_ns: int  # time left for the attempt, to be handed on to the callee; NEVER when nothing limits it
    call: Call


class Decision(NamedTuple):
    """One answer of one policy, as `on_decision` sees it, after the transition."""

    now_ns: int
    policy: str
    verb: str  # acquire, record, leave
    outcome: int  # what record was told; -1 otherwise
    answer: int
    wait_ns: int


@dataclass(slots=True, eq=False)
class Waiter:
    """A call in a policy's queue."""

    woken: "asyncio.Future[None]"
    is_granted: bool = False  # a slot was handed to it, even if it has been cancelled since


@dataclass(slots=True, eq=False)
class Stage:
    """One policy of a pipeline: its kernels, what the user set, what it remembers, who waits."""

    policy: ModuleType
    config: Any
    state: Any
    acquire: Callable[..., tuple[int, int]]
    record: Callable[..., tuple[int, int]]
    acquire_throws: bool
    record_throws: bool
    waiters: "deque[Waiter]" = field(default_factory=deque)


class Pipeline:
    """Policies around calls to one dependency, outermost first.

    Args:
        configs: one `Config` per policy, in any order; they are arranged as in `CALL_POLICIES`, see `order`.
        clock_ns: monotonic time in ns. Never a wall clock: that one is stepped.
        sleep_ns: waits so many ns.
        draw: a random number in [0, 1).
        is_failure: whether an exception speaks against the dependency; the others end the call and count nowhere.
        on_decision: told of every answer of a policy.
    """

    def __init__(
        self,
        configs: Iterable[Any],
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        sleep_ns: Callable[[int], Awaitable[None]] | None = None,
        draw: Draw = random.random,
        is_failure: Callable[[Exception], bool] = lambda error: True,
        on_decision: Callable[[Decision], None] | None = None,
    ) -> None:
        self._stages = tuple(_arranged(configs))
        self._clock_ns = clock_ns
        self._sleep_ns = sleep_ns or _sleep_ns
        self._draw = draw
        self._is_failure = is_failure
        self._on_decision = on_decision

    @property
    def order(self) -> tuple[str, ...]:
        """The policies' names, outermost first."""
        return tuple(stage.policy.NAME for stage in self._stages)

    def state(self, name: str) -> Any:
        """What a policy remembers, for metrics and tests. Not to be written to."""
        return next(stage.state for stage in self._stages if name == stage.policy.NAME)

    async def call(
        self,
        fn: Callable[[Attempt], Awaitable[T]],
        *,
        idempotent: bool,
        deadline_ns: int = NEVER,
        is_marked: bool = False,
        draw: Draw | None = None,
    ) -> T:
        """Call `fn` under the policies, as often as they say.

        Args:
            fn: makes one attempt. It runs in the caller's task and is cancelled when its time is up.
            idempotent: whether a second attempt does no harm. No default: only the caller knows.
            deadline_ns: by when the caller's own caller wants the answer, on this pipeline's clock.
            is_marked: the request carries the mark "do not retry".
            draw: dice of this call alone; the pipeline's otherwise.

        Raises:
            CallRejected: a policy refused; an earlier attempt's error is its cause.
            TimeoutError: the last attempt had no answer in time.
            Exception: what the last attempt raised, carrying the mark when its layer has given up on it.
        """
        throw = draw or self._draw
        call = Call(self._clock_ns(), deadline_ns, is_marked=int(is_marked), is_idempotent=int(idempotent))
        error: Exception | None = None
        try:
            while True:
                await self._enter(call, throw, error)
                try:
                    answer = await self._attempt(fn, call)
                except Exception as caught:
                    error = caught
                    wait_ns = self._fail(call, caught, throw)
                    if wait_ns < 0:
                        raise
                except BaseException:
                    self._exit(len(self._stages), call, IGNORED, throw)
                    raise
                else:
                    self._exit(len(self._stages), call, SUCCESS, throw)
                    return answer
                await self._sleep_ns(wait_ns)
        finally:
            error = None  # the error's traceback holds this frame: do not leave a cycle behind

    async def _enter(self, call: Call, throw: Draw, error: Exception | None) -> None:
        """Pass every policy on the way in, or unwind and raise."""
        for depth, stage in enumerate(self._stages):
            answer, wait_ns = self._acquire(stage, call, throw)
            if answer == PROCEED:
                continue
            try:
                while answer == WAIT and self._clock_ns() + wait_ns < call.deadline_ns:
                    await self._sleep_ns(wait_ns)
                    answer, wait_ns = self._acquire(stage, call, throw)
                if answer == QUEUE:
                    await self._queue(stage, call, throw)
            except BaseException:
                self._exit(depth, call, IGNORED, throw)
                raise
            if answer in (REJECT, WAIT):
                self._exit(depth, call, IGNORED, throw)
                raise CallRejected(stage.policy.NAME, stage.policy.REFUSAL, wait_ns) from error
        if call.deadline_ns < NEVER and self._clock_ns() >= call.deadline_ns:
            self._exit(len(self._stages), call, IGNORED, throw)
            raise CallRejected("deadline", "deadline", 0) from error

    def _acquire(self, stage: Stage, call: Call, throw: Draw) -> tuple[int, int]:
        now_ns = self._clock_ns()
        dice = throw() if stage.acquire_throws else 0.0
        answer, wait_ns = stage.acquire(stage.config, stage.state, call, now_ns, dice)
        if self._on_decision is not None:
            self._on_decision(Decision(now_ns, stage.policy.NAME, "acquire", -1, answer, wait_ns))
        return answer, wait_ns

    async def _queue(self, stage: Stage, call: Call, throw: Draw) -> None:
        """Wait for a slot until the deadline; whatever ends the wait, place and slot are accounted for."""
        waiter = Waiter(asyncio.get_running_loop().create_future())
        stage.waiters.append(waiter)
        try:
            if call.deadline_ns < NEVER:
                with TimeLimit(call.deadline_ns - self._clock_ns()):
                    await waiter.woken
            else:
                await waiter.woken
        except BaseException as ended:
            self._give_up(stage, waiter, call, throw)
            if isinstance(ended, TimeoutError):
                raise CallRejected(stage.policy.NAME, "deadline", 0) from ended
            raise

    def _give_up(self, stage: Stage, waiter: Waiter, call: Call, throw: Draw) -> None:
        """A waiter ends: one that was handed a slot gives it back, one still queued gives up its place."""
        if waiter.is_granted:
            self._record(stage, call, IGNORED, throw)
            return
        stage.waiters.remove(waiter)
        now_ns = self._clock_ns()
        answer, wait_ns = stage.policy.leave(stage.config, stage.state, call, now_ns)
        if self._on_decision is not None:
            self._on_decision(Decision(now_ns, stage.policy.NAME, "leave", -1, answer, wait_ns))

    async def _attempt(self, fn: Callable[[Attempt], Awaitable[T]], call: Call) -> T:
        """Make one attempt within its time."""
        end_ns = min(call.attempt_deadline_ns, call.deadline_ns)
        number = max(call.attempt_count, 1)
        if end_ns >= NEVER:
            return await fn(Attempt(number, NEVER, call))
        remaining_ns = end_ns - self._clock_ns()
        with TimeLimit(remaining_ns):
            return await fn(Attempt(number, remaining_ns, call))

    def _fail(self, call: Call, error: Exception, throw: Draw) -> int:
        """Tell the policies of an exception; how long to wait before the next attempt, or -1: no other."""
        is_failure = not isinstance(error, CallRejected) and self._is_failure(error)
        call.retry_after_ns = max(0, min(getattr(error, "retry_after_ns", 0), LONGEST_NS))
        call.is_marked |= int(getattr(error, MARK, False))
        wait_ns = self._exit(len(self._stages), call, FAILURE if is_failure else IGNORED, throw)
        if wait_ns < 0 and call.is_marked:
            setattr(error, MARK, True)
        return wait_ns

    def _exit(self, depth: int, call: Call, outcome: int, throw: Draw) -> int:
        """Tell the first `depth` policies, innermost first; the wait before another attempt, or -1."""
        retry_ns = -1
        for stage in reversed(self._stages[:depth]):
            answer, wait_ns = self._record(stage, call, outcome, throw)
            if answer == RETRY:
                retry_ns = wait_ns
        return retry_ns

    def _record(self, stage: Stage, call: Call, outcome: int, throw: Draw) -> tuple[int, int]:
        now_ns = self._clock_ns()
        dice = throw() if stage.record_throws else 0.0
        answer, wait_ns = stage.record(stage.config, stage.state, call, now_ns, outcome, dice)
        if answer == WAKE:
            _wake(stage.waiters.popleft())
        if self._on_decision is not None:
            self._on_decision(Decision(now_ns, stage.policy.NAME, "record", outcome, answer, wait_ns))
        return answer, wait_ns


def _arranged(configs: Iterable[Any]) -> Iterable[Stage]:
    """A stage per config, in the order of the table."""
    given = tuple(configs)
    by_type = {type(config): config for config in given}
    assert len(by_type) == len(given), "one Config for each policy"
    for policy in CALL_POLICIES:
        if policy.Config in by_type:
            dice = ("acquire" in policy.DICE, "record" in policy.DICE)
            yield Stage(policy, by_type.pop(policy.Config), policy.State(), policy.acquire, policy.record, *dice)
    assert not by_type, f"not the Config of a call policy: {by_type}"


def _wake(waiter: Waiter) -> None:
    """Hand a slot to a waiter. One cancelled in this instant gets it too, and passes it on when it runs."""
    waiter.is_granted = True
    if not waiter.woken.done():
        waiter.woken.set_result(None)


async def _sleep_ns(wait_ns: int) -> None:
    await asyncio.sleep(wait_ns / 1e9)
