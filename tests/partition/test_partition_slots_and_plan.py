"""The slot table, and plans between maps of both kinds."""

import itertools
import statistics
from collections import Counter

import pytest
from clusters import TEN, coarse_hashing, keys
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import UsageError
from tenfold.partition import HashRanges, Node, Ring, SlotTable, Snapshot, plan

quick = settings(derandomize=True, deadline=None, max_examples=60)
weighted = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.005, 0.5, 1.0, 2.0]), min_size=1)


@st.composite
def maps(draw: st.DrawFn) -> Snapshot:
    """Rings and tables over some of eight nodes."""
    nodes = draw(weighted)
    if draw(st.booleans()):
        return Ring(nodes, points=draw(st.integers(1, 30)))
    return SlotTable(nodes, slots=draw(st.integers(len(nodes), 100)))


def test_slots_are_even_to_a_thousandth() -> None:
    counts = Counter(SlotTable(TEN).owners)
    assert max(counts.values()) / statistics.fmean(counts.values()) <= 1.001
    shares = SlotTable(TEN).ranges().shares()
    assert max(shares.values()) * 10 <= 1.001


def test_an_eleventh_node_takes_its_slots_and_no_others_move() -> None:
    moves = plan(SlotTable(TEN), SlotTable(TEN).with_node("node-10"))
    assert moves.share <= 1 / 11 + 1 / 16_384
    assert {move.destination for move in moves.moves} == {"node-10"}


@quick
@given(weighted, st.data())
def test_as_few_slots_move_as_the_targets_need(nodes: dict[str, float], data: st.DataObject) -> None:
    table = SlotTable(nodes, slots=200)
    changed = table.with_node(Node("z", data.draw(st.sampled_from([0.5, 1.0, 3.0]))))
    if len(nodes) > 1 and data.draw(st.booleans()):
        changed = table.without_node(data.draw(st.sampled_from(sorted(nodes))))
    before, after = Counter(table.owners), Counter(changed.owners)
    moved = sum(a != b for a, b in zip(table.owners, changed.owners, strict=True))
    assert moved == sum(max(0, after[name] - before[name]) for name in after)
    assert set(after) == {node.name for node in changed.nodes}
    weight = sum(node.weight for node in changed.nodes)
    small = sum(node.weight * 200 / weight < 1 for node in changed.nodes)
    for node in changed.nodes:
        assert after[node.name] == pytest.approx(max(1, 200 * node.weight / weight), abs=1 + small)


def test_a_kept_table_is_taken_up_as_it_was() -> None:
    table = SlotTable(TEN).with_node("x").without_node("node-2")
    again = SlotTable(table.nodes, owners=table.owners)
    assert again == table
    assert again.node("user:1") == table.node("user:1")


def test_slots_of_any_number_are_equal_ranges_of_hashes() -> None:
    table = SlotTable(TEN, slots=1_000)
    asked = keys(5_000)
    assert [table.ranges().node(key) for key in asked] == table.many(asked) == [table.node(key) for key in asked]
    assert table.owners[table.slot("user:7")] == table.node("user:7")


def test_replicas_of_a_slot_are_spread_over_all_other_nodes() -> None:
    table = SlotTable(TEN)
    seconds = Counter(table.replicas(key, 2)[1] for key in keys(20_000) if table.node(key) == "node-0")
    assert set(seconds) == set(TEN) - {"node-0"}
    assert max(seconds.values()) < 2 * min(seconds.values())


def test_a_plan_names_exactly_the_keys_that_brute_force_finds() -> None:
    old, new = Ring(TEN), Ring(TEN).without_node("node-1").with_node("x").with_weight("node-2", 1.7)
    asked = keys(200_000)
    brute = {key: (a, b) for key, a, b in zip(asked, old.many(asked), new.many(asked), strict=True) if a != b}
    moves = plan(old, new)
    assert {key: (move.source, move.destination) for key, move in moves.moving(asked)} == brute
    assert moves.share == pytest.approx(len(brute) / len(asked), abs=0.003)
    assert sum(flow.share for flow in moves.flows()) == pytest.approx(moves.share)


@quick
@given(maps(), maps(), st.floats(0.001, 1.0))
def test_a_plan_applied_gives_the_second_map_and_reversed_the_first(old: Snapshot, new: Snapshot, part: float) -> None:
    moves = plan(old, new).cut(part)
    after = moves.applied(old)
    assert after == new.ranges()
    assert moves.reversed().applied(after) == old.ranges()
    assert all(move.share <= part for move in moves.moves)
    assert all(a.last < b.first for a, b in itertools.pairwise(moves.moves))
    for place in (0, 2**64 - 1, *(move.first for move in moves.moves[:20]), *(move.last for move in moves.moves[:20])):
        number = moves.index_of(place)
        owners = (old.ranges().owner(place), new.ranges().owner(place))
        there = (moves.moves[number].source, moves.moves[number].destination) if number >= 0 else (owners[0],) * 2
        assert there == owners


@quick
@given(maps(), maps(), st.randoms(use_true_random=False))
def test_half_a_plan_leaves_a_map_from_which_the_rest_can_be_planned(
    old: Snapshot, new: Snapshot, dice: "st.Random"
) -> None:
    moves = plan(old, new)
    numbers = range(len(moves.moves))
    half = moves.applied(old, dice.sample(numbers, len(numbers) // 2))
    assert plan(half, new).applied(half) == new.ranges()
    assert plan(half, new).share <= moves.share + 1e-12


def test_a_plan_depends_on_no_order() -> None:
    forward, backward = Ring(TEN), Ring(TEN[::-1])
    assert plan(forward, forward.with_node("x")) == plan(backward, Ring(["x", *TEN]))


def test_a_plan_is_refused_on_another_map() -> None:
    moves = plan(Ring("abc"), Ring("abcd"))
    with pytest.raises(UsageError, match="which belong to"):
        moves.applied(Ring("xyz"))


def test_maps_of_two_hashes_cannot_be_planned() -> None:
    with pytest.raises(UsageError, match="xxh3 and coarse"):
        plan(Ring("abc"), Ring("abc", hashing=coarse_hashing()))


def test_ranges_cover_every_hash_once() -> None:
    pieces = list(Ring(TEN).ranges())
    assert pieces[0][0] == 0
    assert pieces[-1][1] == 2**64 - 1
    assert all(a[1] + 1 == b[0] and a[2] != b[2] for a, b in itertools.pairwise(pieces))
    assert isinstance(Ring(TEN).ranges(), HashRanges)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SlotTable("abc", slots=2), "3 nodes and 2 slots"),
        (lambda: SlotTable("abc", slots=0), "0 slots"),
        (lambda: SlotTable("ab", owners=["a", "b", "c"]), "slots belong to c"),
        (lambda: plan(Ring("ab"), Ring("abc")).cut(0), "ranges of at most 0"),
    ],
)
def test_what_cannot_be_is_refused(build: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build()  # type: ignore[operator]
