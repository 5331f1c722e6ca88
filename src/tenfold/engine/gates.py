"""Policies that may refuse an attempt, as a table: a chain of compiled functions is built from it.

Numba wants names of arrays and columns while it compiles, so a chain is made of closures: each knows the names of one
policy and the function of its neighbour. A policy an arrow does not have costs one comparison.
"""

import functools
from types import ModuleType
from typing import Any

import numpy as np
from numba import njit

from tenfold.engine.dice import draw
from tenfold.engine.state import (
    BULKHEAD_FULL,
    CIRCUIT_OPEN,
    LIMITED,
    NONE,
    PERMIT,
    RATE_LIMITED,
    THROTTLED,
    TURN,
)
from tenfold.engine.tasks import append, make_ready, sleep, unlink
from tenfold.policies.call import adaptive_limit, bulkhead, circuit_breaker, rate_limit, throttle
from tenfold.policies.verbs import IGNORED, PROCEED, QUEUE, REJECT, WAKE

Compiled = Any

GATES: tuple[tuple[ModuleType, int], ...] = (
    (throttle, THROTTLED),
    (circuit_breaker, CIRCUIT_OPEN),
    (rate_limit, RATE_LIMITED),
    (adaptive_limit, LIMITED),
    (bulkhead, BULKHEAD_FULL),
)
"""Policy and the cause of failure of its refusals: outermost first, as they stand in CALL_POLICIES."""

DEPTHS = {policy.NAME: np.int64(depth) for depth, (policy, _) in enumerate(GATES)}
"""How many gates stand outside of a policy."""

EVERY_GATE = np.int64(len(GATES))


@njit(forceinline=True)
def _no_slots(arrow):
    return -1


def _joined(policy: ModuleType, others: Compiled) -> Compiled:
    """A function that is -1 when an arrow has neither this policy nor the others."""
    name = policy.NAME

    @njit(forceinline=True)
    def slots(arrow):
        return arrow[name] & others(arrow)

    return slots


slots_of = functools.reduce(lambda others, gate: _joined(gate[0], others), GATES, _no_slots)
"""-1 when an arrow has no gate at all: most have none, and need not walk the chains."""


@njit(forceinline=True)
def _throw(w, arrow):
    return draw(w.dice, arrow.stream)


@njit(forceinline=True)
def _no_dice(w, arrow):
    return 0.0


def _dice(policy: ModuleType, verb: str) -> Compiled:
    """Dice are thrown for verbs that look at them, and for no others: both worlds must use up the same numbers."""
    return _throw if verb in policy.DICE else _no_dice


@njit
def _hand_over(w, s):
    """A slot has been handed to the first waiter: it goes on."""
    line = w.queues[s]
    waiter = line.head
    unlink(w, line, waiter)
    make_ready(w, waiter, 3)


@njit
def _hold(w, t, s, answer, wait_ns):
    """The attempt waits: in the policy's queue, or for its turn."""
    if answer == QUEUE:
        append(w, w.queues[s], t)
        w.tasks[t].wait = PERMIT
        w.tasks[t].where = s
    else:
        sleep(w, t, w.clock[0].now_ns + wait_ns, TURN)
    return NONE


@njit
def _nobody(w, t, op, s, outcome, depth):
    """The end of the chain of tellers."""


def _teller(policy: ModuleType, outer: Compiled) -> Compiled:
    """A function that tells this policy an attempt's outcome, when it was asked, then those further out."""
    name, configs, states = policy.NAME, f"{policy.NAME}_config", f"{policy.NAME}_state"
    record, dice, own_depth = policy.record, _dice(policy, "record"), DEPTHS[policy.NAME]

    @njit
    def tell(w, t, op, s, outcome, depth):
        arrow = w.arrows[op.target]
        number = arrow[name]
        if number >= 0 and own_depth < depth:
            config, state = getattr(w, configs)[number], getattr(w, states)[s]
            answer, _ = record(config, state, w.calls[t], w.clock[0].now_ns, outcome, dice(w, arrow))
            if answer == WAKE:
                _hand_over(w, s)
        outer(w, t, op, s, outcome, depth)

    return tell


def _tellers() -> Compiled:
    """Tells the first `depth` gates an attempt's outcome, innermost first."""
    chain = _nobody
    for policy, _ in GATES:
        chain = _teller(policy, chain)
    return chain


tell = _tellers()


def _entry(gate: tuple[ModuleType, int], inner: Compiled, over: Compiled) -> Compiled:
    """A function that asks this policy to let the attempt pass, then those further in."""
    policy, counter = gate[0], gate[0].COUNTER
    ignored, cause = np.int64(IGNORED), np.int64(gate[1])  # literals would be compiled one by one
    name, configs, states = policy.NAME, f"{policy.NAME}_config", f"{policy.NAME}_state"
    acquire, dice, own_depth = policy.acquire, _dice(policy, "acquire"), DEPTHS[policy.NAME]

    @njit
    def enter(w, t, op, s, depth):
        arrow = w.arrows[op.target]
        number = arrow[name]
        if number >= 0 and own_depth >= depth:
            config, state = getattr(w, configs)[number], getattr(w, states)[s]
            answer, wait_ns = acquire(config, state, w.calls[t], w.clock[0].now_ns, dice(w, arrow))
            if answer == REJECT:
                w.arrow_counts[op.target][counter] += 1
                tell(w, t, op, s, ignored, own_depth)
                return over(w, t, op, cause)
            if answer != PROCEED:
                return _hold(w, t, s, answer, wait_ns)
        return inner(w, t, op, s, depth)

    return enter


def entrance(inside: Compiled, over: Compiled) -> Compiled:
    """Asks the gates from the one at `depth` on to let an attempt pass; then goes on to `inside`.

    Args:
        inside: compiled function of (world, task, operation, state, depth) for what comes after the last gate.
        over: compiled function of (world, task, operation, cause) that ends the call.
    """
    chain = inside
    for gate in reversed(GATES):
        chain = _entry(gate, chain, over)
    return chain
