"""The ring: how even, what moves, order, collisions, weights, replicas, threads."""

import random
import statistics
import threading
from collections import Counter

import pytest
from clusters import TEN, coarse_hashing, keys, named, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import UsageError
from tenfold.partition import Node, Ring, Router, plan

names = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=12, unique=True)
quick = settings(derandomize=True, deadline=None, max_examples=60)


def test_a_million_keys_on_ten_nodes_are_as_even_as_theory_allows() -> None:
    counts = Counter(Ring(TEN).many(keys(1_000_000)))
    mean = statistics.fmean(counts.values())
    assert len(counts) == 10
    assert max(counts.values()) / mean <= 1.21
    assert statistics.pstdev(counts.values()) / mean <= 0.10


def test_over_200_clusters_the_fullest_node_has_what_theory_says() -> None:
    shares = [Ring(named(number)).ranges().shares().values() for number in range(200)]
    assert statistics.fmean(max(each) * 10 for each in shares) == pytest.approx(1.129, abs=0.01)
    assert statistics.fmean(statistics.pstdev(each) * 10 for each in shares) == pytest.approx(0.0774, abs=0.004)


def test_an_eleventh_node_takes_keys_from_the_others_and_moves_none_between_them() -> None:
    ring = Ring(TEN)
    grown = ring.with_node("node-10")
    asked = keys(200_000)
    moved = [(a, b) for a, b in zip(ring.many(asked), grown.many(asked), strict=True) if a != b]
    assert 0.0776 <= len(moved) / len(asked) <= 0.1052
    assert {b for _, b in moved} == {"node-10"}


def test_over_200_clusters_an_eleventh_node_takes_one_eleventh() -> None:
    taken = []
    for number in range(200):
        ring = Ring(named(number))
        taken.append(plan(ring, ring.with_node(f"cluster-{number}/node-10")).share)
    assert statistics.fmean(taken) == pytest.approx(0.0909, abs=0.0015)


def test_a_removed_nodes_keys_move_and_no_others() -> None:
    ring = Ring(TEN)
    asked = keys(200_000)
    before, after = ring.many(asked), ring.without_node("node-3").many(asked)
    assert all((a != b) == (a == "node-3") for a, b in zip(before, after, strict=True))


@quick
@given(names, st.randoms(use_true_random=False))
def test_the_order_nodes_come_in_does_not_matter(listed: list[str], dice: random.Random) -> None:
    mixed = dice.sample(listed, len(listed))
    ring = Ring(listed[:1], points=20)
    for name in listed[1:]:
        ring = ring.with_node(name)
    assert table_of(Ring(listed, points=20)) == table_of(Ring(mixed, points=20)) == table_of(ring)
    assert ring == Ring(mixed, points=20)


@quick
@given(names.filter(lambda listed: len(listed) > 2), st.randoms(use_true_random=False))
def test_with_collisions_everywhere_order_does_not_matter_and_changes_undo(
    listed: list[str], dice: random.Random
) -> None:
    hashing = coarse_hashing()
    ring = Ring(listed, points=40, hashing=hashing)
    mixed = dice.sample(listed, len(listed))
    assert table_of(ring) == table_of(Ring(mixed, points=40, hashing=hashing))
    gone = dice.choice(listed)
    assert table_of(ring.without_node(gone).with_node(gone)) == table_of(ring)
    assert table_of(ring.with_weight(gone, 3.0).with_weight(gone, 1.0)) == table_of(ring)
    asked = [f"k{number}" for number in range(300)]
    assert ring.many(asked) == [ring.node(key) for key in asked] == [ring.ranges().node(key) for key in asked]


@quick
@given(names, st.lists(st.text(max_size=8), max_size=50), st.integers(1, 400))
def test_one_by_one_in_bulk_and_by_ranges_the_answers_are_equal(
    listed: list[str], asked: list[str], points: int
) -> None:
    ring = Ring(listed, points=points)
    one_by_one = [ring.node(key) for key in asked]
    assert ring.many(asked) == ring.many([key.encode() for key in asked]) == one_by_one
    assert [ring.ranges().node(key) for key in asked] == one_by_one
    assert [next(ring.walk(key)) for key in asked] == one_by_one


def test_text_and_its_bytes_are_one_key() -> None:
    ring = Ring(TEN)
    assert ring.node("ключ") == ring.node("ключ".encode()) == ring.many(["ключ", b"other"])[0]


def test_the_hashes_are_the_ones_of_the_first_release() -> None:
    asked = ["", "a", "user:42", "ключ"]
    assert [Ring(TEN).hashing.of(key) for key in asked] == [
        0x2D06800538D394C2,
        0xE6C632B61E964E1F,
        0x9FC1E605FA7174AA,
        0x9A137C08C1E55EDE,
    ]
    assert [Ring(TEN, hashing="blake2b").hashing.of(key) for key in asked] == [
        0xE4A6A0577479B2B4,
        0x40F89E395B66422F,
        0xD9279B7CB3A5B282,
        0x4CD42D91D185C820,
    ]
    assert Ring(TEN).digest == "41ae3c0e93ec9505"
    assert Ring(TEN).many(asked) == ["node-3", "node-1", "node-6", "node-6"]


def test_weights_are_met_and_the_smallest_still_has_a_point() -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 0.5, "d": 0.005}
    shares = Ring(weights).ranges().shares()
    for name in ("a", "b", "c"):
        assert shares[name] == pytest.approx(weights[name] / 3.505, rel=0.10)
    assert shares["d"] > 0


def test_over_200_clusters_weights_are_met_closely() -> None:
    weights = (1.0, 2.0, 0.5)
    sums = [0.0, 0.0, 0.0]
    for number in range(200):
        cluster = dict(zip(named(number, 3), weights, strict=True))
        for place, share in enumerate(Ring(cluster).ranges().shares().values()):
            sums[place] += share / 200
    assert sums == pytest.approx([weight / 3.5 for weight in weights], rel=0.02)


def test_another_weight_moves_keys_to_or_from_that_node_only() -> None:
    ring = Ring(TEN)
    heavier, lighter = ring.with_weight("node-4", 2), ring.with_weight("node-4", 0.5)
    assert {flow.destination for flow in plan(ring, heavier).flows()} == {"node-4"}
    assert {flow.source for flow in plan(ring, lighter).flows()} == {"node-4"}
    assert plan(ring, heavier).share == pytest.approx(1 / 11, abs=0.03)


def zoned(*zones: str) -> list[Node]:
    return [Node(f"n{number}", zone=zone) for number, zone in enumerate(zones)]


def test_three_replicas_in_three_zones_are_three_nodes_in_three_zones() -> None:
    nodes = zoned(*"aaaaaabbc")
    zone_of = {node.name: node.zone for node in nodes}
    ring = Ring(nodes)
    for key in keys(2_000):
        chosen = ring.replicas(key, 3)
        assert chosen[0] == ring.node(key)
        assert len(set(chosen)) == 3
        assert {zone_of[name] for name in chosen} == {"a", "b", "c"}


@quick
@given(st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=8), st.integers(1, 8))
def test_replicas_are_different_nodes_spread_evenly_over_the_zones_there_are(zones: list[str], count: int) -> None:
    nodes = zoned(*zones)
    ring = Ring(nodes, points=10)
    if count > len(nodes):
        with pytest.raises(UsageError, match=f"{count} replicas on"):
            ring.replicas("k", count)
        return
    there = Counter(node.zone or node.name for node in nodes)
    for key in ("k", "l", "m"):
        chosen = ring.replicas(key, count)
        used = Counter(node.zone or node.name for node in nodes if node.name in chosen)
        assert len(chosen) == len(set(chosen)) == count
        assert all(used[a] + 1 >= used[b] or used[a] == there[a] for a in there for b in there)


def test_a_second_replica_is_where_the_key_goes_when_its_node_is_removed() -> None:
    ring = Ring(TEN)
    for key in keys(500):
        first, second = ring.replicas(key, 2)
        assert ring.without_node(first).node(key) == second


def test_two_readers_during_a_thousand_changes_get_answers_of_one_version_each() -> None:
    router = Router(Ring(TEN))
    versions: dict[int, Ring] = {1: Ring(TEN)}
    seen: list[list[tuple[int, str, str]]] = [[], []]
    is_over = threading.Event()
    troubles: list[Exception] = []

    def read(answers: list[tuple[int, str, str]]) -> None:
        try:
            number = 0
            while not is_over.is_set():
                key = f"user:{number % 1000}"
                current = router.current
                answers.append((current.version, key, current.node(key)))
                route = router.route(key)
                answers.append((route.version, key, route.read))
                number += 1
        except Exception as error:
            troubles.append(error)

    readers = [threading.Thread(target=read, args=(answers,)) for answers in seen]
    for reader in readers:
        reader.start()
    ring = versions[1]
    for number in range(1_000):
        ring = ring.without_node("node-5") if number % 2 == 0 else ring.with_node("node-5")
        versions[ring.version] = ring
        router.switch(ring)
    is_over.set()
    for reader in readers:
        reader.join()
    assert troubles == []
    assert len({version for answers in seen for version, _, _ in answers}) > 10
    assert all(versions[version].node(key) == node for answers in seen for version, key, node in answers)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Ring([]), "there are no nodes"),
        (lambda: Ring(["a", "a"]), "two nodes are called 'a'"),
        (lambda: Ring([""]), "a node has no name"),
        (lambda: Ring({"a": 0.0, "b": float("nan")}), "the weight of 'a' is 0.0; the weight of 'b' is nan"),
        (lambda: Ring(["a"], points=0), "0 points"),
        (lambda: Ring({"a": 1e6}), "150,000,000 points"),
        (lambda: Ring(["a"], hashing="md4"), "there is no hash 'md4'"),
        (lambda: Ring(["a"]).with_node("a"), "two nodes are called 'a'"),
        (lambda: Ring(["a"]).without_node("b"), "there is no node 'b'"),
        (lambda: Ring(["a"]).without_node("a"), "'a' is the last node"),
    ],
)
def test_what_cannot_be_is_refused(build: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build()  # type: ignore[operator]
