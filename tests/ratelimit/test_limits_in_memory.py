"""Counts in memory: bounded, and the bound gets nobody around a limit; several limits are one step."""

import asyncio
import resource
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limiting import ALGORITHMS, START_NS, Clock, S, most_within

from tenfold.errors import UsageError
from tenfold.ratelimit import Limiter, MemoryLimits, ThreadLimiter
from tenfold.runtime.ratelimit.limits import limit
from tenfold.runtime.ratelimit.meters import meters
from tenfold.runtime.ratelimit.table import LimitTable, table


def of(*texts: str, algorithm: str = "gcra", entries_max: int = 1_000, clock: Clock) -> LimitTable:
    return table(meters(tuple(limit(text, algorithm) for text in texts)), entries_max, clock)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_exhausted_key_stays_denied_however_many_others_come(algorithm: str) -> None:
    clock = Clock()
    counted = of("100/min", algorithm=algorithm, clock=clock)
    while counted.hit("A", 1).allowed:
        clock.now_ns += 1
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(100_000 if algorithm == "gcra" else 20_000):
        counted.hit(f"spray {number}", 1)
    assert not counted.hit("A", 1).allowed
    assert len(counted) <= 1_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 8_192


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_table_is_full_of_keys_that_count_no_more_only_until_others_come(algorithm: str) -> None:
    clock = Clock()
    counted = of("10/s", algorithm=algorithm, clock=clock)
    for number in range(875):
        counted.hit(f"old {number}", 1)
    clock.now_ns += 2 * S
    for number in range(500):
        assert counted.hit(f"young {number}", 10).remaining == 0
        assert not counted.hit(f"young {number}", 1).allowed
    assert len(counted) <= 875


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(ALGORITHMS),
    st.lists(st.tuples(st.integers(0, S // 2), st.integers(0, 9), st.integers(1, 3)), max_size=120),
)
def test_no_key_gets_more_than_its_bound_out_of_a_table_that_is_far_too_small(
    algorithm: str, hits: list[tuple[int, int, int]]
) -> None:
    clock = Clock()
    counted = of("5/s", algorithm=algorithm, entries_max=4, clock=clock)
    passed: dict[str, list[tuple[int, int]]] = {}
    for later_ns, who, cost in hits:
        clock.now_ns += later_ns
        if counted.hit(str(who), cost).allowed:
            passed.setdefault(str(who), []).append((clock.now_ns, cost))
        assert len(counted) <= 4
    for units in passed.values():
        assert most_within(S, units) <= limit("5/s", algorithm).bound(S)


def test_a_key_that_gets_a_place_takes_along_what_its_bucket_has_counted() -> None:
    clock = Clock()
    counted = of("10/s burst 10", entries_max=2, clock=clock)
    counted.hit("first", 1)  # has the only place, for 100 ms
    counted.hit("second", 10)
    clock.now_ns += 200_000_000
    assert counted.hit("second", 2).allowed
    assert not counted.hit("second", 1).allowed


# Several limits.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_hit_denied_by_the_second_limit_consumes_nothing_of_the_first(algorithm: str) -> None:
    clock = Clock()
    counted = of("100/min", "10/s", algorithm=algorithm, clock=clock)
    for _ in range(50):
        counted.hit("k", 1)
    decision = counted.hit("k", 1)
    assert [each.remaining for each in decision.standings] == [90, 0]
    assert [each.is_violated for each in decision.standings] == [False, True]
    assert decision.remaining == 0
    assert decision.limit == 10


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_refund_goes_to_every_limit(algorithm: str) -> None:
    clock = Clock()
    counted = of("100/min", "10/s", algorithm=algorithm, clock=clock)
    decision = counted.hit("k", 3)
    counted.refund("k", 3, decision.at_ns)
    assert [each.remaining for each in counted.peek("k", 1).standings] == [100, 10]


# The limiter around it.


def test_coroutines_and_threads_share_what_they_count_by_name_and_limits() -> None:
    store = MemoryLimits(clock_ns=Clock())
    sync = ThreadLimiter(store, "10/s", "20/min")

    async def scene() -> None:
        limiter = Limiter(store, "10/s", "20/min")
        assert (await limiter.hit("k", 4)).remaining == 6
        assert sync.hit("k", 3).remaining == 3
        assert (await limiter.peek("k")).remaining == 3
        assert (await Limiter(store, "10/s", "20/min", name="other").peek("k")).remaining == 10
        assert (await Limiter(store, "10/s").peek("k")).remaining == 10

    asyncio.run(scene())
    sync.close()


def test_the_same_calls_for_threads() -> None:
    with ThreadLimiter(MemoryLimits(clock_ns=Clock()), "10/s") as limiter:
        decisions = limiter.hit_many([("a", 1), ("b", 10), ("b", 1), ("a", 2)])
        assert [each.allowed for each in decisions] == [True, True, False, True]
        assert limiter.peek("a").remaining == 7
        limiter.refund(decisions[3])
        limiter.refund(decisions[3])
        assert limiter.peek("a").remaining == 9
        assert decisions[3].is_refunded


def test_threads_get_exactly_the_limit_between_them() -> None:
    limiter = ThreadLimiter(MemoryLimits(clock_ns=Clock()), "1000/h")

    def hammer() -> int:
        return sum(limiter.hit("k").allowed for _ in range(1_000))

    with ThreadPoolExecutor(8) as pool:
        assert sum(each.result() for each in [pool.submit(hammer) for _ in range(8)]) == 1_000


def test_a_hit_that_costs_more_than_the_limit_is_denied_for_good() -> None:
    limiter = ThreadLimiter(MemoryLimits(clock_ns=Clock(START_NS)), "10/s")
    decision = limiter.hit("k", 11)
    assert not decision.allowed
    assert decision.retry_after_ns == 2**62
    assert limiter.hit("k", 10).allowed


@pytest.mark.parametrize("cost", [0, -1])
def test_a_hit_that_costs_nothing_is_a_mistake(cost: int) -> None:
    limiter = ThreadLimiter(MemoryLimits(), "10/s")
    with pytest.raises(UsageError, match="costs"):
        limiter.hit("k", cost)


def test_long_keys_are_told_apart_and_not_kept() -> None:
    limiter = ThreadLimiter(MemoryLimits(clock_ns=Clock()), "1/h")
    long = "k" * 10_000
    assert limiter.hit(long).allowed
    decision = limiter.hit(long)
    assert not decision.allowed
    assert all(len(key) < 50 for key in limiter._local._own)  # type: ignore[union-attr]
    assert limiter.hit(long + "k").allowed
    assert limiter.hit("\udcff" * 200).allowed
