"""From users to the plan: the figures of the documentation's timeline, and others worked out by hand."""

import math
import subprocess
import sys
import time

import pytest

from small_designs import MS, component, design, either, exactly, flow, ms, per_s, step, timeline
from tenfold.design.schema import Count, DataSet, Range, Requirements
from tenfold.sizing import plan
from tenfold.sizing.storage import stored
from tenfold.sizing.traffic import kept_data, solve


def test_a_hundred_million_users_reading_fifty_times_a_day() -> None:
    reads = plan(timeline()).flows["read_timeline"]
    assert round(reads.average.value.likely, 2) == 57_870.37
    assert round(reads.peak.value.likely, 2) == 115_740.74
    assert round(reads.headroom.value.likely, 2) == 150_462.96
    assert reads.average.formula == "100M users x 50/user/day / 86,400 s"
    assert reads.average.where == "design.yaml:9,32"


def test_a_triggered_flow_starts_as_often_as_its_log_is_published_to() -> None:
    flows = plan(timeline()).flows
    assert flows["deliver"].peak.value == flows["post_tweet"].peak.value


def test_sets_of_a_fan_out_multiply() -> None:
    visits = solve(timeline()).visits["timeline_cache"]
    fan_out = next(v for v in visits if v.visits.flow == "deliver")
    assert fan_out.visits.rate_per_s.likely == pytest.approx(75 * 100e6 / 86_400)


def test_guesses_give_low_likely_and_high() -> None:
    answer = plan(timeline(Range(50e6, 100e6, 200e6)))
    peak = answer.flows["read_timeline"].peak.value
    assert [round(end, 2) for end in (peak.low, peak.likely, peak.high)] == [57_870.37, 115_740.74, 231_481.48]
    for name, part in answer.components.items():
        for line in (part.average, part.peak, *part.needs, *part.utilisation, part.nodes_now, part.bytes_in):
            assert line.value.low <= line.value.likely <= line.value.high, (name, line)


def test_workers_by_littles_law() -> None:
    small = design(
        (component("api", "service", replicas=2, workers=10), component("db", "postgres", latency_ns=0)),
        (flow("f", per_s(100), step("run", "api", cpu=ms(2)), step("query", "db", takes=ms(8))),),
    )
    api, db = plan(small).components["api"], plan(small).components["db"]
    needs = {need.name: need.value.likely for need in (*api.needs, *db.needs)}
    assert needs["cores"] == pytest.approx(200 * 0.002)
    assert needs["workers"] == pytest.approx(200 * 0.010)
    assert needs["connections"] == pytest.approx(200 * 0.008)
    assert api.utilisation[0].value.likely == pytest.approx(200 * 0.010 / 20)


def test_storage_is_size_times_count_times_retention_times_copies_and_index() -> None:
    year, day = 365 * 86_400 * 10**9, 86_400 * 10**9
    data = DataSet("t", exactly(480), Count(exactly(1), True, day), exactly(year * 1.5), 3, exactly(0.5), backups=2)
    answer = stored(data, Requirements(users=exactly(100e6)))
    assert answer.items.likely == pytest.approx(100e6 * 547.5)
    assert answer.copy_bytes.likely == pytest.approx(100e6 * 547.5 * 480 * 1.5)
    assert answer.total_bytes.likely == pytest.approx(5 * 100e6 * 547.5 * 480 * 1.5)
    assert answer.growth_bytes.likely == pytest.approx(5 * 100e6 * 365 * 480 * 1.5)


def test_a_standing_number_of_items_does_not_grow() -> None:
    data = DataSet("t", exactly(20_000), Count(exactly(1), True))
    answer = stored(data, Requirements(users=exactly(1e6)))
    assert (answer.total_bytes.likely, answer.growth_bytes.likely) == (20e9, 0.0)


def test_data_that_no_step_names_stands_in_the_only_database() -> None:
    kept = kept_data(timeline())
    assert set(kept["tweets_db"]) == {"tweet"}
    assert set(kept["timeline_cache"]) == {"timeline"}


def test_bandwidth_at_the_edge_is_rate_times_payload_and_headers() -> None:
    small = design(
        (component("api", "service"),),
        (flow("f", per_s(100), step("run", "api", cpu=ms(1), size_bytes=20_000)),),
    )
    inward, outward = plan(small).edge
    assert inward.value.likely == 200 * 800
    assert outward.value.likely == 200 * 20_800


def test_what_saturates_first_stands_first() -> None:
    order = plan(timeline()).saturation
    assert order[0].component == "tweets_db"
    assert [s.at_multiple.likely for s in order] == sorted(s.at_multiple.likely for s in order)


def test_a_lost_cache_sends_every_read_to_the_database() -> None:
    (cache,) = plan(timeline()).caches
    (lost,) = cache.if_lost
    assert lost.component == "tweets_db"
    assert lost.calls.value.likely == pytest.approx(115_740.74 + 2_314.81, abs=0.02)
    # queries spread over two servers, inserts on one, 64 statements at a time
    busy = 115_740.74 * 0.008 / 2 + 2_314.81 * 0.003
    assert lost.overload.value.likely == pytest.approx(busy / 64, rel=1e-4)


def test_a_stated_hit_ratio_is_counted_and_the_expected_one_shown() -> None:
    small = design(
        (component("cache", "redis", holds="item", ttl_ns=10**9), component("db", "postgres")),
        (flow("f", per_s(100), step("get", "cache", hit_ratio=0.9, on_miss=(step("query", "db"),))),),
        Requirements(data={"item": DataSet("item", exactly(100), Count(exactly(1_000)))}),
    )
    answer = plan(small)
    assert answer.components["db"].peak.value.likely == pytest.approx(20)
    assert answer.caches[0].hit_ratio.value.likely == pytest.approx(0.9)
    assert answer.caches[0].expected.value.likely == 0.0  # nothing fills it


def test_a_log_whose_consumers_are_too_slow_for_its_partitions_is_excused() -> None:
    (excuse,) = [e for e in plan(timeline()).excuses if e.component == "fanout_q"]
    assert excuse.bottleneck == "partitions x in_flight"
    assert excuse.remedy.startswith("partitions: 118")


def test_publishes_onto_the_own_log_settle() -> None:
    again = step("publish", "q")
    small = design(
        (component("q", "log"), component("w", "service")),
        (
            flow("start", per_s(100), step("publish", "q")),
            flow("work", None, step("run", "w", cpu=ms(1), steps=()), either((0.2, (again,)), (0.8, ())), trigger="q"),
        ),
    )
    assert solve(small).flow_per_s["work"].likely == pytest.approx(100 / (1 - 0.2))


def test_ten_times_the_load_needs_no_fewer_nodes() -> None:
    for part in plan(timeline()).components.values():
        assert part.nodes_tenfold.value.likely >= part.nodes_now.value.likely


def test_sizing_takes_milliseconds() -> None:
    built = timeline(Range(50e6, 100e6, 200e6))
    start = time.process_time()
    plan(built)
    assert time.process_time() - start < 0.2


def test_sizing_imports_nothing_heavy() -> None:
    heavy = ("numpy", "numba", "asyncio", "yaml")
    code = f"import sys, tenfold.sizing, tenfold.kinds; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_times_are_those_of_an_idle_system() -> None:
    assert plan(timeline()).flows["post_tweet"].time.value.likely == pytest.approx(
        (0.01 + 0.2 + 0.5 + 2 + 0.5 + 3 + 2 + 0.02) * MS
    )
    assert not math.isinf(plan(timeline()).components["api"].nodes_now.value.likely)
