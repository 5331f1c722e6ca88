"""Which keys are asked for most, in constant memory: the space-saving sketch.

Theory. Keep so many counters. A key without one takes over the smallest and counts on from there, so a count is too
high by at most what it took over. Every key with more than 1/counters of all uses is among them (Metwally, Agrawal,
El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams", ICDT 2005).
"""

from heapq import heappop, heappush
from typing import NamedTuple


class HotKey(NamedTuple):
    """A key that is asked for often."""

    key: str
    uses: int  # at most `surplus` too high, never too low
    surplus: int


class HotKeys:
    """Counts uses of keys.

    Args:
        counters: how many keys are counted at a time.
    """

    def __init__(self, counters: int = 128) -> None:
        self._counters = counters
        self._uses: dict[str, int] = {}
        self._surplus: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []  # counts as they were once: never above those of today

    def add(self, key: str, uses: int = 1) -> None:
        """Count uses of a key."""
        counted = self._uses
        if key in counted:
            counted[key] += uses
        elif len(counted) < self._counters:
            self._count_from(key, uses, 0)
        else:
            least = self._take_least()
            self._count_from(key, least + uses, least)

    def _count_from(self, key: str, uses: int, surplus: int) -> None:
        self._uses[key] = uses
        self._surplus[key] = surplus
        heappush(self._heap, (uses, key))

    def _take_least(self) -> int:
        """Free the counter with the smallest count; that count."""
        while True:
            uses, key = heappop(self._heap)
            today = self._uses[key]
            if uses == today:
                del self._uses[key], self._surplus[key]
                return uses
            heappush(self._heap, (today, key))

    def top(self, count: int = 10) -> list[HotKey]:
        """The keys used most, the hottest first."""
        found = sorted(self._uses.items(), key=lambda item: (-item[1], item[0]))[:count]
        return [HotKey(key, uses, self._surplus[key]) for key, uses in found]
