"""The part of a pipeline that decides nothing and waits for nothing: asks the policies, tells them, keeps the queue.

The shells for asyncio and for threads stand on it. A call goes through `Stages.walk`, a generator that says what to do
next and is sent the exception that came of it, or None. So the order of things is written once:

    None        make an attempt
    int         let so many ns pass
    Waiter      wait until it is woken, at most until the call's deadline
    (returns)   None: the last attempt's answer is the call's; otherwise the exception to raise

When every policy lets a call pass and its first attempt succeeds, a shell needs no walk: `entries` and `exits` are all
there is to ask and to tell. The protocol between stages and policies stands in `tenfold.policies.call`.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

from tenfold.errors import CallRejected
from tenfold.policies.call import CALL_POLICIES
from tenfold.policies.call.call import BUDGET
from tenfold.policies.call.counts import Counts
from tenfold.policies.verbs import FAILURE, IGNORED, LONGEST_NS, NEVER, PROCEED, QUEUE, RETRY, SUCCESS, WAIT, WAKE
from tenfold.runtime.attempt import Attempt

Draw: TypeAlias = Callable[[], float]
Walk: TypeAlias = "Generator[int | Waiter | None, BaseException | None, BaseException | None]"

MARK = "tenfold_do_not_retry"
"""Attribute of an error whose layer has given up on it: the layers above do not retry."""

MADE = -1
"""In place of a wait: the attempt has been made already, whatever the time is now."""


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

    stage: "Stage"
    woken: Any  # what the shell waits on: a future, an event
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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stages are told by their shell.

    clock_ns: monotonic time in ns. is_failure: whether an exception speaks against the dependency. on_decision: told of
    every answer of a policy. waiting, wake: make what a waiter waits on, and end that wait.
    """

    clock_ns: Callable[[], int]
    is_failure: Callable[[Exception], bool]
    on_decision: Callable[[Decision], None] | None
    waiting: Callable[[], Any]
    wake: Callable[[Any], None]


class Stages:
    """Policies around calls to one dependency, outermost first.

    Args:
        configs: one `Config` per policy, in any order; they are arranged as in `CALL_POLICIES`.
        around: what the shell lends.
    """

    def __init__(self, configs: Iterable[Any], around: Surroundings) -> None:
        self.all = tuple(_arranged(configs))
        self.counts = Counts()  # of `attempts` only those after the first; see `counted`
        self.unattempted = 0  # calls that wait for their first attempt, or ended before it
        self._around = around
        self._clock_ns = around.clock_ns
        self.entries = tuple((each.acquire, each.config, each.state, each.acquire_throws) for each in self.all)
        self.exits = tuple(
            (each.record, each.config, each.state)
            for each in reversed(self.all)
            if getattr(each.policy, "LEARNS", True)
        )

    def counted(self) -> Counts:
        """What the policies have done so far."""
        counts = Counts(*(getattr(self.counts, name) for name in Counts.__slots__))
        counts.attempts += counts.calls - self.unattempted
        counts.breaker_opened = sum(getattr(stage.state, "opened_count", 0) for stage in self.all)
        return counts

    def stuck_at(self, state: Any, answer: tuple[int, int]) -> tuple[int, int, Any]:
        """Where a walk begins when the policy with this state did not let the call pass: (depth, answer, wait)."""
        depth = next(depth for depth, stage in enumerate(self.all) if stage.state is state)
        wait = self._line_up(self.all[depth]) if answer[0] == QUEUE else answer[1]
        return depth, answer[0], wait

    def inside(self) -> tuple[int, int, Any]:
        """Where a walk begins when every policy has let the call pass, and the attempt has been made."""
        return len(self.all), PROCEED, MADE

    def walk(self, call: Attempt, throw: Draw, begin: tuple[int, int, Any] | None = None) -> Walk:
        """One call, from the outermost policy or from where it stands."""
        error: Exception | None = None
        depth, answer, wait = begin or self._enter(call, throw, 0)
        while True:
            if error is None:
                self.note("unattempted")
            refused = yield from self._get_in(call, throw, (depth, answer, wait))
            if refused is not None:
                if isinstance(refused, CallRejected):
                    refused.__cause__ = error
                return refused
            self.note("unattempted", -1) if error is None else self.note("attempts")
            ended = yield None
            if ended is None:
                self.exit(len(self.all), call, SUCCESS, throw)
                return None
            if not isinstance(ended, Exception):
                self.exit(len(self.all), call, IGNORED, throw)
                return ended
            error = ended
            wait_ns = self._fail(call, error, throw)
            if wait_ns < 0:
                return error
            self.note("retries")
            interrupted = yield wait_ns
            if interrupted is not None:
                return interrupted
            depth, answer, wait = self._enter(call, throw, 0)

    def _enter(self, call: Attempt, throw: Draw, depth: int) -> tuple[int, int, Any]:
        """Ask the policies from `depth` on: (policies passed, the last one's answer, its wait)."""
        for stage in self.all[depth:]:
            answer, wait = self.ask(stage, call, throw)
            if answer != PROCEED:
                return depth, answer, wait
            depth += 1
        return depth, PROCEED, 0

    def _get_in(
        self, call: Attempt, throw: Draw, stuck: tuple[int, int, Any]
    ) -> Generator[int | Waiter, BaseException | None, BaseException | None]:
        """Wait where a policy says so; None when all have let the call pass, otherwise what to raise."""
        depth, answer, wait = stuck
        while answer != PROCEED:
            policy = self.all[depth].policy
            ended: BaseException | None
            if answer == QUEUE:
                ended = self._queued(wait, call, (yield wait), throw)
                step = 1
            elif answer == WAIT and self._clock_ns() + wait < call.deadline_ns:
                ended = yield wait
                step = 0
            else:
                if getattr(policy, "COUNTER", ""):
                    self.note(policy.COUNTER)
                ended = CallRejected(policy.NAME, policy.REFUSAL, wait)
            if ended is not None:
                self.exit(depth, call, IGNORED, throw)
                return ended
            depth, answer, wait = self._enter(call, throw, depth + step)
        if wait != MADE and call.deadline_ns < NEVER and self._clock_ns() >= call.deadline_ns:
            self.exit(depth, call, IGNORED, throw)
            return CallRejected("deadline", "deadline", 0)
        return None

    def _queued(self, waiter: Waiter, call: Attempt, ended: BaseException | None, throw: Draw) -> BaseException | None:
        """The wait for a slot is over; whatever ended it, place and slot are accounted for."""
        if ended is None:
            return None
        self.give_up(waiter, call, throw)
        if isinstance(ended, TimeoutError):
            return CallRejected(waiter.stage.policy.NAME, "deadline", 0)
        return ended

    def note(self, name: str, by: int = 1) -> None:
        """Count something."""
        where = self if name == "unattempted" else self.counts
        setattr(where, name, getattr(where, name) + by)

    def ask(self, stage: Stage, call: Attempt, throw: Draw) -> tuple[int, Any]:
        """`acquire` of one policy; QUEUE comes with the waiter that was put in line."""
        now_ns = self._clock_ns()
        dice = throw() if stage.acquire_throws else 0.0
        answer, wait_ns = stage.acquire(stage.config, stage.state, call, now_ns, dice)
        waiter = self._line_up(stage) if answer == QUEUE else None
        if self._around.on_decision is not None:
            self._around.on_decision(Decision(now_ns, stage.policy.NAME, "acquire", -1, answer, wait_ns))
        return answer, waiter or wait_ns

    def _line_up(self, stage: Stage) -> Waiter:
        waiter = Waiter(stage, self._around.waiting())
        stage.waiters.append(waiter)
        return waiter

    def give_up(self, waiter: Waiter, call: Attempt, throw: Draw) -> None:
        """A waiter ends: one that was handed a slot gives it back, one still queued gives up its place."""
        stage = waiter.stage
        if waiter.is_granted:
            self.tell(stage, call, IGNORED, throw)
            return
        stage.waiters.remove(waiter)
        now_ns = self._clock_ns()
        answer, wait_ns = stage.policy.leave(stage.config, stage.state, call, now_ns)
        if self._around.on_decision is not None:
            self._around.on_decision(Decision(now_ns, stage.policy.NAME, "leave", -1, answer, wait_ns))

    def _fail(self, call: Attempt, error: Exception, throw: Draw) -> int:
        """Tell the policies of an exception; how long to wait before the next attempt, or -1: no other."""
        is_failure = not isinstance(error, CallRejected) and self._around.is_failure(error)
        call.retry_after_ns = max(0, min(getattr(error, "retry_after_ns", 0), LONGEST_NS))
        call.is_marked |= int(getattr(error, MARK, False))
        if isinstance(error, TimeoutError) and self._clock_ns() >= call.attempt_deadline_ns:
            self.note("timeouts")
        wait_ns = self.exit(len(self.all), call, FAILURE if is_failure else IGNORED, throw)
        if wait_ns < 0:
            if call.stop_reason == BUDGET:
                self.note("budget_exhausted")
            if call.is_marked:
                setattr(error, MARK, True)
        return wait_ns

    def exit(self, depth: int, call: Attempt, outcome: int, throw: Draw) -> int:
        """Tell the first `depth` policies, innermost first; the wait before another attempt, or -1."""
        retry_ns = -1
        for stage in reversed(self.all[:depth]):
            answer, wait_ns = self.tell(stage, call, outcome, throw)
            if answer == RETRY:
                retry_ns = wait_ns
        return retry_ns

    def tell(self, stage: Stage, call: Attempt, outcome: int, throw: Draw) -> tuple[int, int]:
        """`record` of one policy; a slot that was handed on wakes its waiter."""
        now_ns = self._clock_ns()
        dice = throw() if stage.record_throws and outcome == FAILURE else 0.0
        answer, wait_ns = stage.record(stage.config, stage.state, call, now_ns, outcome, dice)
        if answer == WAKE:
            self.wake(stage)
        if self._around.on_decision is not None:
            self._around.on_decision(Decision(now_ns, stage.policy.NAME, "record", outcome, answer, wait_ns))
        return answer, wait_ns

    def wake(self, stage: Stage) -> None:
        """Hand a slot to the first waiter. One cancelled in this instant gets it too, and passes it on when it runs."""
        waiter = stage.waiters.popleft()
        waiter.is_granted = True
        self._around.wake(waiter.woken)

    def woken_by(self, state: Any) -> None:
        """The policy with this state has handed a slot on."""
        self.wake(next(stage for stage in self.all if stage.state is state))


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
