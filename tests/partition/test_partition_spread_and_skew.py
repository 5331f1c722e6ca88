"""The theory of uneven maps against simulated ones, and the report that is held against it."""

import math
import random
import statistics

import pytest
from clusters import TEN, keys

from tenfold.errors import UsageError
from tenfold.partition import Ring, SlotTable, newcomer, skew, spread
from tenfold.runtime.partition.spread import beta_below, effective_keys, gamma_below


@pytest.mark.parametrize(
    ("nodes", "points", "cv", "largest", "p95"),
    [
        (10, 150, 0.0774, 1.129, 1.209),
        (10, 40, 0.150, 1.257, 1.422),
        (10, 1000, 0.030, 1.049, 1.079),
        (100, 150, 0.081, 1.217, 1.289),
        (1000, 150, 0.082, 1.286, 1.348),
    ],
)
def test_the_spread_of_known_rings(nodes: int, points: int, cv: float, largest: float, p95: float) -> None:
    expected = spread([points] * nodes, [1 / nodes] * nodes)
    assert expected.cv == pytest.approx(cv, abs=0.0005)
    assert expected.max_mean == pytest.approx(largest, abs=0.001)
    assert expected.max_p95 == pytest.approx(p95, abs=0.0015)


def test_a_newcomers_part_has_the_known_interval() -> None:
    eleventh = newcomer(150, 1_500)
    assert eleventh.mean == pytest.approx(1 / 11)
    assert (eleventh.low, eleventh.high) == pytest.approx((0.0776, 0.1052), abs=0.0002)


def test_unequal_weights_and_few_keys_spread_as_simulated() -> None:
    dice = random.Random(1)
    points, fair, count = (150, 300, 75), (1 / 3.5, 2 / 3.5, 0.5 / 3.5), 400
    largest = []
    for _ in range(1_500):
        arcs = [dice.gammavariate(each, 1) for each in points]
        drawn = dice.choices(range(3), arcs, k=count)
        largest.append(max(drawn.count(node) / count / part for node, part in enumerate(fair)))
    expected = spread(points, fair, count)
    assert statistics.fmean(largest) == pytest.approx(expected.max_mean, abs=0.008)
    assert sorted(largest)[int(0.95 * len(largest))] == pytest.approx(expected.max_p95, abs=0.025)


def test_the_incomplete_functions_are_those_of_the_tables() -> None:
    poisson = sum(math.exp(k * math.log(150) - 150 - math.lgamma(k + 1)) for k in range(150))
    assert gamma_below(1.0, 1.0) == pytest.approx(1 - 2.718281828459045**-1)
    assert gamma_below(150.0, 150.0) == pytest.approx(1 - poisson, abs=1e-12)
    assert beta_below(2.0, 3.0, 0.4) == pytest.approx(0.5248)  # a binomial tail (Abramowitz & Stegun 26.5.7)
    binomial = sum(math.comb(1499, k) * 9 ** (1499 - k) for k in range(150, 1500)) / 10**1499
    assert beta_below(150.0, 1350.0, 0.1) == pytest.approx(binomial, abs=1e-11)
    for a, b, x in ((0.01, 5.0, 0.3), (900.0, 2.0, 0.99), (1e5, 9e5, 0.1)):
        assert beta_below(a, b, x) == pytest.approx(1 - beta_below(b, a, 1 - x), abs=1e-9)


def test_equal_loads_count_as_many_keys_as_there_are_and_one_heavy_key_as_one() -> None:
    assert effective_keys([2.0] * 50) == pytest.approx(50)
    assert effective_keys([1e9, *[1.0] * 50]) == pytest.approx(1, abs=1e-3)


def test_a_plain_ring_is_uneven_by_chance_and_says_what_chance_is() -> None:
    found = skew(dict.fromkeys(keys(100000), 1.0), Ring(TEN))
    assert found.verdict == "by chance"
    assert found.with_keys.max_mean == pytest.approx(1.130, abs=0.003)
    assert found.max_over_fair == pytest.approx(found.fullest.share * 10)
    assert sum(node.share for node in found.nodes) == pytest.approx(1)
    assert sum(node.key_count for node in found.nodes) == 100_000


def test_a_slot_table_is_even_and_asks_for_nothing() -> None:
    found = skew(dict.fromkeys(keys(100000), 1.0), SlotTable(TEN))
    assert (found.verdict, found.remedy) == ("by chance", "")
    assert found.map_alone.max_p95 == 1.0
    assert found.max_over_fair <= found.with_keys.max_p95


def test_one_key_above_a_nodes_part_cannot_be_split() -> None:
    loads = dict.fromkeys(keys(10000), 1.0)
    loads["celebrity"] = 3_000.0
    found = skew(loads, SlotTable(TEN))
    assert found.verdict == "single key"
    assert "cannot split: a single key, 'celebrity', has 23.1% of the load" in found.reason
    assert found.hottest[0].key == "celebrity"
    assert found.fullest.name == SlotTable(TEN).node("celebrity")


def test_what_neither_chance_nor_a_key_explains_is_said_so() -> None:
    ring = Ring(TEN)
    mine = [key for key in keys(20_000) if ring.node(key) == "node-3"]
    found = skew([*((key, 1.0) for key in keys(20_000)), *((key, 2.0) for key in mine)], ring)
    assert found.verdict == "unexplained"
    assert "node-3" in found.reason


def test_weights_count_as_fair() -> None:
    found = skew(dict.fromkeys(keys(50000), 1.0), SlotTable({"small": 1.0, "large": 3.0}))
    assert {node.name: node.fair for node in found.nodes} == {"small": 0.25, "large": 0.75}
    assert found.max_over_fair < 1.03


@pytest.mark.parametrize("loads", [{}, {"a": 0.0}, {"a": -1.0}, {"a": float("nan")}, {"a": float("inf")}])
def test_loads_that_are_none_are_refused(loads: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="load"):
        skew(loads, Ring("ab"))  # type: ignore[arg-type]
