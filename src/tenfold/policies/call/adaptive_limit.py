"""Adaptive limit: as many calls in flight as the dependency can work on, found from its latency.

Theory. Beyond what a dependency works on at once, more calls in flight only wait longer (Little's law). How long it
takes without a queue is the baseline; latency above `tolerance` x baseline is queueing. Once per round trip

    limit = limit x min(1, tolerance x baseline / latency) + sqrt(limit)

(the gradient of Netflix concurrency-limits and of Envoy's adaptive concurrency filter; the square root is the queue
that is allowed). It shrinks at most by half, and moves only while it is used: up when three quarters were in flight,
down when half were. What these limiters get wrong is the baseline: measured under overload it contains the queue, the
limit grows, the queue with it, and so on for ever. Here
- the baseline moves in quiet windows only (so few in flight that no queue can stand), or down;
- when the limit has held calls back for all of `probe_every`, in flight is kept so low for a moment that the queue
  drains; the lowest latency since is the baseline, but never more than twice the one before. A drain costs under 2 %
  of the calls, and there is none while the limit leaves room;
- several callers of one dependency must drain together: each counts from the moment its latency was lowest, and that
  is the same moment for all (as BBR's ProbeRTT is synchronised: Cardwell et al., CACM 2017). With service times that
  vary little this holds; against noise it does not, and `baseline_max` must be set;
- a window lasts until its mean is known to a tenth (10 answers of an even service, some hundred of a noisy one), and
  counts only calls that began after the last change.

A failure that came faster than the baseline says nothing about queues, a slower one was waiting in one; no failure
moves the baseline.

Transitions

    acquire   in flight <  limit (draining: quiet limit)   -> PROCEED   in flight + 1
              in flight >= limit                           -> REJECT
    record    ignored                                      -> DONE      in flight - 1
              otherwise                                    -> DONE      in flight - 1; the answer joins the window
    window    ends without a baseline                                   baseline = its mean; a drain may come soon
              quiet, or surely below the baseline                       baseline moves an eighth of the way
              half of the limit was in flight                           limit moves
              the limit was reached in all of probe_every               drain
              ends in a drain, which has lasted long enough             baseline = the lowest seen; drain ends
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenfold.fields import setting
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import DONE, FAILURE, IGNORED, LONGEST_NS, PROCEED, REJECT

NAME = "adaptive_limit"
REFUSAL = "limited"
COUNTER = "rejected_by_limit"
DICE: tuple[str, ...] = ()

THOUSAND = 1000  # the limit is kept in thousandths of a call
SAMPLES_FACTOR = 20  # a noisy window ends with so many times the least samples
ERROR_RATIO = 0.1  # a window's mean is known well enough at a standard error of a tenth
DEVIATION = 1.25  # standard deviations per mean absolute deviation (normal)
SHRINK_MOST = 0.5
RISE_MOST = 2
EIGHTH = 8
DRAIN_SHARE = 25  # a drain lasts a 25th of probe_every, and a quarter of it at most when answers are few
PATIENCE_SHARE = 4


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of an adaptive limit."""

    limit_initial: int = setting(
        20,
        "Calls in flight allowed at first.",
        low=1,
        high=10**6,
        source="Netflix concurrency-limits: initialLimit 20",
    )
    limit_min: int = setting(1, "The lowest limit.", low=1, high=10**6, source="one call must always be possible")
    limit_max: int = setting(1000, "The highest limit.", low=1, high=10**6, source="Envoy: max_concurrency_limit 1000")
    tolerance_factor: float = setting(
        1.25, "Latency over the baseline that is no queue yet.", low=1.0, high=10.0, source="Envoy: buffer 25 %"
    )
    samples: int = setting(
        10,
        "Answers a window needs at least.",
        low=1,
        high=10**6,
        source="Netflix concurrency-limits: WindowedLimit, windowSize 10",
    )
    window_ns: int = setting(
        100_000_000,
        "Shortest time between two moves of the limit.",
        low=0,
        high=LONGEST_NS,
        source="Envoy's examples: concurrency_update_interval 0.1 s",
    )
    probe_every_ns: int = setting(
        30_000_000_000,
        "How long the limit holds calls back before the queue is drained to see the baseline again.",
        low=1,
        high=LONGEST_NS,
        source="our choice: a new service time is known within a minute; Envoy's examples: 30 s and 60 s",
    )
    baseline_max_ns: int = setting(
        -1,
        "No higher baseline is believed: worth setting when many instances share the dependency. Not set: no bound.",
        low=1,
        high=LONGEST_NS,
        source="none: only the user knows what the dependency takes at rest",
    )


@dataclass(slots=True)
class State:
    """The limit, the baseline, and the window under way."""

    in_flight_count: int = 0
    limit_thousandths: int = 0  # 0: not begun
    baseline_ns: int = 0  # 0: not known
    seen_ns: int = 0  # when the baseline was last seen, or the limit last left room
    drain_until_ns: int = 0  # 0: no drain
    lowest_ns: int = 0  # of the windows since
    lowest_at_ns: int = 0
    window_from_ns: int = 0
    peak_count: int = 0  # most calls in flight in the window
    sample_count: int = 0
    failure_count: int = 0
    mean_ns: int = 0
    deviation_ns: int = 0  # mean absolute deviation
    drain_count: int = 0  # for metrics


def bounded(config: Config, thousandths: int) -> int:
    """A limit within the user's bounds."""
    return max(max(config.limit_min, 1) * THOUSAND, min(max(config.limit_max, 1) * THOUSAND, thousandths))


def quiet_limit(config: Config, state: State) -> int:
    """Calls in flight that leave no queue, even if the baseline is too high by the tolerance."""
    calls = float(state.limit_thousandths) / (2.0 * THOUSAND * max(config.tolerance_factor, 1.0))
    return max(1, int(calls))


def open_window(state: State, now_ns: int) -> None:
    """Count anew, what begins from now on only."""
    state.window_from_ns = now_ns
    state.peak_count = state.in_flight_count
    state.sample_count = 0
    state.failure_count = 0
    state.mean_ns = 0
    state.deviation_ns = 0


def error_of(state: State) -> float:
    """Standard error of the window's mean, ns."""
    return DEVIATION * float(state.deviation_ns) / math.sqrt(float(state.sample_count))


def is_full(config: Config, state: State, now_ns: int) -> bool:
    """Whether the window may end: long enough, and its mean known well enough."""
    if state.sample_count < config.samples or now_ns - state.window_from_ns < config.window_ns:
        return False
    if state.sample_count >= SAMPLES_FACTOR * config.samples:
        return True
    return error_of(state) <= ERROR_RATIO * float(state.mean_ns)


def believe(config: Config, state: State, baseline_ns: int, seen_ns: int) -> None:
    """This is the latency without a queue."""
    state.baseline_ns = max(1, baseline_ns)
    if config.baseline_max_ns > 0:
        state.baseline_ns = min(state.baseline_ns, config.baseline_max_ns)
    state.seen_ns = seen_ns
    state.lowest_ns = 0


def note_lowest(state: State, now_ns: int) -> None:
    """Remember the lowest latency since the baseline was last believed."""
    high_ns = state.mean_ns + int(error_of(state))
    if state.lowest_ns == 0 or high_ns < state.lowest_ns:
        state.lowest_ns = high_ns
        state.lowest_at_ns = now_ns


def learn(config: Config, state: State, now_ns: int) -> None:
    """What a window says about the baseline."""
    high_ns = state.mean_ns + int(error_of(state))
    if state.baseline_ns == 0:
        # It may have been measured in the middle of an overload: look again soon.
        believe(config, state, state.mean_ns, now_ns - config.probe_every_ns + config.probe_every_ns // EIGHTH)
    elif state.failure_count > 0:
        return
    elif state.peak_count <= quiet_limit(config, state) or high_ns < state.baseline_ns:
        believe(config, state, state.baseline_ns + (state.mean_ns - state.baseline_ns) // EIGHTH, now_ns)
    elif state.peak_count < state.limit_thousandths // THOUSAND:
        believe(config, state, state.baseline_ns, now_ns)
    else:
        note_lowest(state, now_ns)


def move(config: Config, state: State) -> None:
    """What a window says about the limit, if the limit was used."""
    whole = state.limit_thousandths // THOUSAND
    if 2 * state.peak_count <= whole:
        return
    low_ns = max(1.0, float(state.mean_ns) - error_of(state))
    gradient = max(config.tolerance_factor, 1.0) * float(state.baseline_ns) / low_ns
    calls = float(state.limit_thousandths) / THOUSAND
    calls = calls * min(1.0, max(SHRINK_MOST, gradient)) + math.sqrt(calls)
    thousandths = bounded(config, int(calls * THOUSAND))
    if thousandths < state.limit_thousandths or 4 * state.peak_count > 3 * whole:
        state.limit_thousandths = thousandths


def drain(config: Config, state: State, now_ns: int) -> None:
    """A window of a drain has ended: when it has lasted long enough, the lowest latency is the baseline."""
    if state.sample_count > 0:
        note_lowest(state, now_ns)
    if now_ns >= state.drain_until_ns:
        state.drain_until_ns = 0
        if state.sample_count > 0:
            believe(config, state, min(state.lowest_ns, RISE_MOST * state.baseline_ns), state.lowest_at_ns)
        else:
            believe(config, state, state.baseline_ns, now_ns)  # nothing succeeds: it is not the time to look


def end_window(config: Config, state: State, now_ns: int) -> None:
    """Learn from a window, drain when it is time, and open the next."""
    if state.drain_until_ns > 0:
        drain(config, state, now_ns)
    else:
        learn(config, state, now_ns)
        move(config, state)
        if now_ns - state.seen_ns >= config.probe_every_ns:
            state.drain_until_ns = now_ns + config.probe_every_ns // DRAIN_SHARE + 1
            state.drain_count += 1
    open_window(state, now_ns)


def observe(config: Config, state: State, call: Call, now_ns: int, outcome: int) -> None:
    """An answer joins the window, if it can say something."""
    latency_ns = max(1, min(now_ns - call.attempt_started_ns, LONGEST_NS))
    if call.attempt_started_ns < state.window_from_ns:
        return
    if outcome == FAILURE:
        if state.drain_until_ns > 0 or state.baseline_ns == 0 or latency_ns <= state.baseline_ns:
            return
        state.failure_count += 1
    state.sample_count += 1
    state.mean_ns += (latency_ns - state.mean_ns) // state.sample_count
    state.deviation_ns += (abs(latency_ns - state.mean_ns) - state.deviation_ns) // state.sample_count
    if is_full(config, state, now_ns):
        end_window(config, state, now_ns)


def acquire(config: Config, state: State, call: Call, now_ns: int, draw: float) -> tuple[int, int]:
    """Take a place in flight, if the limit leaves one."""
    if state.limit_thousandths == 0:
        state.limit_thousandths = bounded(config, config.limit_initial * THOUSAND)
        open_window(state, now_ns)
    limit = state.limit_thousandths // THOUSAND
    if state.drain_until_ns > 0:
        limit = quiet_limit(config, state)
    if state.in_flight_count >= limit:
        return REJECT, 0
    state.in_flight_count += 1
    state.peak_count = max(state.peak_count, state.in_flight_count)
    call.attempt_started_ns = now_ns
    return PROCEED, 0


def record(config: Config, state: State, call: Call, now_ns: int, outcome: int, draw: float) -> tuple[int, int]:
    """Give the place back, and learn from the answer."""
    state.in_flight_count -= 1
    if state.drain_until_ns > 0 and now_ns - state.drain_until_ns >= config.probe_every_ns // PATIENCE_SHARE:
        end_window(config, state, now_ns)
    if outcome != IGNORED:
        observe(config, state, call, now_ns, outcome)
    return DONE, 0


KERNELS: tuple[Callable[..., Any], ...] = (
    bounded,
    quiet_limit,
    open_window,
    error_of,
    is_full,
    believe,
    note_lowest,
    learn,
    move,
    drain,
    end_window,
    observe,
    acquire,
    record,
)
