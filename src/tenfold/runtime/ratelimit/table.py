"""Counts in this process: bounded, and the bound cannot be used to get around a limit.

- A key has a place of its own while one is free. A place is given up only when its key is full again, that is when it
  says no more than a fresh one: forgetting it changes nothing. A table that forgets the least recently used key instead
  hands a fresh limit to whoever comes back after many other keys.
- When every place is taken by a key that still counts, further keys share buckets: which, says a hash that differs from
  process to process. A bucket holds its keys together to one limit: no key gets more than its own, some get less.
- A key that gets a place later starts from what its bucket has counted, not afresh.
- Every first visit looks at a few places, oldest first, and gives up those that are full. There is no sweeping thread,
  and no visit pays for all.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tenfold.runtime.ratelimit.decision import STORE, Decision
from tenfold.runtime.ratelimit.gcra import PART_BITS, Gcra
from tenfold.runtime.ratelimit.keys import checked, short
from tenfold.runtime.ratelimit.meters import Meter

SHARED_PART = 8  # one place in eight is a bucket for keys without a place
LOOKS = 2  # at the oldest places, when a key is first seen: the table shrinks faster than it grows
LOOKS_WHEN_FULL = 8


class LimitTable:
    """A `LocalTally`.

    Args:
        meters: of the limits.
        entries_max: keys with counts, buckets included; 2 or more.
        clock_ns: monotonic time.
    """

    def __init__(self, meters: tuple[Meter[Any], ...], entries_max: int, clock_ns: Callable[[], int]) -> None:
        self.meters = meters
        self._shared_max = max(1, entries_max // SHARED_PART)
        self._own_max = max(1, entries_max - self._shared_max)
        self._own: OrderedDict[str, list[Any]] = OrderedDict()
        self._shared: dict[int, list[Any]] = {}
        self._clock_ns = clock_ns
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._own) + len(self._shared)

    def hit(self, key: str, cost: int) -> Decision:
        """Count it with every limit, if it fits all.

        Raises:
            UsageError: the cost is less than 1.
        """
        checked(key, cost)
        with self._lock:
            now_ns = self._clock_ns()
            states = self._own.get(key) or self._placed(key, now_ns)
            allowed = self._fits(states, now_ns, cost)
            if allowed:
                for place, meter in enumerate(self.meters):
                    states[place] = meter.take(states[place], now_ns, cost)
            return self._decision(allowed, key, cost, now_ns, states)

    def peek(self, key: str, cost: int) -> Decision:
        """Whether it would fit."""
        checked(key, cost)
        with self._lock:
            now_ns = self._clock_ns()
            states = self._there(key) or [meter.fresh() for meter in self.meters]
            return self._decision(self._fits(states, now_ns, cost), key, cost, now_ns, states)

    def refund(self, key: str, cost: int, at_ns: int) -> None:
        """Take it back from every limit."""
        with self._lock:
            now_ns = self._clock_ns()
            states = self._there(key)
            for place, meter in enumerate(self.meters if states else ()):
                current = meter.current(states[place], now_ns)
                states[place] = meter.give(current, now_ns, cost, at_ns)

    def _fits(self, states: list[Any], now_ns: int, cost: int) -> bool:
        """Whether all limits have room; brings the states to now."""
        fits = True
        for place, meter in enumerate(self.meters):
            states[place] = meter.current(states[place], now_ns)
            fits = fits and meter.fits(states[place], now_ns, cost)
        return fits

    def _decision(self, allowed: bool, key: str, cost: int, now_ns: int, states: list[Any]) -> Decision:
        seen = tuple([meter.summary(states[place], now_ns, cost) for place, meter in enumerate(self.meters)])
        return Decision(allowed, key, cost, now_ns, STORE, self.meters, seen)

    def _bucket(self, key: str) -> int:
        return hash(key) % self._shared_max

    def _there(self, key: str) -> list[Any]:
        """What counts for a key now; empty: nothing does."""
        key = short(key)
        return self._own.get(key) or self._shared.get(self._bucket(key)) or []

    def _placed(self, key: str, now_ns: int) -> list[Any]:
        """A place for a key that has none, or its bucket. A long key has never one under its own name."""
        key = short(key)
        if key in self._own:
            return self._own[key]
        is_full = len(self._own) >= self._own_max
        self._give_up_full(LOOKS_WHEN_FULL if is_full else LOOKS, now_ns)
        bucket = self._shared.get(self._bucket(key))
        if len(self._own) < self._own_max:
            states = self._own[key] = self._started(bucket)
            return states
        if bucket is None:
            bucket = self._shared[self._bucket(key)] = self._started(None)
        return bucket

    def _started(self, bucket: list[Any] | None) -> list[Any]:
        """States for a place: as far as its bucket has counted."""
        if bucket is None:
            return [meter.fresh() for meter in self.meters]
        return [meter.copied(state) for meter, state in zip(self.meters, bucket, strict=True)]

    def _give_up_full(self, looks: int, now_ns: int) -> None:
        """Look at the oldest places: those that are full go, the others get another round."""
        own = self._own
        for _ in range(min(looks, len(own))):
            key = next(iter(own))
            if self._is_full(own[key], now_ns):
                del own[key]
            else:
                own.move_to_end(key)

    def _is_full(self, states: list[Any], now_ns: int) -> bool:
        return all(meter.is_full(state, now_ns) for meter, state in zip(self.meters, states, strict=True))


class OneGcraTable(LimitTable):
    """The same for a single limit by GCRA, which is what most have: its arithmetic in place, at half the cost."""

    def __init__(self, meters: tuple[Meter[Any], ...], entries_max: int, clock_ns: Callable[[], int]) -> None:
        super().__init__(meters, entries_max, clock_ns)
        (meter,) = meters
        assert isinstance(meter, Gcra)
        self._step, self._full = meter.step, meter.full
        self._enter, self._leave = self._lock.acquire, self._lock.release  # half of what `with` costs

    def hit(self, key: str, cost: int) -> Decision:
        """As LimitTable.hit."""
        if cost < 1:
            checked(key, cost)
        self._enter()
        try:
            now_ns = self._clock_ns()
            states = self._own.get(key) or self._placed(key, now_ns)
            now = now_ns << PART_BITS
            tat, latest = states[0], now + self._full
            after = (tat if tat > now else now) + (self._step if cost == 1 else cost * self._step)
            allowed = after <= latest
            if allowed:
                states[0] = tat = after
            elif tat > latest:
                states[0] = tat = latest
        finally:
            self._leave()
        return Decision(allowed, key, cost, now_ns, STORE, self.meters, (tat,))

    def _is_full(self, states: list[Any], now_ns: int) -> bool:
        return bool(states[0] <= now_ns << PART_BITS)


def table(meters: tuple[Meter[Any], ...], entries_max: int, clock_ns: Callable[[], int]) -> LimitTable:
    """The table for these limits."""
    is_one_gcra = len(meters) == 1 and isinstance(meters[0], Gcra)
    return (OneGcraTable if is_one_gcra else LimitTable)(meters, entries_max, clock_ns)
