"""A flow walked once: how often, how long, how much."""

import pytest

from small_designs import DAY, MS, component, design, either, exactly, flow, ms, per_s, step, together
from tenfold.design.demand import CREATES, FILLS, UPDATES
from tenfold.design.schema import Count, DataSet, Design, Requirements, Step
from tenfold.sizing.walk import HTTP_OVERHEAD_BYTES, WIRE_OVERHEAD_BYTES, Walk, walk

HALF_MS = 500_000
ITEM = DataSet("item", exactly(1_000), Count(exactly(10)), path=("requirements", "data", "item"))


def small(*steps: Step) -> Design:
    return design(
        (
            component("lb", "load_balancer"),
            component("api", "service"),
            component("other", "service"),
            component("cache", "redis", holds="item"),
            component("db", "postgres"),
            component("q", "log"),
        ),
        (flow("f", per_s(1), *steps),),
        Requirements(data={"item": ITEM}),
    )


def walked(*steps: Step, hit: float = 0.75) -> Walk:
    built = small(*steps)
    return walk(built, built.flows["f"], lambda _step, _component: exactly(hit))


def held(answer: Walk, target: str) -> float:
    return next(v.visits.held_ns.likely for v in answer.visits if v.target == target)


def often(answer: Walk, target: str, verb: str) -> float:
    return sum(v.visits.rate_per_s.likely for v in answer.visits if v.target == target and v.visits.verb == verb)


RUN = step("run", "api", cpu=ms(2))
QUERY = step("query", "db", takes=ms(8))


def test_a_worker_is_held_for_its_own_work_and_all_that_follows_inside() -> None:
    answer = walked(RUN, QUERY)
    assert held(answer, "api") == 2 * MS + HALF_MS + 8 * MS
    assert answer.elapsed_ns.likely == HALF_MS + held(answer, "api")


def test_a_scope_with_its_own_steps_closes_after_them() -> None:
    answer = walked(step("run", "api", cpu=ms(2), steps=(QUERY,)), step("insert", "db", takes=ms(3)))
    assert held(answer, "api") == 2 * MS + HALF_MS + 8 * MS
    assert [v.visits.caller for v in answer.visits] == ["client", "api", "client"]


def test_a_proxy_waits_for_the_round_trip_behind_it() -> None:
    answer = walked(step("through", "lb", cpu=ms(1)), RUN)
    assert held(answer, "lb") == 1 * MS + 200_000 + HALF_MS + 2 * MS


def test_a_connection_is_held_for_the_round_trip_too() -> None:
    assert held(walked(RUN, QUERY), "db") == 8 * MS + HALF_MS


def test_a_get_counts_its_miss_branch_with_the_miss_ratio() -> None:
    answer = walked(RUN, step("get", "cache", on_miss=(QUERY, step("set", "cache"))))
    get_ns, set_ns, query_ns = HALF_MS + 10_000, HALF_MS + 10_000, HALF_MS + 8 * MS
    assert often(answer, "db", "query") == 0.25
    assert held(answer, "api") == 2 * MS + get_ns + 0.25 * (query_ns + set_ns)


def test_sets_say_whether_they_fill_create_or_update() -> None:
    answer = walked(
        step("get", "cache", on_miss=(step("set", "cache"),)),
        step("set", "cache"),
        step("set", "cache", only_present=True),
    )
    assert [v.visits.writes for v in answer.visits] == ["", FILLS, CREATES, UPDATES]


def test_times_repeats_a_step_one_after_another() -> None:
    answer = walked(RUN, step("set", "cache", times=75))
    assert often(answer, "cache", "set") == 75
    assert held(answer, "api") == 2 * MS + 75 * (HALF_MS + 10_000)


def test_choose_takes_the_weighted_mean_of_its_branches() -> None:
    answer = walked(RUN, either((0.2, (QUERY,)), (0.8, (step("get", "cache"),))))
    assert often(answer, "db", "query") == pytest.approx(0.2)
    assert held(answer, "api") == pytest.approx(2 * MS + 0.2 * (HALF_MS + 8 * MS) + 0.8 * (HALF_MS + 10_000))


def test_weights_of_choose_need_not_add_up_to_one() -> None:
    assert often(walked(either((1, (QUERY,)), (3, ()))), "db", "query") == 0.25


def test_parallel_takes_as_long_as_its_longest_branch_and_visits_all() -> None:
    answer = walked(RUN, together((QUERY,), (step("get", "cache"),)))
    assert held(answer, "api") == 2 * MS + HALF_MS + 8 * MS
    assert (often(answer, "db", "query"), often(answer, "cache", "get")) == (1, 1)


def test_a_call_holds_a_worker_of_the_callee_for_its_work_only() -> None:
    answer = walked(RUN, step("call", "other", cpu=ms(5)))
    assert held(answer, "other") == 5 * MS
    assert held(answer, "api") == 2 * MS + HALF_MS + 5 * MS


def test_answers_carry_what_was_read_and_requests_what_is_stored() -> None:
    answer = walked(RUN, step("get", "cache", on_miss=(QUERY,)), step("insert", "db", size_bytes=480))
    wire = {v.target + v.visits.verb: (v.request_bytes.likely, v.answer_bytes.likely) for v in answer.visits}
    assert wire["apirun"] == (HTTP_OVERHEAD_BYTES + 480, HTTP_OVERHEAD_BYTES + 1_000)
    assert wire["cacheget"] == (WIRE_OVERHEAD_BYTES, WIRE_OVERHEAD_BYTES + 750)
    assert wire["dbquery"] == (WIRE_OVERHEAD_BYTES, WIRE_OVERHEAD_BYTES + 1_000)
    assert wire["dbinsert"] == (WIRE_OVERHEAD_BYTES + 480, WIRE_OVERHEAD_BYTES)


def test_the_day_is_a_day() -> None:
    assert DAY == 86_400_000_000_000
