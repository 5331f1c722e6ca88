"""The hottest keys of a stream in bounded memory, each with the bound of its error.

Space-saving (Metwally, Agrawal and El Abbadi, Efficient computation of frequent and top-k elements in data streams,
ICDT 2005): a key that has no counter takes over the smallest one and its count, which is noted as the error. With k
counters no count is more than total / k too high, none is too low, and every key above total / k is there.
"""

import heapq
from dataclasses import dataclass

from tenfold.errors import UsageError
from tenfold.runtime.partition.hashing import Key

COUNTERS = 1_000
"""Finds every key with more than a thousandth of the load."""


@dataclass(frozen=True, slots=True)
class HotKey:
    """A key and its load: not above `load`, not below `load - error`."""

    key: Key
    load: float
    error: float
    share: float  # load / total

    @property
    def at_least(self) -> float:
        """What it certainly got."""
        return self.load - self.error


class SpaceSaving:
    """Counts the hottest keys of a stream. One owner; not safe for threads.

    Args:
        counters: keys it follows at a time.

    Raises:
        UsageError: fewer than one counter.
    """

    __slots__ = ("_counts", "_errors", "_heap", "counters", "total")

    def __init__(self, counters: int = COUNTERS) -> None:
        if counters < 1:
            raise UsageError(f"{counters} counters", "at least one; 1,000 find every key above 0.1 %")
        self.counters = counters
        self.total = 0.0
        self._counts: dict[Key, float] = {}
        self._errors: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []  # counts as they were when they were pushed: never too high

    def add(self, key: Key, load: float = 1.0) -> None:
        """Count a use of a key, or so much load, which is not negative."""
        self.total += load
        counts = self._counts
        if key in counts:
            counts[key] += load
        elif len(counts) < self.counters:
            counts[key] = load
            heapq.heappush(self._heap, (load, len(counts), key))
        else:
            self._take_over(key, load)

    def _take_over(self, key: Key, load: float) -> None:
        """The key gets the smallest counter. Counts only grow, so a stale entry of the heap is pushed back as it is."""
        counts, heap = self._counts, self._heap
        while (least := heap[0])[0] != counts[least[2]]:
            heapq.heapreplace(heap, (counts[least[2]], least[1], least[2]))
        count, number, loser = least
        del counts[loser]
        self._errors.pop(loser, None)
        counts[key] = count + load
        self._errors[key] = count
        heapq.heapreplace(heap, (count + load, number, key))

    @property
    def error_max(self) -> float:
        """No count is more than this too high."""
        return self.total / self.counters

    def top(self, count: int = 10) -> tuple[HotKey, ...]:
        """The keys with the highest counts, hottest first; equal ones in the order they came."""
        hottest = heapq.nlargest(count, self._counts.items(), key=lambda pair: pair[1])
        whole = self.total or 1.0
        return tuple(HotKey(key, load, self._errors.get(key, 0.0), load / whole) for key, load in hottest)

    def is_certain(self, count: int) -> bool:
        """Whether the first `count` are certainly the true ones: each got at least what the next can have got."""
        best = self.top(count + 1)
        if len(best) <= count:
            return True
        return min(key.at_least for key in best[:count]) >= best[count].load
