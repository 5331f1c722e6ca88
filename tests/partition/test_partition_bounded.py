"""Bounded loads: the bound at every step, and every key on the first node of its walk that is not full."""

import math
from fractions import Fraction
from itertools import islice

import pytest
from clusters import TEN, keys
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tenfold.errors import UsageError
from tenfold.partition import BoundedLoads, Ring


@pytest.mark.parametrize("weights", [dict.fromkeys(TEN, 1.0), {**dict.fromkeys(TEN, 1.0), "node-3": 0.5}])
def test_no_node_is_above_its_bound_at_any_step(weights: dict[str, float]) -> None:
    bounded = BoundedLoads(Ring(weights), 1.05)
    total = sum(weights.values())
    asked = keys(3_000)
    for count, key in enumerate(asked, start=1):
        bounded.place(key)
        check_bound(bounded, weights, total, count)
    for count, key in enumerate(asked[::2], start=1):
        bounded.remove(key)
        check_bound(bounded, weights, total, len(asked) - count)


def check_bound(bounded: BoundedLoads, weights: dict[str, float], total: float, count: int) -> None:
    loads = bounded.loads
    assert sum(loads.values()) == count
    for name, weight in weights.items():
        assert loads[name] <= math.ceil(Fraction("1.05") * count * Fraction(weight) / Fraction(total))


def test_a_loose_bound_leaves_every_key_at_home() -> None:
    ring = Ring(TEN)
    bounded = BoundedLoads(ring, 3.0)
    asked = keys(2_000)
    for key in asked:
        bounded.place(key)
    assert sum(bounded.node(key) != ring.node(key) for key in asked) == 0


def test_a_tight_bound_sends_few_keys_away_from_home() -> None:
    ring = Ring(TEN)
    bounded = BoundedLoads(ring, 1.05)
    asked = keys(20_000)
    for key in asked:
        bounded.place(key)
    away = sum(bounded.node(key) != ring.node(key) for key in asked)
    assert 0 < away / len(asked) < 0.05


def test_a_changed_ring_keeps_the_bound_and_moves_little() -> None:
    bounded = BoundedLoads(Ring(TEN), 1.25)
    asked = keys(5_000)
    for key in asked:
        bounded.place(key)
    where = {key: bounded.node(key) for key in asked}
    moved = bounded.change(Ring([*TEN, "x"]))
    assert max(bounded.loads.values()) <= math.ceil(1.25 * 5_000 / 11)
    assert len(moved) < 0.2 * len(asked)
    assert all(where[key] == was and bounded.node(key) == now for key, (was, now) in moved.items())


def test_a_key_is_placed_once_and_removed_once() -> None:
    bounded = BoundedLoads(Ring(TEN))
    assert bounded.place("k") == bounded.place("k") == bounded.node("k")
    assert len(bounded) == 1
    bounded.remove("k")
    assert bounded.node("k") is None
    with pytest.raises(UsageError, match="'k' is not placed"):
        bounded.remove("k")
    with pytest.raises(UsageError, match="a bound of 1 times"):
        BoundedLoads(Ring(TEN), 1)


class Placing(RuleBasedStateMachine):
    """Keys come and go, rings change; the invariants are those of the paper."""

    placed = Bundle("placed")

    def __init__(self) -> None:
        super().__init__()
        self.bounded = BoundedLoads(Ring("abcd", points=3), 1.25)
        self.keys: set[str] = set()

    @rule(target=placed, number=st.integers(0, 10_000))
    def place(self, number: int) -> str:
        key = f"k{number}"
        self.bounded.place(key)
        self.keys.add(key)
        return key

    @rule(key=consumes(placed))
    def remove(self, key: str) -> None:
        if key in self.keys:
            self.bounded.remove(key)
            self.keys.discard(key)

    @rule(nodes=st.sampled_from(["abcd", "abc", "abcde"]), weight=st.sampled_from([0.5, 1.0, 2.0]))
    def change(self, nodes: str, weight: float) -> None:
        self.bounded.change(Ring({**dict.fromkeys(nodes, 1.0), "a": weight}, points=3))

    @invariant()
    def every_key_is_on_the_first_node_of_its_walk_that_is_not_full(self) -> None:
        loads = self.bounded.loads
        assert sum(loads.values()) == len(self.keys) == len(self.bounded)
        assert all(loads[name] <= self.bounded.room(name) for name in loads)
        for key in self.keys:
            walk = list(dict.fromkeys(self.bounded.ring.walk(key)))
            place = walk.index(str(self.bounded.node(key)))
            assert all(loads[name] == self.bounded.room(name) for name in islice(walk, place))


TestPlacing = Placing.TestCase
TestPlacing.settings = settings(derandomize=True, deadline=None, max_examples=40, stateful_step_count=40)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 30), max_size=60), st.floats(1.01, 4.0))
def test_any_factor_holds(numbers: list[int], factor: float) -> None:
    bounded = BoundedLoads(Ring("abc", points=4), factor)
    for number in numbers:
        key = f"k{number}"
        if bounded.node(key) is None:
            bounded.place(key)
        else:
            bounded.remove(key)
        allowed = math.ceil(Fraction(str(factor)) * len(bounded) / 3)
        assert max(bounded.loads.values()) <= allowed
