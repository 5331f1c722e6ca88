"""Exact log: the time of every hit of the last period. Exact, and as large as the quota: for small quotas.

A hit counts until it is more than a period old, in whole us of the store's clock, so that at most the quota passes in
any period, both ends included. Each hit drops what is over from the old end, so it costs O(1) in the long run.
"""

import struct
from collections import deque

from tenfold.policies.verbs import NEVER
from tenfold.runtime.ratelimit.limits import Limit
from tenfold.runtime.ratelimit.meters import US, Numbers

_PACKED = struct.Struct("<dddd")

Entry = tuple[int, int]
"""When, in us, and how much."""

Summary = tuple[int, int, int, int]
"""Units counted; when the oldest, the newest and the one that makes room for the cost were counted, in us."""


class Entries:
    """What is remembered of a key."""

    __slots__ = ("hits", "total")

    def __init__(self, hits: "deque[Entry]", total: int) -> None:
        self.hits = hits
        self.total = total


class Log:
    """See `Meter`.

    Args:
        limit: without a burst.
    """

    __slots__ = ("limit", "period_us", "quota")

    letter = "l"

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.quota = limit.quota
        self.period_us = -(-limit.period_ns // US)

    def fresh(self) -> Entries:
        """No hits."""
        return Entries(deque(), 0)

    def copied(self, state: Entries) -> Entries:
        """A queue of its own."""
        return Entries(state.hits.copy(), state.total)

    def current(self, state: Entries, now_ns: int) -> Entries:
        """Drop what is over; after a clock was set back later hits are of now."""
        now_us, hits = now_ns // US, state.hits
        while hits and now_us - hits[0][0] > self.period_us:
            state.total -= hits.popleft()[1]
        if hits and hits[-1][0] > now_us:
            state.hits = deque((min(at_us, now_us), cost) for at_us, cost in hits)
        return state

    def fits(self, state: Entries, now_ns: int, cost: int) -> bool:
        """Whether there is room."""
        return state.total + cost <= self.quota

    def take(self, state: Entries, now_ns: int, cost: int) -> Entries:
        """Write it down."""
        state.hits.append((now_ns // US, cost))
        state.total += cost
        return state

    def give(self, state: Entries, now_ns: int, cost: int, at_ns: int) -> Entries:
        """Strike out as much as stands there of that very time."""
        at_us, hits = at_ns // US, state.hits
        for place in range(len(hits) - 1, -1, -1):
            if hits[place][0] < at_us or not cost:
                break
            if hits[place][0] == at_us:
                there = hits[place][1]
                if there > cost:
                    hits[place] = (at_us, there - cost)
                else:
                    del hits[place]
                state.total -= min(cost, there)
                cost -= min(cost, there)
        return state

    def is_full(self, state: Entries, now_ns: int) -> bool:
        """Whether every hit is over."""
        return not state.total or now_ns // US - state.hits[-1][0] > self.period_us

    def summary(self, state: Entries, now_ns: int, cost: int) -> Summary:
        """Walks from the oldest on until there would be room."""
        if not state.total:
            return 0, 0, 0, 0
        short, fit_us = state.total + cost - self.quota, 0
        for at_us, units in state.hits:
            if short <= 0:
                break
            short -= units
            fit_us = at_us
        return state.total, state.hits[0][0], state.hits[-1][0], fit_us

    def numbers(self, summary: Summary, now_ns: int, cost: int) -> Numbers:
        """Each hit is over a period, and one us, after it was made."""
        total, oldest_us, newest_us, fit_us = summary
        left = self.quota - total
        wait_ns = NEVER if cost > self.quota else self._until(fit_us, now_ns) if cost > left else 0
        if not total:
            return left, 0, 0, wait_ns
        return left, self._until(oldest_us, now_ns), self._until(newest_us, now_ns), wait_ns

    def _until(self, at_us: int, now_ns: int) -> int:
        return max(0, at_us + self.period_us + 1 - now_ns // US) * US

    def constants(self) -> tuple[float, float]:
        """The period in us, and the quota."""
        return float(self.period_us), float(self.quota)

    def amounts(self, cost: int) -> tuple[float, float]:
        """The cost is told anyway."""
        return 0.0, 0.0

    def read(self, raw: bytes, at: int) -> tuple[Summary, int]:
        """Four numbers."""
        total, oldest_us, newest_us, fit_us = _PACKED.unpack_from(raw, at)
        return (int(total), int(oldest_us), int(newest_us), int(fit_us)), at + _PACKED.size
