"""What a limiter asks of a store: to decide about hits, each on all limits at once, by the store's own time."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from tenfold.runtime.cache.store import StoreUnavailable
from tenfold.runtime.ratelimit.decision import Decision
from tenfold.runtime.ratelimit.meters import Meter

__all__ = ["HIT", "PEEK", "REFUND", "Ask", "LimitStore", "LocalTally", "StoreUnavailable", "Tally"]

HIT, PEEK, REFUND = "hit", "peek", "refund"
"""Count it if it fits; only say whether it would; take it back."""

Ask = tuple[str, int, int]
"""Key, cost, and for a refund when the hit was decided, in ns of the store's clock."""


class Tally(Protocol):
    """What a store counts for one limiter. A key is denied by any of its limits, and then counted by none."""

    async def ask(self, verb: str, asks: Sequence[Ask]) -> list[Decision]:
        """Decide, each by itself, in this order, in one round trip.

        Raises:
            StoreUnavailable: the store did not answer; hits may have been counted all the same.
        """

    def ask_blocking(self, verb: str, asks: Sequence[Ask]) -> list[Decision]:
        """The same, blocking the caller's thread; several may."""


@runtime_checkable
class LocalTally(Protocol):
    """A tally in this process: it answers at once, and never fails. Threads may share it."""

    def hit(self, key: str, cost: int) -> Decision:
        """Count it if it fits."""

    def peek(self, key: str, cost: int) -> Decision:
        """Only say whether it would."""

    def refund(self, key: str, cost: int, at_ns: int) -> None:
        """Take it back."""


class LimitStore(Protocol):
    """Where limiters count."""

    def tally(self, name: str, meters: tuple[Meter[Any], ...]) -> Any:
        """A Tally or a LocalTally. Limiters of one name with equal limits share what they count."""

    async def close(self) -> None:
        """Give back what coroutines used: every connection and task."""

    def close_blocking(self) -> None:
        """Give back what threads used."""
