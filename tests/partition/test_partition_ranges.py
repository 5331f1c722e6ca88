"""Range partitions: splits by size and load, the right edge, the hot key, merges without flapping."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import UsageError
from tenfold.partition import Limits, Merge, RangeMap, RangePartitions, Split, Unsplittable

S = 1_000_000_000
LIMITS = Limits(
    split_size_bytes=100_000, split_load_per_s=100.0, merge_size_bytes=25_000, merge_quiet_ns=60 * S, split_looks=3
)


class Table:
    """Partitions under a load, looked at every ten seconds; every piece of advice is followed."""

    def __init__(self, seed: int = 1, limits: Limits = LIMITS) -> None:
        self.dice = random.Random(seed)
        self.partitions = RangePartitions(["a", "b"], limits, draw=self.dice.random)
        self.now_ns = 0
        self.made: list[object] = []

    def look(self) -> list[object]:
        self.now_ns += 10 * S
        advice = self.partitions.look(self.now_ns)
        for each in advice:
            self.partitions.apply(each)
        self.made += advice
        return list(advice)

    def read(self, count: int, periods: int = 1, below: int = 1_000) -> None:
        for _ in range(periods):
            for _ in range(count):
                self.partitions.record(f"{self.dice.randrange(below):06}")
            self.look()


def test_a_busy_range_is_split_where_its_load_halves() -> None:
    table = Table()
    table.read(1_500, periods=3)
    (split,) = table.made
    assert isinstance(split, Split)
    assert 350 <= int(split.at) <= 650
    assert len(set(table.partitions.current.owners)) == 2


def test_a_burst_splits_nothing() -> None:
    table = Table()
    table.read(1_500, periods=2)
    table.read(500, periods=1)
    table.read(1_500, periods=2)
    assert table.made == []


def test_a_large_range_is_split_at_its_middle_key() -> None:
    table = Table()
    written = [f"{number:06}" for number in range(1_000)]
    table.dice.shuffle(written)
    for key in written:
        table.partitions.record(key, written_bytes=120)
    (split,) = table.look()
    assert isinstance(split, Split)
    assert 400 <= int(split.at) <= 600


@pytest.mark.parametrize("size_bytes", [90, 10])
def test_keys_that_only_grow_are_split_at_the_right_edge(size_bytes: int) -> None:
    table, number = Table(), 0
    for _ in range(8):
        for _ in range(1_200):
            number += 1
            table.partitions.record(f"{number:06}", written_bytes=size_bytes)
        last = f"{number:06}"
        for advice in table.look():
            assert isinstance(advice, Split)
            assert advice.at == last
            assert "right edge" in advice.reason
    assert table.made


def test_one_hot_key_is_called_so_and_split_no_further() -> None:
    table = Table()
    for _ in range(50):
        for _ in range(2_000):
            table.partitions.record("hot" if table.dice.random() < 0.9 else f"{table.dice.randrange(1_000)}")
        table.look()
    found = [each for each in table.made if isinstance(each, Unsplittable)]
    assert len(found) >= 40
    assert {each.key for each in found} == {"hot"}
    assert all("cannot split, a single key" in each.reason for each in found)
    assert not [each for each in table.made if not isinstance(each, Unsplittable)]
    last = found[-1]
    assert last.at_least <= 0.92 * 2_000
    assert last.load >= 0.88 * 2_000


def test_a_hot_key_beside_a_load_of_its_own_is_cut_off_a_bounded_number_of_times() -> None:
    table = Table()
    for _ in range(60):
        for _ in range(4_000):
            table.partitions.record("0500" if table.dice.random() < 0.4 else f"{table.dice.randrange(1_000):04}")
        table.look()
    splits = [each for each in table.made if isinstance(each, Split)]
    assert 1 <= len(splits) <= 8
    assert isinstance(table.made[-1], Unsplittable)


def test_what_was_split_and_fell_quiet_is_merged_once() -> None:
    table = Table()
    table.read(1_500, periods=3)
    table.read(200, periods=60)
    assert [type(each) for each in table.made] == [Split, Merge]
    assert table.partitions.current.starts == ()
    assert table.partitions.current.version == 3


def test_a_load_between_the_limits_changes_nothing() -> None:
    table = Table()
    table.read(1_500, periods=3)
    table.read(800, periods=60)
    assert [type(each) for each in table.made] == [Split]


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.floats(0.2, 3.0))
def test_under_a_constant_load_ranges_come_to_rest(seed: int, times: float) -> None:
    table = Table(seed)
    table.read(round(1_000 * times), periods=20)
    changes = len(table.made)
    table.read(round(1_000 * times), periods=20)
    assert len([each for each in table.made[changes:] if isinstance(each, Merge)]) == 0
    assert len(table.made) - changes <= 1


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 20)), st.lists(st.integers(-5, 25), min_size=1))
def test_a_map_of_ranges_answers_like_a_list(cuts: list[int], asked: list[int]) -> None:
    current, starts = RangeMap((), ("n",)), {-100: "n"}
    for number, at in enumerate(cuts):
        if at in starts:
            current = current.merge(at)
            del starts[at]
        else:
            current = current.split(at, f"n{number}")
            starts[at] = f"n{number}"
    assert current.version == len(cuts) + 1
    for key in asked:
        assert current.node(key) == starts[max(start for start in starts if start <= key)]


def test_advice_for_ranges_that_have_changed_is_refused() -> None:
    partitions = RangePartitions(["a"])
    partitions.apply(Split("m", "here"))
    with pytest.raises(UsageError, match="begins with 'm' already"):
        partitions.apply(Split("m", "again"))
    partitions.apply(Merge("m", "back"))
    with pytest.raises(UsageError, match="no range begins with 'm'"):
        partitions.apply(Merge("m", "again"))
    with pytest.raises(UsageError, match="there are no nodes"):
        RangePartitions([])
    with pytest.raises(UsageError, match="do not fit together"):
        RangeMap(("b", "a"), ("x", "y", "z"))
