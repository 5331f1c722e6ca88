"""Which share of reads a cache answers: a time to live, a bounded memory, and keys of unequal popularity.

Per key, requests are Poisson with rate p R. An entry stays for a *lifetime* D after it was stored, then the key is
absent until somebody stores it again, 1/(rate of storing) later on average; a read arrives at a random moment
(PASTA), so

    hit ratio of the key = D / (D + 1/rate of storing).

- Time to live T that hits do not extend, ample memory: D = T, so rT/(1+rT).
- `set` steps of their own rate w start T anew: D = (exp(wT) - 1)/w (the time until a gap of T between writes). Those
  with `only_present` change a value in place and leave its expiry alone (Redis LPUSHX, SET XX KEEPTTL).
- Bounded memory, least recently used: an entry goes when it was not touched for the characteristic time C, one number
  for the whole cache, found so that the expected bytes kept equal the memory: sum of size x D/(D + 1/rate) = memory.
  (Che, Tung and Wang 2002; Fricker, Robert and Roberts 2012 show why it is nearly exact for LRU under independent
  requests.) Without time to live D = (exp(xC) - 1)/x for touch rate x, which gives Che's 1 - exp(-xC).
- Both: no touch is needed until C, so D = T when T <= C, exactly. For T > C the chance to be still there just after C
  is 1 - exp(-xC); from there it is taken to decay exponentially, at the rate that keeps the mean without time to live
  right. That is an approximation, exact at both limits, within a point of simulated caches in the tests.

Expired entries are taken to give their memory back at once. Redis evicts by sampling, which is close to LRU.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from tenfold.design.demand import CREATES, FILLS, UPDATES, Visits
from tenfold.design.schema import DataSet, Range
from tenfold.sizing import interval
from tenfold.sizing.popularity import KeyClass, key_classes
from tenfold.units import YEAR

_EXPONENT_MAX = 700.0  # exp() of more overflows a float; such an entry is never evicted


@dataclass(frozen=True, slots=True)
class KeySpace:
    """One data set in a cache, and what happens to it.

    read_per_s: reads; reads_fill: whether a miss stores the item; create_per_s: writes that store it anyway;
    update_per_s: writes that change an entry in place if it is there, and not its expiry.
    """

    keys: int
    exponent: float
    item_bytes: float
    read_per_s: float
    reads_fill: bool = True
    create_per_s: float = 0.0
    update_per_s: float = 0.0

    @property
    def classes(self) -> tuple[KeyClass, ...]:
        """The keys by popularity."""
        return key_classes(self.keys, self.exponent)


def present_share(space: KeySpace, share: float, ttl_s: float, window_s: float) -> float:
    """Probability that a key is in the cache: its hit ratio, too.

    Args:
        space: the key's data set.
        share: the key's share of the requests.
        ttl_s: time to live, infinite for none.
        window_s: the characteristic time of the memory bound, infinite for ample memory.
    """
    reads = space.read_per_s * share
    creates = space.create_per_s * share
    writes = creates + space.update_per_s * share
    stores = creates + (reads if space.reads_fill else 0.0)
    if stores <= 0.0:
        return 0.0
    lifetime = _bounded(reads + writes, _renewed(creates, ttl_s), window_s)
    return 1.0 if math.isinf(lifetime) else lifetime / (lifetime + 1.0 / stores)


def _renewed(writes_per_s: float, ttl_s: float) -> float:
    """Mean time until no write came for a time to live."""
    gaps = writes_per_s * ttl_s
    if gaps == 0.0 or math.isnan(gaps):
        return ttl_s
    return math.inf if gaps > _EXPONENT_MAX else math.expm1(gaps) / writes_per_s


def _bounded(touches_per_s: float, ttl_s: float, window_s: float) -> float:
    """Mean time an entry stays, when it goes at `ttl_s` or when untouched for `window_s`."""
    if ttl_s <= window_s:
        return ttl_s
    touches = touches_per_s * window_s
    if touches > _EXPONENT_MAX:
        return ttl_s
    # What is left of the mean time without time to live after the window; the series avoids cancellation.
    left = touches * window_s / 2.0 if touches < 1e-6 else (math.expm1(touches) - touches) / touches_per_s
    if left <= 0.0 or math.isinf(ttl_s):
        return window_s + left
    if math.isinf(left):
        return ttl_s
    return window_s - left * math.expm1(math.expm1(-touches) * (ttl_s - window_s) / left)


def kept_bytes(spaces: tuple[KeySpace, ...], ttl_s: float, window_s: float = math.inf) -> float:
    """Expected bytes in the cache; without a window, the working set."""
    return sum(
        space.item_bytes * sum(keys * present_share(space, p, ttl_s, window_s) for p, keys in space.classes)
        for space in spaces
    )


def hit_ratio(space: KeySpace, ttl_s: float, window_s: float = math.inf) -> float:
    """Share of the reads of a data set that find it in the cache."""
    return sum(p * keys * present_share(space, p, ttl_s, window_s) for p, keys in space.classes)


@lru_cache(maxsize=256)
def window_of(spaces: tuple[KeySpace, ...], ttl_s: float, memory_bytes: float) -> float:
    """Che's characteristic time in seconds: infinite when the working set fits into the memory."""
    if kept_bytes(spaces, ttl_s) <= memory_bytes:
        return math.inf
    bytes_per_s = sum(s.item_bytes * (s.read_per_s + s.create_per_s + s.update_per_s) for s in spaces)
    # Every stored byte was asked for within the window, so it is at least memory / bytes asked for per second.
    start = math.log(memory_bytes / bytes_per_s)
    return math.exp(_root(lambda log_s: math.log(kept_bytes(spaces, ttl_s, math.exp(log_s)) / memory_bytes), start))


def _root(grows: Callable[[float], float], start: float) -> float:
    """Where a growing function crosses 0, from a point not above 0: doubling steps, then the Illinois rule."""
    left, step = start, 1.0
    at_left = grows(left)
    right, at_right = left, at_left
    while at_right < 0.0 and step < 1e3:
        left, at_left = right, at_right
        right, step = right + step, step * 2.0
        at_right = grows(right)
    for _ in range(60):
        if abs(at_right) < 1e-9 or at_right == at_left:
            break
        middle = right - at_right * (right - left) / (at_right - at_left)
        at_middle = grows(middle)
        if at_middle * at_right < 0.0:
            left, at_left = right, at_right
        else:
            at_left /= 2.0
        right, at_right = middle, at_middle
    return right


@dataclass(frozen=True, slots=True)
class CacheAnswer:
    """What a cache does under a load.

    hit_ratio: data set -> share of reads answered. ample_hit_ratio: the same with memory for all of the working set.
    plain_hit_ratio: rT/(1+rT) alone, without `set` steps of their own and with ample memory.
    window_s: Che's characteristic time at the likely figures, infinite when the working set fits.
    """

    hit_ratio: Mapping[str, Range]
    ample_hit_ratio: Mapping[str, Range]
    plain_hit_ratio: Mapping[str, Range]
    working_set_bytes: Range
    window_s: float


def answer(visits: tuple[Visits, ...], data: Mapping[str, DataSet], users: Range, spec: object) -> CacheAnswer:
    """What a cache with `ttl_ns`, `nodes` and `memory_bytes` does under these visits.

    More requests, fewer keys and smaller items mean more hits, so the low answer takes the opposite ends.
    """
    ttl_s, memory_bytes = ttl_of(spec), memory_of(spec)
    names = tuple(sorted({v.data for v in visits if v.data in data}))
    ends = {
        (rate, size): tuple(_space(name, visits, data[name], users, rate, size) for name in names)
        for rate, size in (("low", "high"), ("likely", "likely"), ("high", "low"), ("low", "low"), ("high", "high"))
    }
    corners = [ends["low", "high"], ends["likely", "likely"], ends["high", "low"]]
    working = [kept_bytes(ends[end, end], ttl_s) for end in ("low", "likely", "high")]
    windows = [window_of(spaces, ttl_s, memory_bytes) for spaces in corners]
    bounded = [[hit_ratio(s, ttl_s, w) for s in spaces] for spaces, w in zip(corners, windows, strict=True)]
    ample = [[hit_ratio(s, ttl_s) for s in spaces] for spaces in corners]
    alone = [[hit_ratio(replace(s, create_per_s=0.0, update_per_s=0.0), ttl_s) for s in spaces] for spaces in corners]
    return CacheAnswer(
        {name: _ordered(*(end[i] for end in bounded)) for i, name in enumerate(names)},
        {name: _ordered(*(end[i] for end in ample)) for i, name in enumerate(names)},
        {name: _ordered(*(end[i] for end in alone)) for i, name in enumerate(names)},
        _ordered(*working),
        windows[1],
    )


def ttl_of(spec: object) -> float:
    """Time to live of a cache's spec in seconds; infinite when it has none."""
    ttl_ns = getattr(spec, "ttl_ns", 0)
    return ttl_ns / 1e9 if ttl_ns > 0 else math.inf


def memory_of(spec: object) -> float:
    """Memory for values over all nodes of a cache's spec, in bytes."""
    return float(getattr(spec, "memory_bytes", 0)) * float(getattr(spec, "nodes", 1))


def _ordered(low: float, likely: float, high: float) -> Range:
    # Rounding, and data sets that crowd each other out, may cross the ends by a hair.
    return Range(min(low, likely), likely, max(likely, high))


def _space(name: str, visits: tuple[Visits, ...], data: DataSet, users: Range, rate: str, size: str) -> KeySpace:
    """A data set in the cache with the request rates at one end and keys and item size at another."""
    mine = [v for v in visits if v.data == name]

    def total(verb: str, writes: str = "") -> float:
        return float(sum(getattr(v.rate_per_s, rate) for v in mine if v.verb == verb and v.writes == writes))

    return KeySpace(
        keys=max(1, round(getattr(keys_of(data, users), size))),
        exponent=data.popularity.exponent,
        item_bytes=getattr(data.size_bytes, size),
        read_per_s=total("get"),
        reads_fill=any(v.writes == FILLS for v in mine),
        create_per_s=total("set", CREATES),
        update_per_s=total("set", UPDATES),
    )


def keys_of(data: DataSet, users: Range) -> Range:
    """How many items of a data set there are at once; of data that is never deleted, after a year."""
    count = interval.times(data.count.value, users) if data.count.is_per_user else data.count.value
    if not data.count.period_ns:
        return count
    keep = data.keep_ns or Range.exactly(YEAR)
    return interval.times(count, keep, 1.0 / data.count.period_ns)
