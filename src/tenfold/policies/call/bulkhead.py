"""Bulkhead: at most so many calls in flight towards one dependency, and at most so many waiting for a slot.

Theory. A slow dependency fills every worker of its caller (Little's law: in flight = rate x latency). A bound per
dependency keeps the others afloat (Nygard, Release It!, ch. 5 "Bulkheads"). First come, first served: a freed slot is
handed to the first waiter, never thrown into the crowd, so no newcomer overtakes and no slot is counted twice.

Transitions

    acquire   in flight < limit                   -> PROCEED   in flight + 1
              in flight = limit, queue has room   -> QUEUE     queue + 1
              otherwise                           -> REJECT
    record    somebody waits                      -> WAKE      queue - 1, in flight as it was: the slot changes hands
              nobody waits                        -> DONE      in flight - 1
    leave     a waiter gives up                   -> DONE      queue - 1

The shell keeps the waiters in order. One that was handed a slot holds it: it ends by `record`, even when it gives up
before it ever called; one still waiting ends by `leave`. Never both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenfold.fields import setting
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import NOTED, PASSED, QUEUE, REJECT, WAKE

NAME = "bulkhead"
REFUSAL = "bulkhead_full"
COUNTER = "rejected_by_bulkhead"
DICE: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a bulkhead."""

    in_flight: int = setting(doc="Calls in flight at once, per instance of the caller.", low=1, high=10**9, main=True)
    queue: int = setting(
        0,
        "Calls that may wait for a slot; more are refused.",
        low=0,
        high=10**9,
        source="0: refuse at once, as resilience4j's maxWaitDuration",
    )


@dataclass(slots=True)
class State:
    """Slots taken and waiters, of all calls of one caller."""

    in_flight_count: int = 0
    queue_count: int = 0


def acquire(config: Config, state: State, call: Call, now_ns: int, draw: float) -> tuple[int, int]:
    """Take a slot, or a place in the queue."""
    if state.in_flight_count < config.in_flight:
        state.in_flight_count += 1
        return PASSED
    if state.queue_count < config.queue:
        state.queue_count += 1
        return QUEUE, 0
    return REJECT, 0


def record(config: Config, state: State, call: Call, now_ns: int, outcome: int, draw: float) -> tuple[int, int]:
    """Give the slot to the first waiter, or back."""
    if state.queue_count > 0:
        state.queue_count -= 1
        return WAKE, 0
    state.in_flight_count -= 1
    return NOTED


def leave(config: Config, state: State, call: Call, now_ns: int) -> tuple[int, int]:
    """A waiter that has no slot yet gives up its place."""
    state.queue_count -= 1
    return NOTED


KERNELS: tuple[Callable[..., Any], ...] = (acquire, record, leave)
