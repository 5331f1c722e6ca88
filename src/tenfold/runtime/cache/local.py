"""Copies in the process's own memory: what a hit costs when nobody has to be asked.

A copy is served until the local ttl is over, the policy might answer anything but a hit, or a change is heard of. A
change heard of while the value was on its way from the store must count as well, although the copy is not there yet:
so every change moves a counter, the counter is noted before the store is asked, and a copy is kept only if it has not
moved. Counters are shared by keys (1,024 of them): an unrelated change costs a copy, never a wrong one.
"""

from collections.abc import Callable, Iterable
from typing import Any

from tenfold.policies.cache import freshness
from tenfold.policies.cache.freshness import Config, Entry
from tenfold.runtime.cache.bounded import BoundedMap
from tenfold.runtime.cache.hot import HotKeys
from tenfold.runtime.cache.settings import Local

COUNTERS = 1_024


class Place:
    """One copy. Times are of the process's clock, the entry's of the store's."""

    __slots__ = ("certain_ns", "entry", "hits", "tags", "until_ns", "value")

    def __init__(self, value: Any, entry: Entry, certain_ns: int, until_ns: int, tags: tuple[str, ...]) -> None:
        self.value = value
        self.entry = entry
        self.certain_ns = certain_ns  # until then it is a hit, whatever the dice show
        self.until_ns = until_ns  # until then the policy may be asked about it; then the store is
        self.tags = tags
        self.hits = 0  # not yet counted among the hot keys


class LocalLayer:
    """At most so many copies.

    Args:
        local: its settings.
        clock_ns: the process's clock.
        hot: where uses are counted.
        keeps_old: keep copies past their time, to serve while the store is down.
    """

    def __init__(self, local: Local, clock_ns: Callable[[], int], hot: HotKeys, *, keeps_old: bool) -> None:
        self._ttl_ns = local.ttl_ns
        self._clock_ns = clock_ns
        self._hot = hot
        self._keeps_old = keeps_old
        self._map = BoundedMap(local.entries, self._evicted)
        self._keys_of: dict[str, set[str]] = {}
        self._counters = [0] * COUNTERS
        self.get: Callable[[str], Place | None] = self._map.get  # counts as a use
        self.peek: Callable[[str], Place | None] = self._map.peek

    def __len__(self) -> int:
        return len(self._map)

    def note(self, key: str, tags: Iterable[str] = ()) -> int:
        """What has been heard of the key and its tags: to be shown to `put`."""
        heard = self._counters[hash(key) % COUNTERS]
        for tag in tags:
            heard += self._counters[hash(tag) % COUNTERS]
        return heard

    def put(
        self, key: str, value: Any, config: Config, entry: Entry, now_ns: int, tags: tuple[str, ...], noted: int
    ) -> None:
        """Keep a copy, unless a change was heard of meanwhile or the value is no longer fresh.

        Args:
            key, value: the copy.
            config: the policy.
            entry: the entry in the store, and
            now_ns: the store's time.
            tags: those of the value.
            noted: what `note` said before the store was asked.
        """
        if noted != self.note(key, tags):
            return
        here_ns = self._clock_ns()
        left_ns = min(self._ttl_ns, entry.fresh_until_ns - now_ns)
        if left_ns <= 0:
            return
        certain_ns = here_ns + min(left_ns, freshness.certain_until(config, entry) - now_ns)
        self._forget(self._map.peek(key), key)
        place = Place(value, entry, certain_ns, here_ns + left_ns, tags)
        gone_ns = place.until_ns
        if self._keeps_old:
            gone_ns = max(gone_ns, here_ns + entry.fresh_until_ns + config.fail_safe_ns - now_ns)
        self._map.expire(here_ns)
        self._map.set(key, place, gone_ns)
        for tag in tags:
            self._keys_of.setdefault(tag, set()).add(key)

    def drop(self, key: str) -> None:
        """A change was heard of, or made here."""
        self._counters[hash(key) % COUNTERS] += 1
        place = self._map.peek(key)
        if place is not None:
            self._map.delete(key)
            self._forget(place, key)

    def drop_tag(self, tag: str) -> None:
        """A change of a tag was heard of, or made here."""
        self._counters[hash(tag) % COUNTERS] += 1
        for key in tuple(self._keys_of.get(tag, ())):
            self.drop(key)

    def distrust(self) -> None:
        """Changes may have been missed: no copy is served without asking any more."""
        self._counters = [heard + 1 for heard in self._counters]
        if not self._keeps_old:
            self.clear()
            return
        for key in self._map:
            place: Place = self._map.peek(key)
            place.certain_ns = place.until_ns = 0

    def clear(self) -> None:
        """Forget every copy."""
        self.count_uses()
        self._map.clear()
        self._keys_of.clear()

    def count_uses(self) -> None:
        """Bring the hot keys up to date."""
        for key in self._map:
            place: Place = self._map.peek(key)
            if place.hits:
                self._hot.add(key, place.hits)
                place.hits = 0

    def _evicted(self, key: str, place: Place) -> None:
        self._forget(place, key)

    def _forget(self, place: Place | None, key: str) -> None:
        """What is known of a copy beside the copy."""
        if place is None:
            return
        if place.hits:
            self._hot.add(key, place.hits)
            place.hits = 0
        for tag in place.tags:
            keys = self._keys_of.get(tag)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._keys_of[tag]
