"""The bounded map: its bound, what it keeps, and when it drops."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.runtime.cache.bounded import BUCKET_BITS, BoundedMap

S = 1_000_000_000
BUCKET_NS = 1 << BUCKET_BITS


def test_a_key_comes_back_with_its_value() -> None:
    entries = BoundedMap(10)
    entries.set("a", 1)
    assert entries.get("a") == 1
    assert entries.peek("a") == 1
    assert entries.get("b", "none") == entries.peek("b", "none") == "none"
    assert "a" in entries
    assert list(entries) == ["a"]


def test_setting_again_replaces() -> None:
    entries = BoundedMap(10)
    entries.set("a", 1)
    entries.set("a", 2)
    assert (entries.get("a"), len(entries)) == (2, 1)


def test_the_bound_is_never_exceeded() -> None:
    seen: list[int] = []
    entries = BoundedMap(100, lambda key, value: seen.append(len(entries)))
    for key in range(1_000):
        entries.set(key, key)
        seen.append(len(entries))
    assert max(seen) == 100
    assert len(entries) == 100


def test_a_bound_of_one_holds_the_last_key() -> None:
    entries = BoundedMap(1)
    for key in range(50):
        entries.set(key, key)
        assert entries.get(key) == key
    assert len(entries) == 1


def test_a_bound_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="write 1 or more"):
        BoundedMap(0)


def test_what_is_used_again_outlives_a_scan() -> None:
    entries = BoundedMap(100)
    for _ in range(5):
        for key in range(50):
            if entries.get(key) is None:
                entries.set(key, key)
    for key in range(1_000, 3_000):
        entries.set(key, key)
    assert sum(key in entries for key in range(50)) == 50


def test_a_key_that_returns_soon_after_it_left_goes_to_the_main_queue() -> None:
    entries = BoundedMap(10)
    for key in range(11):
        entries.set(key, key)
    assert 0 not in entries
    entries.set(0, 0)
    for key in range(100, 110):
        entries.set(key, key)
    assert 0 in entries


def test_the_owner_is_told_what_left_but_not_what_was_deleted_or_replaced() -> None:
    gone: list[tuple[str, int]] = []
    entries = BoundedMap(2, lambda key, value: gone.append((key, value)))
    entries.set("a", 1)
    entries.set("a", 2)
    entries.set("b", 3)
    assert entries.delete("b")
    assert not entries.delete("b")
    assert gone == []
    entries.set("c", 4)
    entries.set("d", 5)
    assert gone == [("a", 2)]


def test_a_key_is_dropped_when_its_time_is_over() -> None:
    gone: list[str] = []
    entries = BoundedMap(10, lambda key, value: gone.append(key))
    entries.set("a", 1, 5 * S)
    entries.set("b", 1, 50 * S)
    entries.set("c", 1)
    assert entries.expire(5 * S) == 0
    assert entries.expire(5 * S + BUCKET_NS) == 1
    assert (gone, len(entries)) == (["a"], 2)
    assert entries.expire(1_000_000 * S) == 1
    assert list(entries) == ["c"]


def test_a_key_whose_time_was_moved_is_dropped_at_the_later_one() -> None:
    entries = BoundedMap(10)
    entries.set("a", 1, 5 * S)
    entries.set("a", 2, 50 * S)
    assert entries.expire(20 * S) == 0
    assert entries.get("a") == 2
    assert entries.expire(52 * S) == 1


def test_a_deleted_key_is_not_due_any_more() -> None:
    entries = BoundedMap(10)
    entries.set("a", 1, 5 * S)
    entries.delete("a")
    entries.set("a", 2)
    assert entries.expire(100 * S) == 0
    assert entries.get("a") == 2


def test_the_times_of_a_key_set_over_and_over_leave_nothing_behind() -> None:
    entries = BoundedMap(10)
    for turn in range(20_000):
        entries.set("a", turn, (turn + 1) * 3 * S)
    assert len(entries._due) == 1
    assert len(entries._buckets) < 100


@given(st.integers(1, 12), st.lists(st.tuples(st.sampled_from("gsdtx"), st.integers(0, 20), st.integers(0, 30))))
def test_it_is_a_map_that_may_forget(bound: int, steps: list[tuple[str, int, int]]) -> None:
    entries, model, now_s = BoundedMap(bound), {}, 0
    for step, key, number in steps:
        if step == "g":
            assert entries.get(key) in (None, model.get(key))
        elif step == "d":
            entries.delete(key)
            model.pop(key, None)
        elif step == "x":
            now_s += number
            entries.expire(now_s * S)
        else:
            model[key] = object()
            entries.set(key, model[key], (now_s + number) * S if step == "t" else 0)
            assert entries.peek(key) is model[key]
        assert len(entries) == len(entries._small) + len(entries._main) <= bound
        assert sum(map(len, entries._due.values())) <= len(entries)
        assert set(entries._due) <= set(entries._buckets)


def test_hit_ratio_of_a_skewed_load_with_a_scan_beats_least_recently_used() -> None:
    from collections import OrderedDict

    dice = random.Random(1)
    weights = [1 / rank**0.9 for rank in range(1, 10_001)]
    load = dice.choices(range(10_000), weights, k=60_000)
    load[30_000:30_000] = range(100_000, 110_000)
    entries, recent = BoundedMap(500), OrderedDict[int, int]()
    hits, recent_hits = 0, 0
    for key in load:
        if entries.get(key) is None:
            entries.set(key, key)
        else:
            hits += 1
        if key in recent:
            recent.move_to_end(key)
            recent_hits += 1
        else:
            recent[key] = key
            if len(recent) > 500:
                recent.popitem(last=False)
    assert hits > recent_hits * 1.1
