"""Parts of the tests of rate limits: a clock, tallies of every kind, and the most that passed in any window."""

from collections.abc import Sequence
from typing import Any

from tenfold.runtime.ratelimit.decision import Decision
from tenfold.runtime.ratelimit.limits import Limit, limit
from tenfold.runtime.ratelimit.meters import meters
from tenfold.runtime.ratelimit.table import LimitTable, OneGcraTable, table

US, MS, S = 1_000, 1_000_000, 1_000_000_000
START_NS = 1_700_000_000 * S

ALGORITHMS = ("gcra", "token_bucket", "sliding", "log")


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def us(self) -> int:
        return self.now_ns // US


def tables(clock: Clock, *limits: Limit, entries_max: int = 1_000) -> list[LimitTable]:
    """The table for these limits, and where that takes a short cut the long way as well."""
    found = [table(meters(limits), entries_max, clock)]
    if isinstance(found[0], OneGcraTable):
        found.append(LimitTable(meters(limits), entries_max, clock))
    return found


def one(text: str, algorithm: str = "gcra", *, clock: Clock) -> LimitTable:
    return table(meters((limit(text, algorithm),)), 1_000, clock)


def most_within(window_ns: int, passed: Sequence[tuple[int, int]]) -> int:
    """The most units in any window of this length, both ends included; `passed` are times and units, in order."""
    most = first = inside = 0
    for at_ns, units in passed:
        inside += units
        while at_ns - passed[first][0] > window_ns:
            inside -= passed[first][1]
            first += 1
        most = max(most, inside)
    return most


def shown(decision: Decision) -> tuple[Any, ...]:
    """Everything a decision says."""
    return decision.allowed, decision.at_ns, decision.standings
