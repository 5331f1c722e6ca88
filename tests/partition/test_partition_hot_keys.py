"""Space-saving: the true hottest keys, and an error that is bounded."""

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import UsageError
from tenfold.partition import SpaceSaving

quick = settings(derandomize=True, deadline=None, max_examples=100)


def test_a_million_hits_of_a_zipf_population_show_the_true_top_ten_in_a_thousand_counters() -> None:
    weights = list(itertools.accumulate(rank**-1.1 for rank in range(1, 100_001)))
    hits = random.Random(1).choices(range(100_000), cum_weights=weights, k=1_000_000)
    true = Counter(hits)
    saving = SpaceSaving(1_000)
    for key in hits:
        saving.add(f"key-{key}")
    top = saving.top(10)
    assert [hot.key for hot in top] == [f"key-{key}" for key, _ in true.most_common(10)]
    assert saving.is_certain(10)
    for hot in top:
        assert hot.at_least <= true[int(str(hot.key).removeprefix("key-"))] <= hot.load
        assert hot.error <= saving.error_max == 1_000
    assert sum(hot.share for hot in top) == pytest.approx(sum(c for _, c in true.most_common(10)) / 1e6, abs=0.01)


@quick
@given(st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.integers(0, 9))), st.integers(1, 8))
def test_no_count_is_too_low_nor_more_than_its_error_too_high(stream: list[tuple[str, int]], counters: int) -> None:
    saving, true = SpaceSaving(counters), Counter[str]()
    for key, load in stream:
        saving.add(key, load)
        true[key] += load
    followed = {str(hot.key): hot for hot in saving.top(100)}
    assert len(followed) <= counters
    for key, hot in followed.items():
        assert hot.at_least <= true[key] <= hot.load
        assert hot.error <= saving.error_max
    assert all(key in followed for key, load in true.items() if load > saving.error_max)


@quick
@given(st.lists(st.sampled_from("abcdefghijkl"), min_size=1), st.integers(1, 3))
def test_a_top_that_is_certain_is_true(stream: list[str], count: int) -> None:
    saving, true = SpaceSaving(5), Counter(stream)
    for key in stream:
        saving.add(key)
    if saving.is_certain(count) and len(saving.top(count)) == count:
        least = min(true[str(hot.key)] for hot in saving.top(count))
        others = [load for key, load in true.items() if key not in {hot.key for hot in saving.top(count)}]
        assert all(load <= least for load in others)


def test_without_a_counter_nothing_can_be_counted() -> None:
    with pytest.raises(UsageError, match="0 counters"):
        SpaceSaving(0)
