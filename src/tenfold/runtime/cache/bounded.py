"""A map of bounded size that keeps what is used again: S3-FIFO, with times after which keys are dropped.

Theory
- Three first-in-first-out queues. A key starts in a small one (a tenth of the places). When its turn to leave comes it
  moves to the main one if it was used again meanwhile; otherwise it goes, and its hash is remembered among the ghosts.
  A key whose hash is there starts in the main queue. A scan passes through the small queue and pushes nothing else out
  (Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023).
- A hit only counts, up to 3: nothing is moved, so it costs a lookup and an addition. The main queue gives a key as many
  further rounds as it was used (CLOCK).
- Times are kept in buckets of about a second, the buckets in a heap (the simple form of Varghese and Lauck, "Hashed and
  hierarchical timing wheels", SOSP 1987): dropping what is due looks at nothing that is not.

No lock and no clock: one event loop, or a lock of the caller's; the caller says what time it is.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any

NEVER = 0
"""`expires_ns` of a key that only leaves for want of room."""

USES_MAX = 3  # two bits, as in the paper
SMALL_SHARE = 10  # one place in ten is for keys seen once
BUCKET_BITS = 30  # 2**30 ns: keys are dropped up to 1.1 s late
BUCKETS_SPARE = 64  # buckets the heap may hold in vain before it is made again


class _Place:
    """What the map holds for a key."""

    __slots__ = ("bucket", "is_main", "uses", "value")

    def __init__(self, value: Any, is_main: bool) -> None:
        self.value = value
        self.uses = 0
        self.is_main = is_main
        self.bucket = 0


class BoundedMap:
    """Keys to values, at most `entries_max` of them.

    Args:
        entries_max: the bound; never exceeded, not even for a moment.
        evicted: told key and value of each that leaves for want of room or because its time is over; not of those
            deleted or replaced. It may not change the map.
    """

    __slots__ = ("_buckets", "_due", "_evicted", "_ghosts", "_main", "_places", "_small", "_small_max", "entries_max")

    def __init__(self, entries_max: int, evicted: Callable[[Any, Any], None] | None = None) -> None:
        if entries_max < 1:
            raise ValueError(f"entries_max is {entries_max}: write 1 or more")
        self.entries_max = entries_max
        self._small_max = max(1, entries_max // SMALL_SHARE)
        self._evicted = evicted
        self.clear()

    def clear(self) -> None:
        """Forget everything, the ghosts too; nobody is told."""
        self._places: dict[Any, _Place] = {}
        self._small: OrderedDict[Any, None] = OrderedDict()
        self._main: OrderedDict[Any, None] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._due: dict[int, set[Any]] = {}  # bucket -> its keys
        self._buckets: list[int] = []  # heap of the buckets, some of them empty by now

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[Any]:
        return iter(self._places)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or the default; counts as a use. It may be past its time: `expire` drops, not this."""
        place = self._places.get(key)
        if place is None:
            return default
        if place.uses < USES_MAX:
            place.uses += 1
        return place.value

    def peek(self, key: Any, default: Any = None) -> Any:
        """The value, or the default, without counting as a use."""
        place = self._places.get(key)
        return default if place is None else place.value

    def set(self, key: Any, value: Any, expires_ns: int = NEVER) -> None:
        """Put a value there.

        Args:
            key: any hashable.
            value: replaces what stands there, which keeps its rank.
            expires_ns: `expire` drops the key when this time is over, on the clock of its caller; NEVER: it stays.
        """
        place = self._places.get(key)
        if place is None:
            place = self._insert(key, value)
        else:
            place.value = value
        bucket = (expires_ns >> BUCKET_BITS) + 1 if expires_ns else 0
        if bucket != place.bucket:
            self._leave_bucket(key, place)
            self._enter_bucket(key, place, bucket)

    def delete(self, key: Any) -> bool:
        """Forget a key; whether it was there."""
        place = self._places.pop(key, None)
        if place is None:
            return False
        del (self._main if place.is_main else self._small)[key]
        self._leave_bucket(key, place)
        return True

    def expire(self, now_ns: int) -> int:
        """Drop the keys whose time is over (by up to 1.1 s); how many. Costs nothing when there are none."""
        buckets, count = self._buckets, 0
        while buckets and buckets[0] <= now_ns >> BUCKET_BITS:
            for key in self._due.pop(heappop(buckets), ()):
                place = self._places.pop(key)
                del (self._main if place.is_main else self._small)[key]
                count += 1
                if self._evicted is not None:
                    self._evicted(key, place.value)
        return count

    def next_due_ns(self) -> int:
        """When `expire` may next have something to drop; NEVER: not at all."""
        return self._buckets[0] << BUCKET_BITS if self._buckets else NEVER

    def _insert(self, key: Any, value: Any) -> _Place:
        """Make room, and give a key its first place."""
        if len(self._places) >= self.entries_max:
            self._evict()
        is_main = self._ghosts.pop(hash(key), self) is None
        place = self._places[key] = _Place(value, is_main)
        (self._main if is_main else self._small)[key] = None
        return place

    def _evict(self) -> None:
        """Let one key go: from the small queue while that has more than its share, else from the main one."""
        while True:
            if len(self._small) >= self._small_max or not self._main:
                if self._evict_small():
                    return
            elif self._evict_main():
                return

    def _evict_small(self) -> bool:
        """Whether the oldest of the small queue went; otherwise it was used again and is in the main one now."""
        key, _ = self._small.popitem(last=False)
        place = self._places[key]
        if place.uses > 1:
            place.uses = 0
            place.is_main = True
            self._main[key] = None
            return False
        self._ghosts[hash(key)] = None
        if len(self._ghosts) > self.entries_max:
            self._ghosts.popitem(last=False)
        self._gone(key, place)
        return True

    def _evict_main(self) -> bool:
        """Whether the oldest of the main queue went; otherwise it has been given another round."""
        key = next(iter(self._main))
        place = self._places[key]
        if place.uses > 0:
            place.uses -= 1
            self._main.move_to_end(key)
            return False
        del self._main[key]
        self._gone(key, place)
        return True

    def _gone(self, key: Any, place: _Place) -> None:
        """The rest of letting a key go."""
        del self._places[key]
        self._leave_bucket(key, place)
        if self._evicted is not None:
            self._evicted(key, place.value)

    def _enter_bucket(self, key: Any, place: _Place, bucket: int) -> None:
        """Note when a key is due."""
        place.bucket = bucket
        if not bucket:
            return
        keys = self._due.get(bucket)
        if keys is None:
            keys = self._due[bucket] = set()
            heappush(self._buckets, bucket)
            if len(self._buckets) > 2 * len(self._due) + BUCKETS_SPARE:
                self._buckets = list(self._due)
                heapify(self._buckets)
        keys.add(key)

    def _leave_bucket(self, key: Any, place: _Place) -> None:
        """A key is no longer due."""
        if place.bucket:
            keys = self._due[place.bucket]
            keys.discard(key)
            if not keys:
                del self._due[place.bucket]
            place.bucket = 0
