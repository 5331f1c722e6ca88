"""Circuit breaker: stop calling a dependency that keeps failing, then probe it.

Theory. Calls to what is down cost the caller time and the callee its recovery (Nygard, Release It!, ch. 5 "Circuit
Breaker"). Two ways to trip, either or both: so many failures in a row, or a share of failures over a sliding window
with a least number of calls (Hystrix). Three things most breakers get wrong:
- a probe that hangs must not wedge the breaker: probes hold a lease, and when the lease of the latest lapses the
  round is forgotten and another probe goes;
- a call that began in an earlier era must not change today's state: `acquire` hands out the generation, `record`
  checks it, and every change of phase and every new round of probes starts a new generation;
- a cancelled call says nothing about the dependency: it gives its slot back and moves no counter. Refusals, our own
  or of a policy further in, are recorded as IGNORED for the same reason.

Transitions

    closed     success                         -> closed      failures in a row = 0
               failure, below both thresholds  -> closed      counted
               failure, at a threshold         -> open        for open_ns
    open       acquire before its end          -> REJECT      with the time left
               acquire after                   -> half-open   a round of probes starts; this call is the first
    half-open  acquire, a probe slot is free   -> PROCEED     the lease runs from here
               acquire, none free              -> REJECT      with the lease's time left
               acquire, none free, lease over  -> PROCEED     new round, new generation
               success, the last needed        -> closed
               success                         -> half-open   slot back
               failure                         -> open
               ignored                         -> half-open   slot back, nothing learned
    any        record of an older generation   -> nothing moves
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenfold.fields import setting
from tenfold.policies.call import ring
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import FAILURE, IGNORED, LONGEST_NS, NOTED, PASSED, REJECT, SUCCESS

NAME = "circuit_breaker"
REFUSAL = "circuit_open"
COUNTER = "rejected_by_breaker"
DICE: tuple[str, ...] = ()

CLOSED, OPEN, HALF_OPEN = 0, 1, 2
PHASES = ("closed", "open", "half_open")
"""Words for people, by number."""

CALL_SHIFT = 31  # the ring counts calls x 2^31 + failures: one number, two sums
CALL_UNIT = 1 << CALL_SHIFT
FAILURE_MASK = CALL_UNIT - 1


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a circuit breaker."""

    failures: int = setting(
        5, "Failures in a row that open it; 0: do not count them.", low=0, high=10**6, source="Envoy consecutive_5xx: 5"
    )
    failure_share_ratio: float = setting(
        0.0,
        "Share of failures in the window that opens it; 0: off.",
        low=0.0,
        high=1.0,
        source="off; Hystrix ships 50 %",
    )
    window_ns: int = setting(
        10_000_000_000, "Window of the share.", low=10, high=LONGEST_NS, source="Hystrix rolling statistics: 10 s"
    )
    calls_min: int = setting(
        20, "Calls in the window below which the share says nothing.", low=1, high=10**6, source="Hystrix: 20"
    )
    open_ns: int = setting(
        30_000_000_000, "Time it stays open.", low=0, high=LONGEST_NS, source="Envoy base_ejection_time: 30 s"
    )
    probes: int = setting(
        1, "Calls in flight at once while it is half open.", low=1, high=10**6, source="Hystrix: a single test request"
    )
    successes: int = setting(
        1, "Successful probes that close it.", low=1, high=10**6, source="Hystrix: the single test request"
    )
    lease_ns: int = setting(
        10_000_000_000,
        "Time after which a probe without an answer no longer holds its slot.",
        low=1,
        high=LONGEST_NS,
        source="our choice: longer than most timeouts",
    )


@dataclass(slots=True)
class State:
    """The phase, and a ring (`ring.py`) of calls and failures for the share."""

    phase: int = CLOSED
    generation: int = 0
    failure_count: int = 0  # in a row, while closed
    success_count: int = 0  # while half open
    probe_count: int = 0  # in flight, while half open
    open_until_ns: int = 0
    lease_until_ns: int = 0  # of the latest probe
    opened_count: int = 0  # times it opened, for metrics
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


def enter(state: State, phase: int) -> None:
    """Start a new era: results of earlier ones no longer count."""
    state.phase = phase
    state.generation += 1
    state.failure_count = 0
    state.success_count = 0
    state.probe_count = 0


def trip(config: Config, state: State, now_ns: int) -> None:
    """Open."""
    enter(state, OPEN)
    ring.clear(state)
    state.open_until_ns = now_ns + config.open_ns
    state.opened_count += 1


def is_share_reached(config: Config, state: State) -> bool:
    """Whether the window holds enough calls and too many failures."""
    call_count = state.total >> CALL_SHIFT
    failure_count = state.total & FAILURE_MASK
    return call_count >= config.calls_min and float(failure_count) >= config.failure_share_ratio * float(call_count)


def record_closed(config: Config, state: State, now_ns: int, outcome: int) -> None:
    """Count an answer while closed; open at a threshold."""
    if config.failure_share_ratio > 0.0:
        ring.advance(state, config.window_ns, now_ns)
        ring.add(state, CALL_UNIT + (1 if outcome == FAILURE else 0))
    if outcome == SUCCESS:
        state.failure_count = 0
        return
    state.failure_count += 1
    is_row_reached = config.failures > 0 and state.failure_count >= config.failures
    if is_row_reached or (config.failure_share_ratio > 0.0 and is_share_reached(config, state)):
        trip(config, state, now_ns)


def record_probe(config: Config, state: State, now_ns: int, outcome: int) -> None:
    """Learn from a probe's answer."""
    state.probe_count -= 1
    if outcome == FAILURE:
        trip(config, state, now_ns)
    elif outcome == SUCCESS:
        state.success_count += 1
        if state.success_count >= config.successes:
            enter(state, CLOSED)


def admit_probe(config: Config, state: State, now_ns: int) -> tuple[int, int]:
    """Let a probe through when a slot is free or the lease of those in flight has lapsed."""
    if state.probe_count >= config.probes:
        if now_ns < state.lease_until_ns:
            return REJECT, state.lease_until_ns - now_ns
        # The probes in flight are given up: whatever they still answer is of an older generation.
        state.generation += 1
        state.probe_count = 0
    state.probe_count += 1
    state.lease_until_ns = now_ns + config.lease_ns
    return PASSED


def acquire(config: Config, state: State, call: Call, now_ns: int, draw: float) -> tuple[int, int]:
    """Ask to call; the answer carries the generation in `call.ticket_generation`."""
    answer = PASSED
    if state.phase != CLOSED:
        if state.phase == OPEN:
            if now_ns < state.open_until_ns:
                return REJECT, state.open_until_ns - now_ns
            enter(state, HALF_OPEN)
        answer = admit_probe(config, state, now_ns)
    call.ticket_generation = state.generation
    return answer


def record(config: Config, state: State, call: Call, now_ns: int, outcome: int, draw: float) -> tuple[int, int]:
    """Tell what became of an admitted call."""
    if call.ticket_generation != state.generation:
        return NOTED
    if state.phase == HALF_OPEN:
        record_probe(config, state, now_ns, outcome)
    elif outcome == SUCCESS and config.failure_share_ratio <= 0.0:
        state.failure_count = 0  # as `record_closed`, without the cost of calling it: most answers end here
    elif outcome != IGNORED:
        record_closed(config, state, now_ns, outcome)
    return NOTED


KERNELS: tuple[Callable[..., Any], ...] = (
    *ring.KERNELS,
    enter,
    trip,
    is_share_reached,
    record_closed,
    record_probe,
    admit_probe,
    acquire,
    record,
)
