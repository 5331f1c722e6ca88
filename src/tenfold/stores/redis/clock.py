"""The server's time, read without asking: this process's monotonic clock and a measured offset.

Theory
- The server's clock was read between sending and receiving, so its offset to ours is known to half the round trip
  (Cristian, "Probabilistic clock synchronization", Distributed Computing 3, 1989; as NTP does, RFC 5905, 8).
- The clocks drift apart, so what was measured loses worth with time. A measurement replaces the one in force when its
  error is smaller than what that one's has grown to (NTP's clock filter keeps the shortest round trip likewise).
- Time is never set back. Found to be ahead, it goes at half speed until the server has caught up: leases and values of
  this process live at most twice as long meanwhile, and none for ever.
"""

import time
from collections.abc import Callable

DRIFT = 1e-4  # how far two quartz clocks drift apart, at most: 100 ppm


class ServerClock:
    """The server's time in ns since its epoch.

    Args:
        monotonic_ns: this process's clock; a wall clock is never read.
    """

    __slots__ = ("_error_ns", "_latest_ns", "_measured_ns", "_offset_ns", "_read_ns", "monotonic_ns")

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.monotonic_ns = monotonic_ns
        self._offset_ns = 0
        self._error_ns = -1  # nothing measured
        self._measured_ns = 0
        self._latest_ns = 0
        self._read_ns = monotonic_ns()

    def now_ns(self) -> int:
        """The server's time; this process's own as long as the server never answered."""
        read_ns = self.monotonic_ns()
        now_ns = read_ns + self._offset_ns
        if now_ns < self._latest_ns:
            now_ns = self._latest_ns + (read_ns - self._read_ns >> 1)
        self._read_ns = read_ns
        self._latest_ns = now_ns
        return now_ns

    def error_ns(self) -> int:
        """How far off the time may be; -1: nothing was measured."""
        if self._error_ns < 0:
            return -1
        return self._error_ns + int((self.monotonic_ns() - self._measured_ns) * DRIFT)

    def measured(self, sent_ns: int, server_ns: int, received_ns: int, *, is_other_server: bool = False) -> None:
        """Learn from one question.

        Args:
            sent_ns, received_ns: this process's clock before the question and after the answer.
            server_ns: the server's clock in the answer.
            is_other_server: what was measured before says nothing: the connection is another.
        """
        error_ns = (received_ns - sent_ns + 1) // 2
        known_ns = self.error_ns()
        if is_other_server or known_ns < 0 or error_ns <= known_ns:
            self._offset_ns = server_ns - (sent_ns + received_ns) // 2
            self._error_ns = error_ns
            self._measured_ns = received_ns
