"""Sizing of shards: the fullest decides, the hottest key cannot be split, and the remedy names a number that works."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from small_designs import component, exactly, load, visits
from tenfold.design.demand import Demand, Excuse, Load
from tenfold.design.schema import Count, DataSet, Popularity, Requirements
from tenfold.sizing.popularity import top_share
from tenfold.sizing.shards import BY_HASH, BY_RANGE, hottest_share

quick = settings(derandomize=True, deadline=None, max_examples=60)


def user(exponent: float = 0.9, keys: int = 100_000) -> DataSet:
    return DataSet("user", exactly(1_000), Count(exactly(keys)), popularity=Popularity(exponent))


def asked(*listed: Any, data: DataSet | None = None) -> Load:
    requirements = Requirements(data={"user": data or user()})
    return load(*listed, requirements=requirements)


def demand(of: Load, kind: str = "postgres", **spec: Any) -> Demand | Excuse:
    part = component("db", kind, **spec)
    answer: Demand | Excuse = part.kind.demand(part, of)
    return answer


def figures(answer: Demand | Excuse) -> Demand:
    if isinstance(answer, Demand):
        return answer
    assert answer.figures is not None
    return answer.figures


def test_without_popularity_every_shard_has_an_even_part() -> None:
    for by in (BY_HASH, BY_RANGE):
        assert hottest_share(8, by, 10_000_000, 0.0) == pytest.approx(1 / 8, rel=0.01)


def test_the_first_range_has_the_sum_of_the_first_keys() -> None:
    exact = sum(rank**-0.9 for rank in range(1, 251)) / sum(rank**-0.9 for rank in range(1, 2_001))
    assert hottest_share(8, BY_RANGE, 2_000, 0.9) == pytest.approx(exact, rel=0.001)


@quick
@given(st.integers(1, 200), st.integers(1, 10**9), st.floats(0, 1.5), st.sampled_from([BY_HASH, BY_RANGE]))
def test_a_fullest_shard_has_an_even_part_at_least_and_the_hottest_key_whole(
    count: int, keys: int, exponent: float, by: int
) -> None:
    share = hottest_share(count, by, keys, exponent)
    assert 1 / count - 1e-9 <= share <= 1
    assert share >= top_share(keys, exponent) - 1e-9


@quick
@given(st.integers(1, 100), st.floats(0, 1.4), st.sampled_from([BY_HASH, BY_RANGE]))
def test_more_shards_never_give_the_fullest_more(count: int, exponent: float, by: int) -> None:
    more = hottest_share(count + 1, by, 100_000, exponent)
    assert more <= hottest_share(count, by, 100_000, exponent) * (1 + 1e-6)


def test_the_fullest_shard_decides_what_is_used_and_how_many_servers_are_needed() -> None:
    of = asked(visits("insert", 8_000, 1))
    answer = figures(demand(of, cores=4, shards=8, shard_key="user", pool=1_000))
    share = hottest_share(8, BY_HASH, 100_000, 0.9)
    assert answer.utilisation["statements"].likely == pytest.approx(8 * share / 8)
    assert answer.nodes_declared == answer.nodes_now.likely == 8
    fullest = next(need for need in answer.needs if need.name == "fullest shard")
    assert fullest.value.likely == pytest.approx(8 * share)
    assert "where an even part is 12.5 %" in fullest.formula
    assert "8 shards by hash of user" in answer.notes[0]


def test_ranges_of_popular_neighbours_need_a_cure_that_hashing_is() -> None:
    of = asked(visits("insert", 12_000, 1))
    answer = demand(of, cores=4, shards=8, shard_by=1, shard_key="user", pool=1_000)
    assert isinstance(answer, Excuse)
    assert "of the fullest of 8 shards" in answer.reason
    assert "fewer with shard_by: hash" in answer.remedy
    assert isinstance(demand(of, cores=4, shards=8, shard_key="user", pool=1_000), Demand)


def test_the_number_of_shards_in_the_remedy_is_enough_and_one_less_is_not() -> None:
    of = asked(visits("insert", 30_000, 1))
    answer = demand(of, cores=4, shards=2, shard_key="user", pool=1_000)
    assert isinstance(answer, Excuse)
    count = int(answer.remedy.removeprefix("shards: ").split(",")[0])
    assert isinstance(demand(of, cores=4, shards=count, shard_key="user", pool=1_000), Demand)
    assert isinstance(demand(of, cores=4, shards=count - 1, shard_key="user", pool=1_000), Excuse)


def test_a_single_primary_that_is_full_is_told_how_many_shards_help() -> None:
    answer = demand(asked(visits("insert", 30_000, 1)), cores=4, pool=1_000)
    assert isinstance(answer, Excuse)
    assert answer.remedy.startswith("shards: 5 with a shard_key")


def test_a_hottest_key_larger_than_a_shard_cannot_be_split() -> None:
    of = asked(visits("insert", 200_000, 1), data=user(1.3))
    answer = demand(of, cores=4, shards=64, shard_key="user", pool=10_000)
    assert isinstance(answer, Excuse)
    assert answer.bottleneck == "hottest key"
    assert "a key cannot be split" in answer.reason
    assert answer.remedy.startswith("keep the hottest in a cache")


def test_calls_after_a_miss_are_even() -> None:
    missed = visits("query", 8_000, 1)
    after = type(missed)(**{name: getattr(missed, name) for name in missed.__slots__} | {"path": ("f", "on_miss", 0)})
    plain, even = (figures(demand(asked(each), shards=8, shard_by=1, shard_key="user")) for each in (missed, after))
    assert even.utilisation["statements"].likely == pytest.approx(8 / 8 / 16)
    assert plain.utilisation["statements"].likely > 3 * even.utilisation["statements"].likely


def test_rows_divide_evenly_over_the_disks() -> None:
    of = load(visits("insert", 1, 1), requirements=Requirements(data={"user": user()}), data=(user(),))
    whole = figures(demand(of)).utilisation["disk"].likely
    assert figures(demand(of, shards=4, shard_key="user")).utilisation["disk"].likely == pytest.approx(whole / 4)


@quick
@given(st.integers(2, 30), st.sampled_from([0, 1]), st.floats(1, 60_000), st.floats(1, 10), st.floats(0, 1.3))
def test_more_traffic_never_needs_less_with_shards(
    count: int, by: int, rate: float, factor: float, exponent: float
) -> None:
    def nodes(per_s: float) -> float:
        of = asked(visits("insert", per_s, 1), visits("query", per_s, 1), data=user(exponent))
        return figures(demand(of, cores=4, shards=count, shard_by=by, shard_key="user")).nodes_now.likely

    assert nodes(rate) <= nodes(rate * factor)


def test_a_cache_by_range_needs_nodes_for_its_hottest_range() -> None:
    item = DataSet("item", exactly(1_000), Count(exactly(100_000)), popularity=Popularity(0.9))
    of = load(visits("get", 200_000, 0.01, data="item"), data=(item,))
    part = component("c", "redis", nodes=4, holds="item", shard_by=1)
    answer = part.kind.demand(part, of)
    share = hottest_share(4, BY_RANGE, 100_000, 0.9)
    assert figures(answer).utilisation["thread"].likely == pytest.approx(2 * share)
    needed = figures(answer).nodes_now.likely
    assert needed > 10
    assert 2 * 1.3 * hottest_share(int(needed), BY_RANGE, 100_000, 0.9) <= 1
    assert 2 * 1.3 * hottest_share(int(needed) - 1, BY_RANGE, 100_000, 0.9) > 1
    by_hash = component("c", "redis", nodes=4, holds="item")
    assert figures(by_hash.kind.demand(by_hash, of)).nodes_now.likely < needed
    assert math.isinf(
        figures(part.kind.demand(part, load(visits("get", 3e6, 0.01, data="item"), data=(item,)))).nodes_now.likely
    )
