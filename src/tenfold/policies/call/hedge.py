"""Hedge: when the answer is later than usual, ask once more, and take whichever comes first.

Theory. Most of a tail is bad luck (a queue, a pause of one server), and bad luck seldom strikes twice: a second
request after the 95 % quantile costs 5 % more calls and cuts the tail to about twice that quantile (Dean and Barroso,
"The Tail at Scale", CACM 2013). When everything is slow, extra calls only make it worse: a budget bounds them to a
share of the calls (Finagle's maxExtraLoad, failsafe-go). Only calls that may be repeated are.

The delay is an estimate of the quantile, one number per caller: a step up when the answer took longer than the
estimate, a smaller one down when it did not, in proportion such that it rests where the share is right (Robbins and
Monro 1951, on the logarithm of the latency). It asks only whether the answer came before or after: what the slow call
would have taken, had the extra one not won, need not be known, so hedging does not spoil its own estimate. It begins
with the longest of the first 20 answers.

Transitions

    acquire   always                               -> PROCEED   call paid into the budget
              may be repeated, budget holds one,                call.hedge_at_ns = now + delay
              a delay is known, before the deadline
    extra     asked at call.hedge_at_ns:
              extras left, budget holds one        -> PROCEED   budget - 1; another time in call.hedge_at_ns, or NEVER
              otherwise                            -> REJECT    call.hedge_at_ns = NEVER
    record    success, or later than the delay     -> DONE      estimate moves
              failed or cancelled before it        -> DONE      says nothing of the latency

For the shell: `acquire` and `record` are told of the attempt as a whole, however many calls it makes. The first to
succeed wins and the others are cancelled; one that fails while another is in flight is forgotten. All end by the
attempt's deadline.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenfold.fields import setting
from tenfold.policies.call import ring
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import DONE, LONGEST_NS, NEVER, PROCEED, REJECT, SUCCESS

NAME = "hedge"
REFUSAL = ""  # never refuses the attempt, only an extra call
DICE: tuple[str, ...] = ()

TOKEN = 1_000_000  # one extra call, in the millionths the budget counts in
GAIN = 0.2  # of a step, in the logarithm of the latency
FIRST_SAMPLES = 20  # answers before the estimate is used


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of hedging."""

    quantile_ratio: float = setting(
        0.95,
        "Share of answers that come before the extra call is made.",
        low=0.5,
        high=0.999,
        source="Dean and Barroso 2013: the 95th percentile",
    )
    delay_ns: int = setting(
        -1,
        "Time before the extra call. Not set: the quantile, as it is seen.",
        low=0,
        high=LONGEST_NS,
        source="the quantile follows the callee; a fixed time does not",
    )
    extras: int = setting(1, "Extra calls per attempt at most.", low=1, high=100, source="Dean and Barroso 2013: one")
    budget_ratio: float = setting(
        0.2,
        "Extra calls as a share of attempts, over `budget_window`.",
        low=0.0,
        high=10.0,
        source="failsafe-go budget: 20 %",
    )
    budget_window_ns: int = setting(
        10_000_000_000,
        "How long what was paid in can be spent.",
        low=10,
        high=LONGEST_NS,
        source="Finagle RetryBudget: 10 s",
    )


@dataclass(slots=True)
class State:
    """The estimate, and the budget: a ring (`ring.py`) of what was paid in less what was spent, in millionths."""

    estimate_ns: int = 0
    sample_count: int = 0  # answers seen, up to the first ones needed
    total: int = 0
    bucket_0: int = 0
    bucket_1: int = 0
    bucket_2: int = 0
    bucket_3: int = 0
    bucket_4: int = 0
    bucket_5: int = 0
    bucket_6: int = 0
    bucket_7: int = 0
    bucket_8: int = 0
    bucket_9: int = 0
    bucket_end_ns: int = 0


def delay(config: Config, state: State) -> int:
    """Time from the attempt's begin to its extra call, ns; -1: not known yet."""
    if config.delay_ns >= 0:
        return config.delay_ns
    return state.estimate_ns if state.sample_count >= FIRST_SAMPLES else -1


def schedule(config: Config, state: State, call: Call, now_ns: int) -> None:
    """Set the time of the next extra call, or NEVER."""
    call.hedge_at_ns = NEVER
    if call.hedge_delay_ns < 0 or call.hedge_count >= config.extras or state.total < TOKEN:
        return
    at_ns = now_ns + call.hedge_delay_ns
    if call.is_idempotent != 0 and at_ns < call.attempt_deadline_ns and at_ns < call.deadline_ns:
        call.hedge_at_ns = at_ns


def acquire(config: Config, state: State, call: Call, now_ns: int, draw: float) -> tuple[int, int]:
    """Pay into the budget, and say when an extra call would be due."""
    ring.advance(state, config.budget_window_ns, now_ns)
    ring.add(state, int(config.budget_ratio * TOKEN + 0.5))
    call.hedge_started_ns = now_ns
    call.hedge_count = 0
    call.hedge_delay_ns = delay(config, state)
    schedule(config, state, call, now_ns)
    return PROCEED, 0


def extra(config: Config, state: State, call: Call, now_ns: int, draw: float) -> tuple[int, int]:
    """Ask for an extra call: the attempt is still without an answer."""
    ring.advance(state, config.budget_window_ns, now_ns)
    if call.hedge_count >= config.extras or state.total < TOKEN:
        call.hedge_at_ns = NEVER
        return REJECT, 0
    ring.add(state, -TOKEN)
    call.hedge_count += 1
    schedule(config, state, call, now_ns)
    return PROCEED, 0


def learn(config: Config, state: State, is_late: bool) -> None:
    """Move the logarithm of the estimate: up when the answer was late, down when not, less."""
    step = GAIN * config.quantile_ratio if is_late else GAIN * (config.quantile_ratio - 1.0)
    moved_ns = float(state.estimate_ns) * math.exp(step)
    state.estimate_ns = max(1, min(int(moved_ns + 0.5), LONGEST_NS))


def record(config: Config, state: State, call: Call, now_ns: int, outcome: int, draw: float) -> tuple[int, int]:
    """Learn how long the first call took: before or after the delay."""
    call.hedge_at_ns = NEVER
    latency_ns = max(1, min(now_ns - call.hedge_started_ns, LONGEST_NS))
    if config.delay_ns >= 0:
        return DONE, 0
    if call.hedge_delay_ns >= 0:
        if outcome == SUCCESS or latency_ns > call.hedge_delay_ns:
            learn(config, state, latency_ns > call.hedge_delay_ns)
    elif outcome == SUCCESS and state.sample_count < FIRST_SAMPLES:
        state.estimate_ns = max(state.estimate_ns, latency_ns)
        state.sample_count += 1
    return DONE, 0


KERNELS: tuple[Callable[..., Any], ...] = (*ring.KERNELS, delay, schedule, acquire, extra, learn, record)
