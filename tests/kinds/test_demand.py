"""What every kind promises, and each kind's own arithmetic."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from small_designs import component, exactly, load, visits
from tenfold.design.demand import CONSUMES, STANDING, Demand, Excuse, Load
from tenfold.design.schema import Count, DataSet, Popularity, Range, Requirements
from tenfold.kinds import KINDS

ITEM = DataSet("item", exactly(1_000), Count(exactly(100_000)), popularity=Popularity(1.0))
LOADED = sorted(name for name, kind in KINDS.items() if kind.VERBS)


def verbs(kind: str) -> tuple[str, ...]:
    """The verbs of a kind's visits, a log's consumers included."""
    return (*KINDS[kind].VERBS, *((CONSUMES,) if kind == "log" else ()))


def figures(answer: Demand | Excuse) -> Demand:
    if isinstance(answer, Demand):
        return answer
    assert answer.figures is not None
    return answer.figures


def demand(kind: str, of: Load, **spec: Any) -> Demand | Excuse:
    part = component("it", kind, **spec)
    answer: Demand | Excuse = part.kind.demand(part, of)
    return answer


ends = st.floats(0.0, 1e6)
rates = st.tuples(ends, ends, ends).map(lambda t: Range(*sorted(t)))


@st.composite
def loads(draw: st.DrawFn, kind: str) -> Load:
    """One to four visits of the kind's verbs, with or without a data set."""
    listed = [
        visits(
            draw(st.sampled_from(verbs(kind))),
            draw(rates),
            draw(st.floats(0.001, 50)),
            draw(st.floats(0.001, 500)),
            data=draw(st.sampled_from(("", "item"))),
        )
        for _ in range(draw(st.integers(1, 4)))
    ]
    needed = Requirements(headroom_ratio=draw(st.floats(0, 1)))
    return load(*listed, requirements=needed, data=(ITEM,))


def multiplied(of: Load, factor: float) -> Load:
    more = [replace(v, rate_per_s=Range(*(end * factor for end in ends_of(v.rate_per_s)))) for v in of.visits]
    return replace(of, visits=tuple(more))


def ends_of(value: Range) -> tuple[float, float, float]:
    return value.low, value.likely, value.high


quick = settings(derandomize=True, deadline=None, max_examples=40)


@pytest.mark.parametrize("kind", LOADED)
def test_more_traffic_never_needs_less(kind: str) -> None:
    @quick
    @given(loads(kind), st.floats(1.0, 20.0))
    def check(of: Load, factor: float) -> None:
        few, many = figures(demand(kind, of)), figures(demand(kind, multiplied(of, factor)))
        for before, after in zip(few.needs, many.needs, strict=True):
            assert after.value.likely >= before.value.likely * (1 - 1e-9)
        for nodes in ("nodes_now", "nodes_tenfold"):
            pairs = zip(ends_of(getattr(few, nodes)), ends_of(getattr(many, nodes)), strict=True)
            assert all(before <= after for before, after in pairs)

    check()


@pytest.mark.parametrize("kind", LOADED)
def test_low_likely_and_high_are_in_order(kind: str) -> None:
    @quick
    @given(loads(kind))
    def check(of: Load) -> None:
        answer = figures(demand(kind, of))
        values = [need.value for need in answer.needs]
        for value in (*values, *answer.utilisation.values(), answer.nodes_now, answer.nodes_tenfold):
            assert value.low <= value.likely <= value.high

    check()


@pytest.mark.parametrize("kind", LOADED)
def test_utilisation_by_traffic_scales_with_it(kind: str) -> None:
    @quick
    @given(loads(kind), st.floats(1.0, 20.0))
    def check(of: Load, factor: float) -> None:
        few, many = figures(demand(kind, of)), figures(demand(kind, multiplied(of, factor)))
        for name, used in few.utilisation.items():
            if name not in STANDING:
                assert many.utilisation[name].likely == pytest.approx(used.likely * factor, rel=1e-6)

    check()


@pytest.mark.parametrize("kind", LOADED)
def test_an_answer_is_a_demand_or_an_excuse_that_names_the_bottleneck_with_numbers(kind: str) -> None:
    @quick
    @given(loads(kind))
    def check(of: Load) -> None:
        answer = demand(kind, of)
        if isinstance(answer, Excuse):
            assert answer.bottleneck
            assert answer.remedy
            assert any(char.isdigit() for char in answer.reason)
            assert math.isinf(figures(answer).nodes_now.likely)
        else:
            assert 1 <= answer.nodes_now.likely < math.inf
            assert bool(answer.tenfold_excuse) == math.isinf(answer.nodes_tenfold.likely)

    check()


@pytest.mark.parametrize("kind", LOADED)
def test_the_nodes_it_asks_for_are_enough(kind: str) -> None:
    if kind == "external":  # nodes of others are not ours to add
        return
    key = "nodes" if kind in ("redis", "log") else "replicas"

    @quick
    @given(loads(kind))
    def check(of: Load) -> None:
        answer = demand(kind, of)
        if isinstance(answer, Excuse):
            return
        nodes = int(answer.nodes_now.likely) - (1 if kind == "postgres" else 0)
        enough = figures(demand(kind, of, **{key: nodes}))
        spare = 1 + of.requirements.headroom_ratio
        moving = [used.likely for name, used in enough.utilisation.items() if name not in STANDING]
        assert max(moving) * spare <= 1 + 1e-6

    check()


def test_clients_bring_their_own_machines() -> None:
    answer = figures(demand("client", load()))
    assert (answer.utilisation, answer.nodes_now.likely) == ({}, 1.0)


def test_a_service_needs_cores_for_work_and_workers_for_waiting() -> None:
    answer = figures(demand("service", load(visits("run", 1_000, 2, 50)), replicas=2, cores=4, workers=64))
    assert answer.utilisation["cpu"].likely == pytest.approx(2 / 8)
    assert answer.utilisation["workers"].likely == pytest.approx(50 / 128)
    assert answer.nodes_now.likely == 2  # 50 x 1.3 / 64
    assert answer.nodes_tenfold.likely == 11


def test_a_balancer_needs_cores() -> None:
    answer = figures(demand("load_balancer", load(visits("through", 100_000, 0.01)), cores=4))
    assert answer.utilisation["cpu"].likely == pytest.approx(0.25)


def test_queries_spread_over_replicas_and_inserts_do_not() -> None:
    of = load(visits("query", 10_000, 2), visits("insert", 1_000, 4))
    answer = figures(demand("postgres", of, cores=8, replicas=3, pool=1_000))
    assert answer.utilisation["statements"].likely == pytest.approx((20 / 4 + 4) / 16)
    # 16 statements at once: (20/n + 4) x 1.3 <= 16 holds from 26/10.8 = 2.4 servers on
    assert answer.nodes_now.likely == 3
    assert math.isinf(answer.nodes_tenfold.likely)
    assert "primary" in answer.tenfold_excuse


def test_reads_on_the_primary_only_stay_there() -> None:
    of = load(visits("query", 10_000, 2))
    answer = demand("postgres", of, cores=8, replicas=9, reads=1, pool=1_000)
    assert isinstance(answer, Excuse)
    assert answer.bottleneck == "statements on the primary"


def test_writes_on_one_primary_cannot_be_spread_by_replicas() -> None:
    answer = demand("postgres", load(visits("insert", 10_000, 4)), cores=8, replicas=20, pool=1_000)
    assert isinstance(answer, Excuse)
    assert "40 statements" in answer.reason
    assert "16" in answer.reason


def test_too_small_a_pool_is_found_by_littles_law() -> None:
    answer = demand("postgres", load(visits("insert", 1_000, 1, 80)), pool=50)
    assert isinstance(answer, Excuse)
    assert answer.bottleneck == "connections to the primary"


def test_data_that_no_disk_holds_is_excused_and_the_servers_for_the_traffic_named() -> None:
    big = replace(ITEM, size_bytes=exactly(1e9), copies=3)
    answer = demand("postgres", load(visits("query", 100, 1), data=(big,)), disk_bytes=10**12)
    assert isinstance(answer, Excuse)
    assert answer.bottleneck == "data on one server"
    assert figures(answer).notes == ("the traffic alone needs 1 server", "item is to have 3 copies, 1 server holds 1")


def test_the_hottest_key_stays_on_one_node() -> None:
    top = 1 / sum(1 / i for i in range(1, 100_001))
    of = load(visits("get", 200_000, 0.01, data="item"), data=(ITEM,))
    answer = figures(demand("redis", of, nodes=4, holds="item"))
    assert answer.utilisation["thread"].likely == pytest.approx(2 * top + 2 * (1 - top) / 4, rel=1e-5)


def test_a_single_hot_key_larger_than_a_node_is_excused() -> None:
    of = load(visits("get", 2_000_000, 0.01, data="item"), data=(ITEM,))
    answer = demand("redis", of, nodes=50, holds="item")
    assert isinstance(answer, Excuse)
    assert answer.bottleneck == "hottest key"


def test_partitions_bound_the_messages_worked_on_at_once() -> None:
    of = load(visits("publish", 1_000, 0.02), visits(CONSUMES, 1_000, 0, 50))
    assert isinstance(demand("log", of, partitions=100), Demand)
    answer = demand("log", of, partitions=60)
    assert isinstance(answer, Excuse)
    assert answer.bottleneck == "partitions x in_flight"
    assert answer.remedy.startswith("partitions: 65")
    assert isinstance(demand("log", of, partitions=60, in_flight=2), Demand)


def test_somebody_elses_limit_is_not_ours_to_raise() -> None:
    answer = demand("external", load(visits("call", 1_000, 50)), in_flight=40)
    assert isinstance(answer, Excuse)
    assert answer.bottleneck == "calls in flight"
