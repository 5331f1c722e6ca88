"""Rate limit: at most so many calls per second, and so many at once after a pause.

Theory. The generic cell rate algorithm (ITU-T I.371, ATM Forum TM 4.0): one number, the theoretical arrival time TAT
of the next call if calls came evenly spaced, T = 1/rate apart. A call may be early by (burst - 1) T; it moves TAT to
max(now, TAT) + T. In any window of length W at most burst + rate x W calls pass, whatever the callers do (a counter
per fixed window lets through twice its limit around a boundary). T is kept in 2^-20 ns, rounded up: never faster.

A call that is too early is refused with the time until it may come, or, when that is at most `wait_ns`, it is given
that very place: the place is its own from then on, so it waits once, in the order of asking, and nobody overtakes it.
A wait that would end at or after the call's deadline is refused at once. An admitted call has used its place up,
whatever becomes of it: whether the callee has seen it nobody knows.

Transitions

    acquire   in time                                        -> PROCEED   TAT + T
              too early, by at most wait_ns, deadline later  -> WAIT      TAT + T; the place is kept in call.turn_ns
              too early otherwise                            -> REJECT    with the time until it may come
              holds a place, before its turn                 -> WAIT      the rest of it
              holds a place, from its turn on                -> PROCEED
    record    any outcome                                    -> DONE
    leave     a waiter gives up; it was the last to ask      -> DONE      TAT - T
              ... and others hold later places               -> DONE      the place is lost: theirs do not move
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenfold.fields import setting
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import DONE, LONGEST_NS, NEVER, PROCEED, REJECT, WAIT

NAME = "rate_limit"
REFUSAL = "rate_limited"
COUNTER = "rejected_by_rate_limit"
DICE: tuple[str, ...] = ()

PART = 1 << 20  # parts of a nanosecond: at 10^9 calls/s T is exact to a millionth
LOWEST_PER_S = 1e-6
LONGEST_BURST_NS = 1 << 60  # 36 years: now and two of them still fit into an int64


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a rate limit."""

    rate_per_s: float = setting(
        doc="Calls per second, per instance of the caller.", low=LOWEST_PER_S, high=1e9, main=True
    )
    burst: int = setting(
        1,
        "Calls that may come at once after a pause.",
        low=1,
        high=10**9,
        source="nginx limit_req: no burst beyond the rate",
    )
    wait_ns: int = setting(
        0,
        "Longest wait for one's turn; 0: refuse at once.",
        low=0,
        high=LONGEST_NS,
        source="0: who refuses holds nobody's worker",
    )


@dataclass(slots=True)
class State:
    """The theoretical arrival time of the next call, in ns and parts of a ns."""

    tat_ns: int = 0
    tat_part: int = 0


def spacing(config: Config) -> tuple[int, int]:
    """T in ns and parts, rounded up."""
    exact_ns = 1e9 / max(config.rate_per_s, LOWEST_PER_S)
    whole_ns = int(exact_ns)
    parts = (exact_ns - float(whole_ns)) * PART
    part = int(parts)
    if float(part) < parts:
        part += 1
    return whole_ns + part // PART, part % PART


def early(config: Config, whole_ns: int, part: int) -> tuple[int, int]:
    """How early a call may be: (burst - 1) T, in ns and parts."""
    spare = max(config.burst, 1) - 1
    if float(spare) * (float(whole_ns) + 1.0) >= LONGEST_BURST_NS:
        return LONGEST_BURST_NS, 0
    parts = spare * part
    return spare * whole_ns + parts // PART, parts % PART


def until(config: Config, state: State, whole_ns: int, part: int, now_ns: int) -> int:
    """Whole ns until a call may come; 0 or less: now."""
    if state.tat_ns < now_ns:
        return 0
    early_ns, early_part = early(config, whole_ns, part)
    wait_ns = state.tat_ns - early_ns - now_ns
    return wait_ns + 1 if state.tat_part > early_part else wait_ns


def take(state: State, whole_ns: int, part: int, now_ns: int) -> None:
    """Use up one place: TAT moves by T."""
    if state.tat_ns < now_ns:
        state.tat_ns = now_ns
        state.tat_part = 0
    parts = state.tat_part + part
    state.tat_ns += whole_ns + parts // PART
    state.tat_part = parts % PART


def acquire(config: Config, state: State, call: Call, now_ns: int, draw: float) -> tuple[int, int]:
    """Pass, be given a place to wait for, or be refused with the time to come back."""
    if call.turn_ns < NEVER:
        if now_ns < call.turn_ns:
            return WAIT, call.turn_ns - now_ns
        call.turn_ns = NEVER
        return PROCEED, 0
    whole_ns, part = spacing(config)
    wait_ns = until(config, state, whole_ns, part, now_ns)
    if wait_ns <= 0:
        take(state, whole_ns, part, now_ns)
        return PROCEED, 0
    if wait_ns > config.wait_ns or now_ns + wait_ns >= call.deadline_ns:
        return REJECT, wait_ns
    take(state, whole_ns, part, now_ns)
    call.turn_ns = now_ns + wait_ns
    return WAIT, wait_ns


def record(config: Config, state: State, call: Call, now_ns: int, outcome: int, draw: float) -> tuple[int, int]:
    """Nothing to learn, and nothing to give back."""
    return DONE, 0


def leave(config: Config, state: State, call: Call, now_ns: int) -> tuple[int, int]:
    """A waiter gives up; its place is free again when nobody has asked after it."""
    whole_ns, part = spacing(config)
    early_ns, early_part = early(config, whole_ns, part)
    parts = state.tat_part - part
    last_ns, last_part = state.tat_ns - whole_ns + parts // PART, parts % PART
    turn_ns = last_ns - early_ns + (1 if last_part > early_part else 0)
    if call.turn_ns == turn_ns and now_ns <= turn_ns:
        state.tat_ns, state.tat_part = last_ns, last_part
    call.turn_ns = NEVER
    return DONE, 0


KERNELS: tuple[Callable[..., Any], ...] = (spacing, early, until, take, acquire, record, leave)
