"""Deadline: the time by which the whole call, retries included, must be over.

Theory. A deadline is a point in time, not a duration: whoever hands a call on hands on what is left of it, and the
shortest one on the way wins (gRPC deadlines; Google SRE book, ch. 22 "Deadline propagation"). An attempt that would
start when nobody waits for the answer any more only costs the callee work.

Transitions

    acquire   deadline = min(deadline, now + total)      (later acquires of the call cannot extend it)
              now <  deadline   -> PROCEED
              now >= deadline   -> REJECT
    record    any outcome       -> DONE

The shell ends an attempt at `min(call.attempt_deadline_ns, call.deadline_ns)`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenfold.fields import setting
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import LONGEST_NS, NOTED, PASSED, REJECT

NAME = "deadline"
REFUSAL = "deadline"
DICE: tuple[str, ...] = ()
LEARNS = False  # record moves nothing: a shell need not tell it of a success


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a deadline."""

    total_ns: int = setting(
        doc="Time for the whole call: attempts, pauses and queueing together.", low=1, high=LONGEST_NS, main=True
    )


@dataclass(slots=True)
class State:
    """Nothing is shared between calls; the deadline itself is `call.deadline_ns`."""

    expired_count: int = 0  # calls refused because their time was up


def acquire(config: Config, state: State, call: Call, now_ns: int, draw: float) -> tuple[int, int]:
    """Set the call's deadline; refuse an attempt that would start at or after it."""
    ends_ns = now_ns + config.total_ns
    if ends_ns < call.deadline_ns:
        call.deadline_ns = ends_ns
    if now_ns >= call.deadline_ns:
        state.expired_count += 1
        return REJECT, 0
    return PASSED


def record(config: Config, state: State, call: Call, now_ns: int, outcome: int, draw: float) -> tuple[int, int]:
    """Nothing to learn."""
    return NOTED


KERNELS: tuple[Callable[..., Any], ...] = (acquire, record)
