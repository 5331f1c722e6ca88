"""Range partitions that follow the load: when to split a range and where, when to merge two, and when neither helps.

The rules are CockroachDB's, in the open (docs: Load-Based Splitting; Range Merges). A range is split when it is too
large, or too busy for some looks in a row. Two neighbours are merged when both together would be small and have been
quiet for long; the limits of merging lie well below those of splitting, so that what was split is not merged at once.

Where: by size at the middle of the keys written; by load at the key that leaves half of the recent uses on either
side, from a uniform sample (Vitter, Random sampling with a reservoir, TOMS 1985). Two cases are told apart:

- Keys that only grow (times, sequences): a cut in the middle leaves a left half nobody writes to. The cut is made at
  the right edge, as B-trees do for sequential inserts, so that the full range stays full and the next one starts empty.
- One hot key: no cut helps, because one of the sides keeps it. The answer is `HotKey`, not a split.

Nothing here reads a clock: looks are told the time.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tenfold.runtime.partition.hot import SpaceSaving

S = 1_000_000_000
Order = Any
"""A key of an ordered map: text, bytes, numbers or tuples, of one kind."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When to split and when to merge."""

    split_size_bytes: int = 512 * 2**20  # CockroachDB range_max_bytes
    split_load_per_s: float = 2_500.0  # CockroachDB kv.range_split.load_qps_threshold
    split_looks: int = 3  # too busy in so many looks on end: a burst is no reason
    merge_size_bytes: int = 128 * 2**20  # CockroachDB range_min_bytes
    merge_load_ratio: float = 0.5  # both together below this part of split_load_per_s
    merge_quiet_ns: int = 300 * S  # CockroachDB kv.range_split.by_load_merge_delay
    edge_ratio: float = 0.8  # so much of the writes beyond the last key: they only grow
    side_ratio: float = 0.25  # a cut leaves at least so much of the load on either side
    sample_size: int = 256
    counters: int = 64

    def __post_init__(self) -> None:
        assert self.merge_size_bytes < self.split_size_bytes, "merging below splitting, or ranges flap"
        assert 0 < self.merge_load_ratio < 1, "merging below splitting, or ranges flap"


@dataclass(frozen=True, slots=True)
class Split:
    """Cut the range that holds `at` there: `at` is the first key of the right part."""

    at: Order
    reason: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Join the range that begins with `at` to the one on its left."""

    at: Order
    reason: str


@dataclass(frozen=True, slots=True)
class Unsplittable:
    """Cannot split: a single key has too much of the load. Between `at_least` and `load` uses since the last look."""

    key: Order
    load: float
    at_least: float
    share: float
    reason: str


_SEALED_FACTOR = 1.25
"""A range cut at its right edge was above the limit by what came between two looks; that is no reason to halve it."""

Advice = Split | Merge | Unsplittable


@dataclass(slots=True, eq=False)
class Watched:
    """What is known of one range: its size, and its load since the last look."""

    start: Order | None  # None: from the very first key
    size_bytes: int = 0
    keys: list[Order] = field(default_factory=list)  # in order: sample of the keys written, for cuts by size
    written: int = 0
    last: Order | None = None  # the highest key written
    beyond: float = 0.0  # writes above the highest key there was, since the last look
    writes: float = 0.0
    load: float = 0.0  # since the last look
    sample: list[Order] = field(default_factory=list)  # of uses since the last look
    used: int = 0
    hot: SpaceSaving = field(default_factory=SpaceSaving)
    rate_per_s: float = 0.0  # at the last look
    busy_looks: int = 0
    quiet_since_ns: int = -1
    is_sealed: bool = False  # the left part of a cut at the right edge: nobody writes to it any more


def note(
    limits: Limits, watched: Watched, key: Order, load: float, written_bytes: int, draw: Callable[[], float]
) -> None:
    """Count one use of a key.

    Args:
        limits: what the user set.
        watched: the range that holds the key.
        key: which.
        load: how much it cost, in any unit; 1 counts uses.
        written_bytes: growth by a key not there before; 0 for reads and changes.
        draw: a random number in [0, 1).
    """
    watched.load += load
    watched.used += 1
    watched.hot.add(key, load)
    _keep(watched.sample, watched.used, limits.sample_size, key, draw)
    if written_bytes > 0:
        _note_write(limits, watched, key, written_bytes, draw)


def _note_write(limits: Limits, watched: Watched, key: Order, size_bytes: int, draw: Callable[[], float]) -> None:
    watched.size_bytes += size_bytes
    watched.written += 1
    watched.writes += 1
    if watched.last is None or key > watched.last:
        watched.beyond += watched.last is not None
        watched.last = key
    _keep(watched.keys, watched.written, limits.sample_size, key, draw)


def _keep(sample: list[Order], seen: int, size: int, key: Order, draw: Callable[[], float]) -> None:
    """Vitter's algorithm R: every key seen is in the sample with equal probability."""
    if len(sample) < size:
        sample.append(key)
        return
    place = int(draw() * seen)
    if place < size:
        sample[place] = key


def look(limits: Limits, watched: Watched, elapsed_ns: int, now_ns: int) -> Split | Unsplittable | None:
    """Judge one range and begin a new period.

    Args:
        limits: what the user set.
        watched: the range.
        elapsed_ns: since the last look, above zero.
        now_ns: the time.
    """
    watched.rate_per_s = watched.load * S / elapsed_ns
    watched.busy_looks = watched.busy_looks + 1 if watched.rate_per_s > limits.split_load_per_s else 0
    is_quiet = watched.rate_per_s <= limits.split_load_per_s * limits.merge_load_ratio
    if not is_quiet:
        watched.quiet_since_ns = -1
    elif watched.quiet_since_ns < 0:
        watched.quiet_since_ns = now_ns - elapsed_ns
    advice = _too_large(limits, watched) or _too_busy(limits, watched)
    watched.load = watched.beyond = watched.writes = 0.0
    watched.used, watched.sample = 0, []
    watched.hot = SpaceSaving(limits.counters)
    return advice


def _grows_at_its_end(limits: Limits, watched: Watched) -> bool:
    """Whether nearly all writes went beyond the highest key."""
    return watched.writes >= 10 and watched.beyond >= limits.edge_ratio * watched.writes


def _too_large(limits: Limits, watched: Watched) -> Split | None:
    if watched.size_bytes <= limits.split_size_bytes * (_SEALED_FACTOR if watched.is_sealed else 1.0):
        return None
    size = f"{watched.size_bytes / 2**20:,.1f} MiB"
    if _grows_at_its_end(limits, watched) and watched.last is not None and watched.last != watched.start:
        return Split(watched.last, f"{size}, and keys only grow: split at the right edge")
    keys = sorted(watched.keys)
    middle = keys[len(keys) // 2] if keys else None
    if middle is None or middle == watched.start or middle == keys[0]:
        return None  # one key is all there is
    return Split(middle, f"{size}: split at the middle key")


def _too_busy(limits: Limits, watched: Watched) -> Split | Unsplittable | None:
    if watched.busy_looks < limits.split_looks or not watched.sample:
        return None
    rate = f"{watched.rate_per_s:,.0f} per s"
    if _grows_at_its_end(limits, watched) and watched.writes >= limits.edge_ratio * watched.used:
        at = watched.last
        if at is not None and at != watched.start:
            return Split(at, f"{rate}, and keys only grow: split at the right edge; a hash of the key spreads them")
    at, side = _best_cut(watched)
    if side >= limits.side_ratio:
        return Split(at, f"{rate}: split where the load halves, {side:.0%} on one side")
    top = watched.hot.top(1)[0]
    share = top.at_least / watched.hot.total
    if share <= 0.5:
        return None  # no cut found in this sample; the next look has another
    reason = f"{rate}, of which {share:.0%} for one key: cannot split, a single key"
    return Unsplittable(top.key, top.load, top.at_least, share, reason)


def _best_cut(watched: Watched) -> tuple[Order, float]:
    """The key that leaves most on its lighter side, and how much that is. A cut before the first key is none."""
    uses = sorted(watched.sample)
    best, best_side = uses[0], 0.0
    for place in range(1, len(uses)):
        if uses[place] != uses[place - 1] and uses[place] != watched.start:
            side = min(place, len(uses) - place) / len(uses)
            if side > best_side:
                best, best_side = uses[place], side
    return best, best_side


def may_merge(limits: Limits, left: Watched, right: Watched, now_ns: int) -> Merge | None:
    """Whether two neighbours should be one: small together, and both quiet for long."""
    size_bytes, rate_per_s = left.size_bytes + right.size_bytes, left.rate_per_s + right.rate_per_s
    if size_bytes > limits.merge_size_bytes or rate_per_s > limits.split_load_per_s * limits.merge_load_ratio:
        return None
    quiet_ns = min(now_ns - each.quiet_since_ns if each.quiet_since_ns >= 0 else 0 for each in (left, right))
    if quiet_ns < limits.merge_quiet_ns:
        return None
    return Merge(right.start, f"{size_bytes / 2**20:,.1f} MiB and {rate_per_s:,.0f} per s, quiet for {quiet_ns // S} s")


def parted(watched: Watched, at: Order) -> tuple[Watched, Watched]:
    """The two ranges a cut leaves; size and keys are divided as the sample says, quiet begins anew."""
    keys = sorted(watched.keys)
    place = bisect_left(keys, at)
    left_ratio = place / len(keys) if keys else 0.5
    if watched.last == at:
        left_ratio = 1.0  # the right edge: nearly nothing goes over
    size_left = round(watched.size_bytes * left_ratio)
    written_left = round(watched.written * left_ratio)
    left = Watched(watched.start, size_left, keys[:place], written_left, keys[place - 1] if place else None)
    left.is_sealed = watched.last == at
    right = Watched(at, watched.size_bytes - size_left, keys[place:], watched.written - written_left, watched.last)
    return left, right


def united(left: Watched, right: Watched, limits: Limits) -> Watched:
    """The range two neighbours become; quiet begins anew."""
    keys = sorted([*left.keys, *right.keys])
    step = max(1, -(-len(keys) // limits.sample_size))
    last = right.last if right.last is not None else left.last
    size_bytes, written = left.size_bytes + right.size_bytes, left.written + right.written
    return Watched(left.start, size_bytes, keys[::step], written, last)
