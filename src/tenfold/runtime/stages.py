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

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

from tenfold.errors import CallRejected, TenfoldError
from tenfold.policies.call import CALL_POLICIES
from tenfold.policies.call.call import BUDGET
from tenfold.policies.call.counts import Counts
from tenfold.policies.verbs import FAILURE, IGNORED, LONGEST_NS, NEVER, PROCEED, QUEUE, RETRY, SUCCESS, WAIT, WAKE
from tenfold.runtime.attempt import Attempt

Draw: TypeAlias = Callable[[], float]
Walk: TypeAlias = "Generator[int | Waiter | None, BaseException | None, BaseException | None]"

MARK = "tenfold_do_not_retry"
"""Attribute of an error whose layer has given up on it: the layers above do not retry."""


NOBODY: "deque[Any]" = deque(maxlen=0)
"""Who waits for a policy that has no queue: an empty line is larger than a breaker."""


class Decision(NamedTuple):
    """One answer of one policy, as `on_decision` sees it, after the transition."""

    now_ns: int
    policy: str
    verb: str  # acquire, record, leave, extra
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
    waiters: "deque[Waiter]"
    refused_count: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stages are told by their shell.

    clock_ns: monotonic time in ns. is_failure: whether an exception speaks against the dependency. on_decision: told of
    every answer of a policy. waiting, wake: make what a waiter waits on, and end that wait. complain: told what
    `on_decision` raised: it must not reach the call, which would lose its slots.
    """

    clock_ns: Callable[[], int]
    is_failure: Callable[[Exception], bool]
    on_decision: Callable[[Decision], None] | None
    waiting: Callable[[], Any]
    wake: Callable[[Any], None]
    complain: Callable[[Exception], None]


Exit: TypeAlias = tuple[Stage, Callable[..., tuple[int, int]], Any, Any]
"""A policy to be told: stage, `record`, Config, State."""


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
        self.entries = tuple(
            (depth, each.acquire, each.config, each.state, each.acquire_throws) for depth, each in enumerate(self.all)
        )
        self.exits = tuple(_heeding(reversed(self.all)))
        self.hedge = next((each for each in self.all if hasattr(each.policy, "extra")), None)
        self._refusals = tuple(
            (each, each.policy.NAME, each.policy.REFUSAL, _heeding(reversed(self.all[:depth])))
            for depth, each in enumerate(self.all)
        )

    def counted(self) -> Counts:
        """What the policies have done so far."""
        counts = Counts(*(getattr(self.counts, name) for name in Counts.__slots__))
        counts.attempts += counts.calls - self.unattempted
        for stage in self.all:
            if counter := getattr(stage.policy, "COUNTER", ""):
                setattr(counts, counter, stage.refused_count)
        counts.breaker_opened = sum(getattr(stage.state, "opened_count", 0) for stage in self.all)
        return counts

    def stuck_at(self, depth: int, answer: tuple[int, int]) -> tuple[int, int, Any]:
        """Where a walk begins when the policy at `depth` did not let the call pass: (depth, answer, wait)."""
        wait = self._line_up(self.all[depth]) if answer[0] == QUEUE else answer[1]
        return depth, answer[0], wait

    def refused(self, depth: int, call: Attempt, now_ns: int, wait_ns: int) -> CallRejected:
        """What a call without a walk ends with when the policy at `depth` refuses its first attempt."""
        self.unattempted += 1
        stage, name, reason, further_out = self._refusals[depth]
        stage.refused_count += 1
        for outer, record, config, state in further_out:
            if record(config, state, call, now_ns, IGNORED, 0.0)[0] == WAKE:
                self.wake(outer)
        return CallRejected(name, reason, wait_ns)

    def walk(self, call: Attempt, throw: Draw, begin: tuple[int, int, Any] | None = None) -> Walk:
        """One call, from the outermost policy or from where it is stuck."""
        self.note("unattempted")
        refused = yield from self._get_in(call, throw, begin or self._enter(call, throw, 0))
        if refused is not None:
            return refused
        self.note("unattempted", -1)
        return (yield from self.attempts(call, throw))

    def attempts(self, call: Attempt, throw: Draw) -> Walk:
        """The rest of a call once every policy has let it pass: its first attempt is made now, or has been made."""
        while True:
            ended = yield None
            if ended is None:
                self.exit(len(self.all), call, SUCCESS, throw)
                return None
            if not isinstance(ended, Exception):
                self.exit(len(self.all), call, IGNORED, throw)
                return ended
            wait_ns = self._fail(call, ended, throw)
            if wait_ns < 0:
                return ended
            self.note("retries")
            interrupted = yield wait_ns
            if interrupted is not None:
                return interrupted
            refused = yield from self._get_in(call, throw, self._enter(call, throw, 0))
            if refused is not None:
                if isinstance(refused, CallRejected):
                    refused.__cause__ = ended
                return refused
            self.note("attempts")

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
            ended: BaseException | None
            if answer == QUEUE:
                ended = self._queued(wait, call, (yield wait), throw)
                step = 1
            elif answer == WAIT and self._clock_ns() + wait < call.deadline_ns:
                ended = yield wait
                step = 0
                if ended is not None and hasattr(self.all[depth].policy, "leave"):
                    self.leave(self.all[depth], call)
            else:
                stage = self.all[depth]
                stage.refused_count += 1
                ended = CallRejected(stage.policy.NAME, stage.policy.REFUSAL, wait)
            if ended is not None:
                self.exit(depth, call, IGNORED, throw)
                return ended
            depth, answer, wait = self._enter(call, throw, depth + step)
        if call.deadline_ns < NEVER and self._clock_ns() >= call.deadline_ns:
            self.exit(depth, call, IGNORED, throw)
            return CallRejected("deadline", "deadline", 0)
        return None

    def _queued(self, waiter: Waiter, call: Attempt, ended: BaseException | None, throw: Draw) -> BaseException | None:
        """The wait for a slot is over; whatever ended it, place and slot are accounted for."""
        if ended is None:
            return None
        self.give_up(waiter, call, throw)
        if call.is_late:
            call.is_late = False
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
            self.report(Decision(now_ns, stage.policy.NAME, "acquire", -1, answer, wait_ns))
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
        self.leave(stage, call)

    def leave(self, stage: Stage, call: Attempt) -> None:
        """A call that has a place in a policy's line, and no slot yet, gives it up."""
        now_ns = self._clock_ns()
        answer, wait_ns = stage.policy.leave(stage.config, stage.state, call, now_ns)
        if self._around.on_decision is not None:
            self.report(Decision(now_ns, stage.policy.NAME, "leave", -1, answer, wait_ns))

    def extra(self, call: Attempt) -> bool:
        """Whether an attempt that is without an answer makes its call once more."""
        stage = self.hedge
        assert stage is not None, "no other policy sets hedge_at_ns"
        now_ns = self._clock_ns()
        answer, wait_ns = stage.policy.extra(stage.config, stage.state, call, now_ns, 0.0)
        if self._around.on_decision is not None:
            self.report(Decision(now_ns, stage.policy.NAME, "extra", -1, answer, wait_ns))
        self.note("hedges", int(answer == PROCEED))
        return bool(answer == PROCEED)

    def _fail(self, call: Attempt, error: Exception, throw: Draw) -> int:
        """Tell the policies of an exception; how long to wait before the next attempt, or -1: no other."""
        if call.is_late:
            call.is_late = False
            if call.attempt_deadline_ns < call.deadline_ns:
                self.note("timeouts")
        try:
            is_failure = not isinstance(error, TenfoldError) and self._around.is_failure(error)
            call.retry_after_ns = _hint_ns(error)
            call.is_marked |= int(bool(getattr(error, MARK, False)))
        except BaseException:  # the user's own code has failed: that says nothing, but the slots go back
            self.exit(len(self.all), call, IGNORED, throw)
            raise
        wait_ns = self.exit(len(self.all), call, FAILURE if is_failure else IGNORED, throw)
        if wait_ns < 0:
            if call.stop_reason == BUDGET:
                self.note("budget_exhausted")
            if call.is_marked:
                _mark(error)
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
            self.report(Decision(now_ns, stage.policy.NAME, "record", outcome, answer, wait_ns))
        return answer, wait_ns

    def wake(self, stage: Stage) -> None:
        """Hand a slot to the first waiter. One cancelled in this instant gets it too, and passes it on when it runs."""
        waiter = stage.waiters.popleft()
        waiter.is_granted = True
        self._around.wake(waiter.woken)

    def report(self, decision: Decision) -> None:
        """Tell the listener of a decision. A listener that fails does not fail the call."""
        assert self._around.on_decision is not None
        try:
            self._around.on_decision(decision)
        except Exception as error:
            self._around.complain(error)


def _hint_ns(error: Exception) -> int:
    """When the callee wants to be asked again, in ns from now, as the error says: `retry_after_ns`; 0: it does not."""
    hint = getattr(error, "retry_after_ns", 0)
    return int(max(0, min(hint, LONGEST_NS))) if isinstance(hint, int | float) and hint == hint else 0


def _mark(error: Exception) -> None:
    """Let the error say that its layer has given up. One that cannot be written to stays as it is."""
    with contextlib.suppress(AttributeError, TypeError):
        setattr(error, MARK, True)


def _heeding(stages: Iterable[Stage]) -> list[Exit]:
    """Those that are told how a first attempt has ended when it did not fail."""
    return [
        (stage, stage.record, stage.config, stage.state)
        for stage in stages
        if getattr(stage.policy, "LEARNS", True) and getattr(stage.policy, "HEEDS_ALL", True)
    ]


def _arranged(configs: Iterable[Any]) -> Iterable[Stage]:
    """A stage per config, in the order of the table."""
    given = tuple(configs)
    by_type = {type(config): config for config in given}
    assert len(by_type) == len(given), "one Config for each policy"
    for policy in CALL_POLICIES:
        if policy.Config in by_type:
            dice = ("acquire" in policy.DICE, "record" in policy.DICE)
            config, kernels = by_type.pop(policy.Config), (policy.acquire, policy.record)
            yield Stage(
                policy, config, policy.State(), *kernels, *dice, deque() if hasattr(policy, "leave") else NOBODY
            )
    assert not by_type, f"not the Config of a call policy: {by_type}"
