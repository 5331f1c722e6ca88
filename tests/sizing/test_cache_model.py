"""Hit ratios against closed forms, sums written out, and simulated caches."""

import math
import random
import time
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from small_designs import component, exactly, visits
from tenfold.design.demand import CREATES, FILLS
from tenfold.design.schema import Count, DataSet, Popularity, Range
from tenfold.sizing import cache
from tenfold.sizing.cache import KeySpace, hit_ratio, kept_bytes, present_share, window_of


def zipf(keys: int, exponent: float) -> list[float]:
    weights = [i**-exponent for i in range(1, keys + 1)]
    return [w / sum(weights) for w in weights]


def space(keys: int = 1_000, exponent: float = 0.9, reads: float = 100.0, **fields: float) -> KeySpace:
    return KeySpace(keys, exponent, 1.0, reads, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("ttl_s", [0.1, 5.0, 300.0])
def test_a_time_to_live_gives_rt_over_one_plus_rt_per_key(ttl_s: float) -> None:
    by_hand = sum(p * (100 * p * ttl_s) / (1 + 100 * p * ttl_s) for p in zipf(1_000, 0.9))
    assert hit_ratio(space(), ttl_s) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("capacity", [10, 100, 600])
def test_a_bounded_memory_without_time_to_live_is_ches_approximation(capacity: int) -> None:
    window_s = window_of((space(),), math.inf, float(capacity))
    shares = zipf(1_000, 0.9)
    assert sum(-math.expm1(-100 * p * window_s) for p in shares) == pytest.approx(capacity, rel=1e-4)
    by_hand = sum(p * -math.expm1(-100 * p * window_s) for p in shares)
    assert hit_ratio(space(), math.inf, window_s) == pytest.approx(by_hand, rel=1e-4)


def test_memory_for_the_whole_working_set_is_no_bound() -> None:
    assert math.isinf(window_of((space(),), 5.0, kept_bytes((space(),), 5.0)))
    assert math.isinf(window_of((space(),), math.inf, 1_000.0))


@pytest.mark.parametrize("ttl_s", [0.5, 5.0, 50.0])
@pytest.mark.parametrize("capacity", [20, 100])
def test_time_to_live_and_bounded_memory_together_agree_with_a_simulated_cache(ttl_s: float, capacity: int) -> None:
    model = space(300)
    expected = hit_ratio(model, ttl_s, window_of((model,), ttl_s, float(capacity)))
    assert simulated(300, 100.0, ttl_s, capacity) == pytest.approx(expected, abs=0.012)


def test_sets_of_their_own_keep_entries_fresh_for_longer_as_in_a_simulated_cache() -> None:
    model = space(300, create_per_s=60.0)
    assert simulated(300, 100.0, 2.0, 10_000, 60.0) == pytest.approx(hit_ratio(model, 2.0), abs=0.012)
    assert hit_ratio(model, 2.0) > hit_ratio(space(300), 2.0)


def simulated(keys: int, reads: float, ttl_s: float, capacity: int, writes: float = 0.0, events: int = 80_000) -> float:
    """Poisson requests to an LRU cache with a time to live that hits do not extend."""
    dice, shares = random.Random(7), zipf(keys, 0.9)
    asked = dice.choices(range(keys), shares, k=events)
    stored: OrderedDict[int, float] = OrderedDict()
    now, hits, total = 0.0, 0, 0
    for index, key in enumerate(asked):
        now += dice.expovariate(reads + writes)
        fresh = stored.get(key, -1.0) > now
        is_write = dice.random() * (reads + writes) < writes
        if index > events // 5 and not is_write:
            total += 1
            hits += fresh
        if not fresh or is_write:
            stored[key] = now + ttl_s
        stored.move_to_end(key)
        evict(stored, now, capacity)
    return hits / total


def evict(stored: "OrderedDict[int, float]", now: float, capacity: int) -> None:
    while len(stored) > capacity:
        # What has expired gives way first, as the model assumes.
        expired = next((key for key, until in stored.items() if until <= now), None)
        stored.pop(expired) if expired is not None else stored.popitem(last=False)


def test_a_key_that_nobody_stores_is_never_there() -> None:
    assert present_share(space(reads_fill=False), 0.1, 60.0, math.inf) == 0.0


def test_huge_rates_and_endless_times_do_not_overflow() -> None:
    assert hit_ratio(space(reads=1e12, create_per_s=1e12), 1e6) == pytest.approx(1.0)
    assert hit_ratio(space(), math.inf) == pytest.approx(1.0)
    assert hit_ratio(space(reads=0.0), 60.0) == 0.0


def test_more_traffic_memory_or_time_never_mean_fewer_hits() -> None:
    def hit(reads: float, memory: float, ttl_s: float) -> float:
        return hit_ratio(space(reads=reads), ttl_s, window_of((space(reads=reads),), ttl_s, memory))

    base = hit(100.0, 50.0, 10.0)
    assert base <= hit(200.0, 50.0, 10.0)
    assert base <= hit(100.0, 90.0, 10.0)
    assert base <= hit(100.0, 50.0, 20.0)


def test_the_answer_takes_opposite_ends_of_rates_and_sizes() -> None:
    data = DataSet("item", Range(500, 1_000, 2_000), Count(Range(800, 1_000, 1_200)), popularity=Popularity(0.9))
    redis = component("cache", "redis", memory_bytes=100_000, holds="item", ttl_ns=10**10)
    rates = Range(50, 100, 200)
    asked = (visits("get", rates, data="item"), visits("set", rates, data="item", writes=FILLS))
    answer = cache.answer(asked, {"item": data}, exactly(0), redis.spec)
    hit, ample = answer.hit_ratio["item"], answer.ample_hit_ratio["item"]
    assert hit.low < hit.likely < hit.high
    assert hit.likely < ample.likely
    assert answer.working_set_bytes.low < answer.working_set_bytes.likely < answer.working_set_bytes.high
    assert ample.likely == pytest.approx(hit_ratio(space(reads=100.0), 10.0))


def test_writes_that_create_are_not_counted_as_reads() -> None:
    data = DataSet("item", exactly(1), Count(exactly(10)))
    redis = component("cache", "redis", holds="item")
    asked = (visits("set", 5.0, data="item", writes=CREATES),)
    answer = cache.answer(asked, {"item": data}, exactly(0), redis.spec)
    assert answer.working_set_bytes.likely == pytest.approx(10.0, rel=1e-3)
    assert answer.plain_hit_ratio["item"].likely == 0.0


def test_a_bounded_cache_over_a_billion_keys_takes_milliseconds() -> None:
    model = KeySpace(10**9, 0.99, 1_000.0, 5e5)
    start = time.process_time()
    window_of((model,), 3_600.0, 64e9)
    assert time.process_time() - start < 0.1


powers = st.floats(-3.0, 7.0).map(lambda power: 10.0**power)
spaces = st.builds(
    KeySpace,
    keys=st.integers(1, 10**9),
    exponent=st.sampled_from((0.0, 0.5, 0.9, 1.0, 1.5, 5.0)),
    item_bytes=powers,
    read_per_s=powers,
    reads_fill=st.booleans(),
    create_per_s=st.one_of(st.just(0.0), powers),
    update_per_s=st.one_of(st.just(0.0), powers),
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(spaces, min_size=1, max_size=2), st.one_of(st.just(math.inf), powers), powers)
def test_a_full_cache_keeps_what_fits_whatever_it_holds(held: list[KeySpace], ttl_s: float, memory: float) -> None:
    both = tuple(held)
    window_s = window_of(both, ttl_s, memory * 1e6)
    if not math.isinf(window_s):
        assert kept_bytes(both, ttl_s, window_s) == pytest.approx(memory * 1e6, rel=1e-4)
    for one in both:
        assert 0.0 <= hit_ratio(one, ttl_s, window_s) <= hit_ratio(one, ttl_s) + 1e-9 <= 1.0 + 1e-6
