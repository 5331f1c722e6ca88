"""A sliding sum over a window, in ten buckets: constant cost and constant memory whatever the traffic.

Only the newest bucket changes, so it and the running total are plain fields; older buckets form a shift register that
moves once per tenth of a window. The sum covers between nine and ten tenths of the window (as Hystrix's rolling
statistics and Finagle's WindowedAdder do). Any ten buckets in a row are at some moment seen whole: a limit on the sum
is a limit on every aligned window.

Two counters fit into one ring when they are packed into one number (`circuit_breaker`).
"""

from collections.abc import Callable
from typing import Any, Protocol

BUCKETS = 10


class Ring(Protocol):
    """The fields a State needs to be a ring. All zero is an empty ring."""

    total: int
    bucket_0: int
    bucket_1: int
    bucket_2: int
    bucket_3: int
    bucket_4: int
    bucket_5: int
    bucket_6: int
    bucket_7: int
    bucket_8: int
    bucket_9: int
    bucket_end_ns: int


def shift(ring: Ring) -> None:
    """Forget the oldest bucket and open a new one."""
    ring.total -= ring.bucket_9
    ring.bucket_9 = ring.bucket_8
    ring.bucket_8 = ring.bucket_7
    ring.bucket_7 = ring.bucket_6
    ring.bucket_6 = ring.bucket_5
    ring.bucket_5 = ring.bucket_4
    ring.bucket_4 = ring.bucket_3
    ring.bucket_3 = ring.bucket_2
    ring.bucket_2 = ring.bucket_1
    ring.bucket_1 = ring.bucket_0
    ring.bucket_0 = 0


def clear(ring: Ring) -> None:
    """Forget everything; the next `advance` opens a bucket at its own time."""
    ring.total = 0
    ring.bucket_0 = 0
    ring.bucket_1 = 0
    ring.bucket_2 = 0
    ring.bucket_3 = 0
    ring.bucket_4 = 0
    ring.bucket_5 = 0
    ring.bucket_6 = 0
    ring.bucket_7 = 0
    ring.bucket_8 = 0
    ring.bucket_9 = 0
    ring.bucket_end_ns = 0


def advance(ring: Ring, window_ns: int, now_ns: int) -> None:
    """Bring the ring to now: drop what is older than the window."""
    late_ns = now_ns - ring.bucket_end_ns
    if late_ns < 0:
        return
    bucket_ns = max(1, window_ns // BUCKETS)
    if late_ns >= (BUCKETS - 1) * bucket_ns:
        clear(ring)
        ring.bucket_end_ns = now_ns + bucket_ns
        return
    steps = late_ns // bucket_ns + 1
    for _ in range(steps):
        shift(ring)
    ring.bucket_end_ns += steps * bucket_ns


def add(ring: Ring, amount: int) -> None:
    """Add to the newest bucket; `advance` first."""
    ring.bucket_0 += amount
    ring.total += amount


KERNELS: tuple[Callable[..., Any], ...] = (shift, clear, advance, add)
