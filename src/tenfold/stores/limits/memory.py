"""Limits counted in this process."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenfold.fields import setting
from tenfold.runtime.ratelimit.meters import Meter
from tenfold.runtime.ratelimit.table import LimitTable, table
from tenfold.settings import configured


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings of limits in memory."""

    entries_max: int = setting(
        100_000,
        "How many keys of a limiter count at most; further ones share.",
        low=2,
        source="30 MB by GCRA: a small part of a service",
    )


class MemoryLimits:
    """Counts of this process, in bounded memory that cannot be used to get around a limit. Threads may share them.

    Args:
        entries_max: how many keys of a limiter count at most, a number or text such as "1M".
        clock_ns: monotonic time.

    Raises:
        UsageError: when a setting cannot be read or is out of bounds.
    """

    def __init__(self, entries_max: int | str = 100_000, *, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        settings: _Settings = configured(_Settings, {"entries_max": entries_max}, "MemoryLimits")
        self.entries_max = settings.entries_max
        self._clock_ns = clock_ns
        self._tables: dict[tuple[str, ...], LimitTable] = {}

    def __repr__(self) -> str:
        return f"MemoryLimits(entries_max={self.entries_max})"

    def tally(self, name: str, meters: tuple[Meter[Any], ...]) -> LimitTable:
        """The counts of a limiter: the same for the same name and limits."""
        mark = (name, *(meter.limit.mark for meter in meters))
        if mark not in self._tables:
            self._tables[mark] = table(meters, self.entries_max, self._clock_ns)
        return self._tables[mark]

    async def close(self) -> None:
        """Nothing to give back."""

    def close_blocking(self) -> None:
        """Nothing to give back."""
