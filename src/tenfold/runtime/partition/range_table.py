"""Range partitions at work: an immutable map of ordered keys, and its owner, who counts, splits and merges."""

import random
import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tenfold.errors import UsageError
from tenfold.runtime.partition import splits
from tenfold.runtime.partition.hot import SpaceSaving
from tenfold.runtime.partition.splits import Advice, Limits, Merge, Order, Split, Watched


@dataclass(frozen=True, slots=True)
class RangeMap:
    """An immutable map: range 0 begins with the very first key, range i with `starts[i - 1]`; `owners` has one more."""

    starts: tuple[Order, ...]
    owners: tuple[str, ...]
    version: int = 1

    def __post_init__(self) -> None:
        if len(self.owners) != len(self.starts) + 1 or list(self.starts) != sorted(set(self.starts)):
            raise UsageError("the ranges do not fit together", "starts in order, and one owner more than starts")

    def index(self, key: Order) -> int:
        """The number of the range that holds a key."""
        return bisect_right(self.starts, key)

    def node(self, key: Order) -> str:
        """The node that keeps a key."""
        return self.owners[bisect_right(self.starts, key)]

    def split(self, at: Order, owner: str | None = None) -> "RangeMap":
        """The map with a cut, one version later; `owner` gets the right part, None leaves it where it is.

        Raises:
            UsageError: there is a cut already.
        """
        number = self.index(at)
        if number and self.starts[number - 1] == at:
            raise UsageError(f"a range begins with {at!r} already", "cut at another key")
        starts = (*self.starts[:number], at, *self.starts[number:])
        owners = (*self.owners[: number + 1], owner or self.owners[number], *self.owners[number + 1 :])
        return RangeMap(starts, owners, self.version + 1)

    def merge(self, at: Order) -> "RangeMap":
        """The map without the cut at a key, one version later; the left owner keeps both parts.

        Raises:
            UsageError: no range begins there.
        """
        number = self.index(at)
        if not number or self.starts[number - 1] != at:
            raise UsageError(f"no range begins with {at!r}", "name the first key of the right one")
        starts = (*self.starts[: number - 1], *self.starts[number:])
        return RangeMap(starts, (*self.owners[:number], *self.owners[number + 1 :]), self.version + 1)


class RangePartitions:
    """Counts what is asked of each range; `look` says what to split and merge; `apply` does it. Safe for threads.

    Looks are made every few seconds: `split_looks` of them in a row make a range too busy.

    Args:
        owners: the nodes; the first has everything at first, the right part of a cut goes to the one with least load.
        limits: when to split and when to merge.
        now_ns: the time, monotonic.
        draw: a random number in [0, 1), for the samples.
        current: a map from before; None begins with one range.
    """

    def __init__(
        self,
        owners: Sequence[str],
        limits: Limits | None = None,
        *,
        now_ns: int = 0,
        draw: Callable[[], float] = random.random,
        current: RangeMap | None = None,
    ) -> None:
        if not owners:
            raise UsageError("there are no nodes", "name at least one")
        self.limits = limits or Limits()
        self._owners = tuple(owners)
        self._draw = draw
        self._lock = threading.Lock()
        self._looked_ns = now_ns
        self._map = current or RangeMap((), (owners[0],))
        self._watched = [self._fresh(start) for start in (None, *self._map.starts)]

    @property
    def current(self) -> RangeMap:
        """The map in force. It never changes: a change puts another in its place."""
        return self._map

    def record(self, key: Order, load: float = 1.0, written_bytes: int = 0) -> None:
        """Count one use of a key.

        Args:
            key: which.
            load: what it cost, in any unit.
            written_bytes: growth by a key that was not there before; 0 for reads and changes.
        """
        with self._lock:
            watched = self._watched[self._map.index(key)]
            splits.note(self.limits, watched, key, load, written_bytes, self._draw)

    def look(self, now_ns: int) -> tuple[Advice, ...]:
        """What should be done, by the load since the last look. Every range is in one piece of advice at most.

        Args:
            now_ns: the time, later than at the last look.
        """
        with self._lock:
            elapsed_ns = now_ns - self._looked_ns
            if elapsed_ns <= 0:
                return ()
            self._looked_ns = now_ns
            found = [splits.look(self.limits, watched, elapsed_ns, now_ns) for watched in self._watched]
            merges = self._merges(now_ns, [bool(each) for each in found])
            return (*(each for each in found if each), *merges)

    def _merges(self, now_ns: int, is_taken: list[bool]) -> list[Merge]:
        merges = []
        for number in range(1, len(self._watched)):
            if is_taken[number - 1] or is_taken[number]:
                continue
            merge = splits.may_merge(self.limits, self._watched[number - 1], self._watched[number], now_ns)
            if merge:
                merges.append(merge)
                is_taken[number] = True
        return merges

    def apply(self, advice: Advice) -> RangeMap:
        """Make a split or merge; what cannot be split stays. The map in force afterwards.

        Raises:
            UsageError: the ranges have changed since that advice.
        """
        with self._lock:
            if isinstance(advice, Split):
                number = self._map.index(advice.at)
                self._map = self._map.split(advice.at, self._least_loaded())
                self._watched[number : number + 1] = map(
                    self._counting, splits.parted(self._watched[number], advice.at)
                )
            elif isinstance(advice, Merge):
                number = self._map.index(advice.at)
                self._map = self._map.merge(advice.at)
                left, right = self._watched[number - 1 : number + 1]
                self._watched[number - 1 : number + 1] = [self._counting(splits.united(left, right, self.limits))]
            return self._map

    def _least_loaded(self) -> str:
        """The node with the least load at the last look; of equals the one with fewest ranges."""
        rates = dict.fromkeys(self._owners, 0.0)
        counts = dict.fromkeys(self._owners, 0)
        for owner, watched in zip(self._map.owners, self._watched, strict=True):
            rates[owner] = rates.get(owner, 0.0) + watched.rate_per_s
            counts[owner] = counts.get(owner, 0) + 1
        return min(self._owners, key=lambda owner: (rates[owner], counts[owner], self._owners.index(owner)))

    def _fresh(self, start: Order | None) -> Watched:
        return self._counting(Watched(start))

    def _counting(self, watched: Watched) -> Watched:
        watched.hot = SpaceSaving(self.limits.counters)
        return watched
