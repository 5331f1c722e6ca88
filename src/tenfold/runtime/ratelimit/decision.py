"""What a limiter answers."""

from dataclasses import dataclass, replace
from typing import Any

from tenfold.runtime.ratelimit.limits import Limit
from tenfold.runtime.ratelimit.meters import Meter

STORE, LEASE, LOCAL, OPEN, CLOSED = "store", "lease", "local", "open", "closed"
"""Who decided: the store, a lease of this process, its local share while the store is down, or that mode itself."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a key stands with one limit, at the time of the decision.

    Args:
        limit: which.
        remaining: units left.
        more_ns: until one unit more is left; 0: nothing is missing.
        reset_ns: until nothing is missing.
        retry_after_ns: until the hit asked for fits this limit; 0: it does; NEVER: its cost is more than the limit.
    """

    limit: Limit
    remaining: int
    more_ns: int
    reset_ns: int
    retry_after_ns: int

    @property
    def is_violated(self) -> bool:
        """Whether this limit has refused the hit."""
        return self.retry_after_ns > 0


class Decision:
    """Whether a hit may pass, and how its key stands.

    The numbers are worked out when they are asked for: most hits only want to know whether they may pass.

    Args:
        allowed: whether.
        key, cost: of the hit.
        at_ns: when it was decided, on the clock of who decided.
        by: who decided: store, lease, local, open or closed.
        meters, summaries: one for each limit; none when nobody counted.
    """

    __slots__ = ("_extra", "_meters", "_summaries", "allowed", "at_ns", "by", "cost", "key")

    def __init__(
        self,
        allowed: bool,
        key: str,
        cost: int,
        at_ns: int,
        by: str,
        meters: tuple[Meter[Any], ...],
        summaries: tuple[Any, ...],
    ) -> None:
        self.allowed = allowed
        self.key = key
        self.cost = cost
        self.at_ns = at_ns
        self.by = by
        self._meters = meters
        self._summaries = summaries

    def __repr__(self) -> str:
        word = "allowed" if self.allowed else "denied"
        return f"<Decision {word} by {self.by}: {self.remaining} left, retry after {self.retry_after_ns} ns>"

    @property
    def standings(self) -> tuple[Standing, ...]:
        """One for each limit, in their order; none when nobody counted."""
        return tuple(self._standing(meter, seen) for meter, seen in zip(self._meters, self._summaries, strict=True))

    def _standing(self, meter: Meter[Any], summary: Any) -> Standing:
        left, more_ns, reset_ns, wait_ns = meter.numbers(summary, self.at_ns, self.cost)
        left = min(left + self._rare.held, meter.limit.capacity)
        return Standing(meter.limit, left, more_ns, reset_ns, 0 if self.allowed else wait_ns)

    @property
    def tightest(self) -> Standing | None:
        """The limit with the fewest units left; None when nobody counted."""
        return min(self.standings, key=lambda each: each.remaining, default=None)

    @property
    def remaining(self) -> int:
        """Units left of the tightest limit; 0 when nobody counted."""
        tightest = self.tightest
        return tightest.remaining if tightest else 0

    @property
    def limit(self) -> int:
        """What the tightest limit allows at once; 0 when nobody counted."""
        tightest = self.tightest
        return tightest.limit.capacity if tightest else 0

    @property
    def reset_ns(self) -> int:
        """Until nothing is missing of any limit."""
        return max((each.reset_ns for each in self.standings), default=0)

    @property
    def retry_after_ns(self) -> int:
        """Until the hit would fit all limits, if nobody else comes: 0 when it was allowed, NEVER when it never fits."""
        return max((each.retry_after_ns for each in self.standings), default=self._rare.wait_ns)

    @property
    def is_refunded(self) -> bool:
        """Whether it was taken back."""
        return self._rare.is_refunded

    @property
    def _rare(self) -> "_Extra":
        return getattr(self, "_extra", _NOTHING)

    def refunded(self) -> None:
        """Note that it was taken back."""
        self._extra = replace(self._rare, is_refunded=True)

    def aged(self, allowed: bool, cost: int, elapsed_ns: int, by: str, held: int) -> "Decision":
        """What is known some time later without having asked again, of a process that holds further units."""
        later = Decision(allowed, self.key, cost, self.at_ns + elapsed_ns, by, self._meters, self._summaries)
        later._extra = _Extra(held=held)
        return later


@dataclass(frozen=True, slots=True)
class _Extra:
    """What few decisions have; kept apart because making a decision is half of what a hit costs."""

    held: int = 0
    wait_ns: int = 0
    is_refunded: bool = False


_NOTHING = _Extra()


def uncounted(allowed: bool, key: str, cost: int, by: str, wait_ns: int) -> Decision:
    """A decision without counting; when denied, it is worth asking again after `wait_ns`."""
    made = Decision(allowed, key, cost, 0, by, (), ())
    made._extra = _Extra(wait_ns=wait_ns)
    return made
