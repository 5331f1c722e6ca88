"""What time it is and how to wait, as arguments: real ones here, others in tests."""

import time
from collections.abc import Callable
from dataclasses import dataclass


def sleep_ns(wait_ns: int) -> None:
    """Let time pass for this thread."""
    time.sleep(wait_ns / 1e9)


@dataclass(frozen=True, slots=True)
class Clocks:
    """Two clocks and a pause, all in ns.

    The wall clock says what stands in an id and may be set back; the monotonic clock never goes back and says when a
    lease ends.
    """

    wall_ns: Callable[[], int] = time.time_ns
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    sleep_ns: Callable[[int], None] = sleep_ns


REAL = Clocks()
"""This machine's."""
