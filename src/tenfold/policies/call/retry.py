"""Retry: attempt again what failed, later and later, and not more than the callee can bear.

Theory
- Pauses double up to a cap. The jitter comes after the cap: jitter under a cap vanishes at the cap, and every client
  of an outage comes back in the same instant (gRPC A6 rule). Three kinds: proportional (pause x (1 +- jitter)), full
  (0 to pause) and decorrelated (base to three times the previous); the last two after M. Brooker, "Exponential
  Backoff And Jitter", 2015, the decorrelated one capped before the dice, too.
- Retries multiply load when the callee can bear it least: n attempts over k layers give n^k. A budget bounds them:
  every request deposits a share of a retry, every retry withdraws one, deposits and withdrawals older than the window
  are forgotten (Finagle RetryBudget). A retry is paid for before its pause, so that the original error is at hand.
- Budgets of several layers still compound; a mark tells the layers above that this one has given up already (Google
  SRE book, ch. 22).
- The pause is at least what the callee asks for (Retry-After), spread over another 20 %.
- A pause that ends at or after the deadline is not begun.

Transitions

    acquire   attempt + 1; the first attempt deposits into the budget      -> PROCEED
    record    success, ignored                                             -> DONE
              failure, and the first of these that holds gives the reason:
                call is marked, call is not idempotent, attempts used up,
                next attempt at or after the deadline, budget empty        -> DONE   (marked, when config.mark)
              failure otherwise                                            -> RETRY after the pause; budget - 1
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenfold.fields import setting
from tenfold.policies.call import ring
from tenfold.policies.call.call import ATTEMPTS, BUDGET, DEADLINE, GOES_ON, MARKED, UNSAFE, Call
from tenfold.policies.verbs import FAILURE, LONGEST_NS, NOTED, PASSED, RETRY

NAME = "retry"
REFUSAL = ""  # never refuses
DICE = ("record",)
HEEDS_ALL = False  # nothing moves at a first attempt that does not fail: a shell need not tell it of one

PROPORTIONAL, FULL, DECORRELATED = 0, 1, 2
TOKEN = 1_000_000  # one retry, in the millionths the budget counts in
RETRY_AFTER_JITTER = 0.2  # clients told the same time do not all come at it
HOUR_NS = 3_600_000_000_000  # 2^42: doubled 20 times it still fits into 63 bits
DAY_NS = 24 * HOUR_NS


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of retrying."""

    attempts: int = setting(
        3, "Attempts in all, the first included.", low=1, high=200, source="AWS SDK standard mode: 3"
    )
    backoff_ns: int = setting(
        100_000_000,
        "Pause before the second attempt; doubles for every further one.",
        low=0,
        high=HOUR_NS,
        source="gRPC A6 example: initialBackoff 0.1 s",
    )
    backoff_max_ns: int = setting(
        20_000_000_000, "The longest pause, before jitter.", low=0, high=DAY_NS, source="AWS SDK standard mode: 20 s"
    )
    jitter_ratio: float = setting(
        0.2, "How far a pause strays either way (proportional).", low=0.0, high=1.0, source="gRPC A6: 0.8 to 1.2"
    )
    jitter_mode: int = setting(
        PROPORTIONAL,
        "How pauses are spread.",
        choices=("proportional", "full", "decorrelated"),
        source="gRPC A6",
    )
    budget_ratio: float = setting(
        -1.0,
        "Retries as a share of requests, over `budget_window`. Not set: no budget.",
        low=0.0,
        high=10.0,
        source="none, as in most clients; Finagle ships 20 %",
    )
    budget_reserve_per_s: float = setting(
        0.0,
        "Retries per second the budget allows whatever the traffic.",
        low=0.0,
        high=10_000.0,
        source="0: strictly the ratio; Finagle ships 10 per s, which at 1 request per s is no budget",
    )
    budget_window_ns: int = setting(
        10_000_000_000, "How long a deposit can be spent.", low=10, high=DAY_NS, source="Finagle RetryBudget: 10 s"
    )
    mark: bool = setting(
        False,
        "Tell the caller above that this layer has given up, so that it does not retry either.",
        source="off: nothing on the wire says so unless you build it",
    )


@dataclass(slots=True)
class State:
    """The budget: a ring (`ring.py`) of deposits minus withdrawals, in millionths of a retry."""

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


def pause(config: Config, call: Call, draw: float) -> int:
    """The computed back-off before the next attempt, in ns; remembers it for the one after."""
    base_ns = min(config.backoff_ns, config.backoff_max_ns)
    # The shift is capped: Python's ints grow, int64 wraps, and the two worlds must agree.
    ceiling_ns = min(config.backoff_ns << min(max(call.attempt_count - 1, 0), 20), config.backoff_max_ns)
    if config.jitter_mode == DECORRELATED:
        ceiling_ns = min(max(call.backoff_ns, base_ns) * 3, config.backoff_max_ns)
        wait_ns = base_ns + int((ceiling_ns - base_ns) * draw)
    elif config.jitter_mode == FULL:
        wait_ns = int(ceiling_ns * draw)
    else:
        wait_ns = int(ceiling_ns * (1.0 + config.jitter_ratio * (2.0 * draw - 1.0)))
    call.backoff_ns = wait_ns
    return wait_ns


def hinted(call: Call, draw: float) -> int:
    """The pause the last failure asked for, spread over another 20 %; 0 when it asked for none."""
    hint_ns = min(call.retry_after_ns, LONGEST_NS)
    return hint_ns + int(hint_ns * (RETRY_AFTER_JITTER * draw))


def has_budget(config: Config, state: State, now_ns: int) -> bool:
    """Whether the budget holds one more retry."""
    if config.budget_ratio < 0.0:
        return True
    ring.advance(state, config.budget_window_ns, now_ns)
    reserve = int(config.budget_reserve_per_s * (config.budget_window_ns * 0.001))
    return state.total + reserve >= TOKEN


def stop_reason(config: Config, state: State, call: Call, now_ns: int, wait_ns: int) -> int:
    """Why a failed call is not attempted again, or GOES_ON."""
    if call.is_marked != 0:
        return MARKED
    if call.is_idempotent == 0:
        return UNSAFE
    if call.attempt_count >= config.attempts:
        return ATTEMPTS
    if now_ns + wait_ns >= call.deadline_ns:
        return DEADLINE
    if not has_budget(config, state, now_ns):
        return BUDGET
    return GOES_ON


def acquire(config: Config, state: State, call: Call, now_ns: int, draw: float) -> tuple[int, int]:
    """Count the attempt; a request, not an attempt, pays into the budget."""
    attempt_count = call.attempt_count
    if attempt_count == 0 and config.budget_ratio >= 0.0:
        ring.advance(state, config.budget_window_ns, now_ns)
        ring.add(state, int(config.budget_ratio * TOKEN + 0.5))
    call.attempt_count = attempt_count + 1
    call.attempt_started_ns = now_ns
    return PASSED


def record(config: Config, state: State, call: Call, now_ns: int, outcome: int, draw: float) -> tuple[int, int]:
    """Decide whether and when to attempt again; `call.stop_reason` says why not."""
    call.stop_reason = GOES_ON
    if outcome != FAILURE:
        return NOTED
    wait_ns = max(pause(config, call, draw), hinted(call, draw))
    call.stop_reason = stop_reason(config, state, call, now_ns, wait_ns)
    if call.stop_reason == GOES_ON:
        if config.budget_ratio >= 0.0:
            ring.add(state, -TOKEN)
        return RETRY, wait_ns
    if config.mark and config.attempts > 1:
        call.is_marked = 1
    return NOTED


KERNELS: tuple[Callable[..., Any], ...] = (
    *ring.KERNELS,
    pause,
    hinted,
    has_budget,
    stop_reason,
    acquire,
    record,
)
