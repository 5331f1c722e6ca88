"""A limit as people write it: `100/min`, `10/s burst 20`, `5/2 s`; and what it promises.

gcra, token_bucket   at most `burst` at once, and `quota` per period in the long run. In any window of length W at
                     most burst + quota x W / period pass: with a burst of the quota, twice the quota.
sliding              at most `quota` in any period; constant memory. May refuse up to a tenth of the period longer
                     than it has to.
log                  at most `quota` in any period, exactly; memory grows with the quota.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

from tenfold.errors import UsageError, one_of
from tenfold.units import DAY, MS, S, UnitError, format_duration, parse_count, parse_duration, quoted

Algorithm = Literal["gcra", "token_bucket", "sliding", "log"]

BUCKETED: tuple[str, ...] = ("gcra", "token_bucket")
"""Algorithms with a burst."""

ALGORITHMS: tuple[str, ...] = (*BUCKETED, "sliding", "log")

QUOTA_MAX = 10**9
LOG_QUOTA_MAX = 100_000
"""An entry per admitted hit: more belongs to `sliding`."""

PERIOD_MIN_NS, PERIOD_MAX_NS = MS, 366 * DAY
FULL_MAX_NS = 1 << 60
"""Time in which an empty bucket fills, at most: 36 years."""

_NAME = re.compile(r"[ !#-\[\]-~]+")  # what a string of a structured field holds without escapes (RFC 9651, 3.3.3)
_TEXT = re.compile(r"\s*([^/\s]+)\s*(?:/|per\s)\s*(.+?)(?:\s+burst\s+(\S+))?\s*")


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit.

    Args:
        quota: units per period; a hit costs one unless said otherwise.
        period_ns: 1 ms to 366 days.
        burst: units at once after a pause; 0 for algorithms without.
        algorithm: gcra, token_bucket, sliding or log.
        name: in headers and answers.
    """

    quota: int
    period_ns: int
    burst: int
    algorithm: Algorithm
    name: str

    def __post_init__(self) -> None:
        trouble = _trouble(self)
        if trouble:
            raise UsageError(f"limit {quoted(self.name)}: {trouble[0]}", trouble[1])

    @property
    def capacity(self) -> int:
        """The most that can pass at once."""
        return self.burst or self.quota

    @property
    def mark(self) -> str:
        """Names it in a store: equal limits share their counts, a changed one starts anew."""
        return f"{self.algorithm[0]}{self.quota}/{self.period_ns}/{self.burst}"

    def bound(self, window_ns: int) -> int:
        """The most units that can pass within any window of this length, both ends included."""
        if self.burst:
            return self.burst - (-self.quota * window_ns // self.period_ns)
        return self.quota * max(1, -(-window_ns // self.period_ns))

    def window_s(self) -> int:
        """The period in whole seconds, rounded up: what headers can say."""
        return -(-self.period_ns // S)


def limit(written: "str | Limit", algorithm: str = "gcra", name: str = "") -> Limit:
    """A limit from its text.

    Args:
        written: `COUNT/UNIT`, `COUNT/DURATION` or `COUNT per DURATION`, perhaps with `burst COUNT`; a Limit is kept.
        algorithm: which of the four.
        name: default: the text.

    Raises:
        UsageError: it cannot be read, or does not fit the algorithm.
    """
    if isinstance(written, Limit):
        return written
    if algorithm not in ALGORITHMS:
        raise UsageError(f"there is no algorithm {quoted(algorithm)}", one_of(algorithm, ALGORITHMS))
    found = _TEXT.fullmatch(written)
    if not found:
        raise UsageError(f"{quoted(written)} is not a limit", "write 100/min, 5/2 s or 10/s burst 20")
    try:
        quota, period_ns = parse_count(found[1]), parse_duration(_with_number(found[2]))
        burst = parse_count(found[3]) if found[3] else 0
    except UnitError as error:
        raise UsageError(f"limit {quoted(written)}: {error.message}", error.remedy) from None
    if burst and algorithm not in BUCKETED:
        raise UsageError(f"{algorithm} has no burst", f"leave it out, or use one of {', '.join(BUCKETED)}")
    if found[3] and not burst:
        raise UsageError(
            f"limit {quoted(written)}: nothing ever passes with a burst of 0", "write a burst of 1 or more"
        )
    burst = burst or (quota if algorithm in BUCKETED else 0)
    return Limit(quota, period_ns, burst, algorithm, name or " ".join(written.split()))  # type: ignore[arg-type]


def scaled(whole: Limit, share: float) -> Limit:
    """A share of a limit; at least one unit."""
    quota = max(1, int(whole.quota * share))
    return replace(whole, quota=quota, burst=max(1, int(whole.burst * share)) if whole.burst else 0)


def _with_number(text: str) -> str:
    return text if text[0].isdigit() else f"1 {text}"


def _trouble(limit: Limit) -> tuple[str, str] | None:
    """What is wrong with the numbers, and the remedy."""
    if not 1 <= limit.quota <= QUOTA_MAX or not 0 <= limit.burst <= QUOTA_MAX:
        return "the count is out of bounds", f"write 1 to {QUOTA_MAX:,}"
    if not PERIOD_MIN_NS <= limit.period_ns <= PERIOD_MAX_NS:
        shown = format_duration(PERIOD_MIN_NS), format_duration(PERIOD_MAX_NS)
        return "the period is out of bounds", f"write {shown[0]} to {shown[1]}"
    if bool(limit.burst) != (limit.algorithm in BUCKETED):
        return "a burst belongs to gcra and token_bucket, and to no other", "give burst, or 0"
    if limit.burst * limit.period_ns > FULL_MAX_NS * limit.quota:
        return "the burst takes more than 36 years to come back", "write a smaller burst"
    if limit.algorithm == "log" and limit.quota > LOG_QUOTA_MAX:
        return f"a log of more than {LOG_QUOTA_MAX:,} entries per key", "use sliding"
    if not _NAME.fullmatch(limit.name) or len(limit.name) > 100:
        return "its name cannot stand in a header", "use up to 100 printable ASCII characters, without quotes"
    return None
