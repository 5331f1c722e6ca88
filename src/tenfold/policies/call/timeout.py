"""Timeout: the time one attempt may take.

Theory. An attempt that is not answered in time is a failure to its caller, whatever becomes of the work (Nygard,
Release It!, ch. 5 "Timeouts"). Innermost of the call policies: time spent in a queue of ours is not the callee's.

Transitions

    acquire   now <  deadline   -> PROCEED, attempt deadline = min(now + limit, deadline)
              now >= deadline   -> REJECT   (the call's time ran out in a queue)
    record    any outcome       -> DONE

The policy says when; the shell ends the attempt then and records it as a failure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenfold.fields import setting
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import LONGEST_NS, NOTED, PASSED, REJECT

NAME = "timeout"
REFUSAL = "deadline"
DICE: tuple[str, ...] = ()
LEARNS = False  # record moves nothing: a shell need not tell it of a success


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a timeout."""

    limit_ns: int = setting(doc="Time for one attempt.", low=1, high=LONGEST_NS, main=True)


@dataclass(slots=True)
class State:
    """Nothing is shared between calls; the limit in force is `call.attempt_deadline_ns`."""

    expired_count: int = 0  # attempts refused because the call's time was up


def acquire(config: Config, state: State, call: Call, now_ns: int, draw: float) -> tuple[int, int]:
    """Set the attempt's deadline, never later than the call's."""
    if now_ns >= call.deadline_ns:
        state.expired_count += 1
        return REJECT, 0
    ends_ns = now_ns + config.limit_ns
    call.attempt_deadline_ns = ends_ns if ends_ns < call.deadline_ns else call.deadline_ns
    return PASSED


def record(config: Config, state: State, call: Call, now_ns: int, outcome: int, draw: float) -> tuple[int, int]:
    """Nothing to learn."""
    return NOTED


KERNELS: tuple[Callable[..., Any], ...] = (acquire, record)
