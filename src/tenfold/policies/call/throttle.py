"""Throttle: refuse at the caller, with dice, what the callee would refuse anyway.

Theory. Even a refusal costs the callee: an overloaded one can spend all its time on saying no. So every caller counts
its requests and how many of them were accepted, over two minutes, and once requests exceed K times the accepts it
refuses new ones itself, with probability max(0, (requests - K accepts) / (requests + 1)) (Google SRE book, ch. 21
"Client-Side Throttling"). K = 2 lets as many requests through as the callee accepts, and as many again, which find
out when it is better.

Two things others get wrong:
- requests are counted when they are made, not when they end: else a slow callee hides its own overload;
- in a total outage the formula lets one request in thousands through. A floor keeps enough of them going to notice
  the end of it.

Transitions

    acquire   draw <  p     -> REJECT    request counted
              draw >= p     -> PROCEED   request counted
    record    success       -> DONE      accept counted
              failure       -> DONE
              ignored       -> DONE      request given back: the callee never judged it

The window is a ring (`ring.py`): two sums packed into one number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenfold.fields import setting
from tenfold.policies.call import ring
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import DONE, IGNORED, LONGEST_NS, PROCEED, REJECT, SUCCESS

NAME = "throttle"
REFUSAL = "throttled"
COUNTER = "rejected_by_throttle"
DICE = ("acquire",)

REQUEST_SHIFT = 31  # the ring counts requests x 2^31 + accepts: one number, two sums
REQUEST = 1 << REQUEST_SHIFT
ACCEPT_MASK = REQUEST - 1


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a throttle."""

    k_factor: float = setting(
        2.0,
        "Requests per accepted one that are let through; lower refuses earlier.",
        low=1.0,
        high=100.0,
        source="Google SRE book, ch. 21: K = 2",
        main=True,
    )
    window_ns: int = setting(
        120_000_000_000,
        "How long requests and accepts count; longer than the slowest answer.",
        low=10,
        high=LONGEST_NS,
        source="Google SRE book, ch. 21: two minutes",
    )
    floor_ratio: float = setting(
        0.1,
        "Share of requests let through however bad it is, so that recovery is seen.",
        low=0.0,
        high=1.0,
        source="failsafe-go adaptivethrottler: maxRejectionRate 0.9; Envoy admission control refuses at most 80 %",
    )
    requests_min: int = setting(
        0,
        "Requests in the window below which none is refused.",
        low=0,
        high=10**6,
        source="0: the book's rule as it stands; Envoy admission control: rps_threshold 0",
    )


@dataclass(slots=True)
class State:
    """A ring (`ring.py`) of requests and accepts."""

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


def refused_share(config: Config, state: State) -> float:
    """Share of requests to refuse, from the window as it stands.

    Requests given back may outlive the bucket that counted them: the sum may then be below zero for a while.
    """
    request_count = state.total >> REQUEST_SHIFT
    accept_count = state.total & ACCEPT_MASK
    if request_count <= 0 or request_count < config.requests_min:
        return 0.0
    excess = float(request_count) - config.k_factor * float(accept_count)
    return min(excess / float(request_count + 1), 1.0 - config.floor_ratio)


def acquire(config: Config, state: State, call: Call, now_ns: int, draw: float) -> tuple[int, int]:
    """Count the request, and let it through or not."""
    ring.advance(state, config.window_ns, now_ns)
    share = refused_share(config, state)
    ring.add(state, REQUEST)
    if draw < share:
        return REJECT, 0
    return PROCEED, 0


def record(config: Config, state: State, call: Call, now_ns: int, outcome: int, draw: float) -> tuple[int, int]:
    """Count an accept, or give back a request the callee never judged."""
    ring.advance(state, config.window_ns, now_ns)
    if outcome == SUCCESS:
        ring.add(state, 1)
    elif outcome == IGNORED:
        ring.add(state, -REQUEST)
    return DONE, 0


KERNELS: tuple[Callable[..., Any], ...] = (*ring.KERNELS, refused_share, acquire, record)
