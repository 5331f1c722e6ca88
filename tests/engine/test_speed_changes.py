"""A change of speed reaches work that is under way or in line: hand calculations."""

import pytest
from small_runs import S, failures, mean, queue_of, run_of

CACHE = """
components:
  c: {kind: redis, takes: 10 us, latency: 0 s}
flows:
  f: {rate: 50k/s, steps: [{get: c, hit_ratio: 100%}]}
"""
SLOW = "faults: [{at: 10 s, slow: c, by: 10x, for: 10 s}]"


def test_a_backlog_is_worked_off_at_the_speed_of_the_moment() -> None:
    # 50 k/s come, 10 k/s are served for 10 s: 400 k wait. Then 100 k/s are served: 8 s until they are gone.
    run = run_of(CACHE, scenario=SLOW)
    seen, cache = run.flows["f"], run.components["c"]
    assert mean(seen.good, 11, 19) == pytest.approx(10_000, rel=0.001)
    assert mean(seen.good, 21, 27) == pytest.approx(100_000, rel=0.001)
    assert max(cache.queue) == pytest.approx(400_000, rel=0.06)  # the mean of the last second before
    assert cache.queue[26] > 50_000
    assert cache.queue[29] < 5
    assert max(seen.p50_ns[29:]) < 20_000


def test_a_server_is_never_more_than_busy_and_busy_while_it_has_a_backlog() -> None:
    thread = run_of(CACHE, scenario=SLOW).components["c"].utilisation["thread"]
    assert max(thread) <= 1.0
    assert min(thread[11:27]) == pytest.approx(1.0)
    assert thread[35] == pytest.approx(0.5, rel=0.03)


def test_the_queue_is_that_of_the_moment_not_that_of_the_arrival() -> None:
    body = queue_of("kind: external, in_flight: 1", "{constant: 1 s}", 100)
    seen = run_of(body, scenario="load: {0 s: 1x, 10 s: 0.00001x}").components["x"]
    assert seen.queue[20] == pytest.approx(1000 - 20, rel=0.1)
    assert seen.queue[20] - seen.queue[50] == pytest.approx(30, abs=0.1)  # nobody comes, one is served a second


def test_work_under_way_slows_down_and_speeds_up_again() -> None:
    # Started at 10 s - a with 1 s to do: 0.1 s of it is done while it is slow for 1 s; all that start before feel it.
    body = queue_of("kind: external", "{constant: 1 s}", 1000)
    seen = run_of(body, scenario="faults: [{at: 10 s, slow: x, by: 10x, for: 1 s}], warmup: 5 s")
    assert seen.flows["f"].latency.max_ns == pytest.approx(1.9 * S, rel=0.001)
    assert seen.flows["f"].good[10] == pytest.approx(100, abs=35)  # a tenth of the usual speed
    assert seen.flows["f"].unfinished == pytest.approx(1000, abs=100)


def test_many_servers_with_a_backlog_catch_up() -> None:
    # 8 places x 100/s each; 400/s come. By 4x for 10 s: 200/s served, 2,000 wait; then 400/s net: 5 s.
    body = queue_of("kind: external, in_flight: 8", "{constant: 10 ms}", 400)
    run = run_of(body, scenario="faults: [{at: 10 s, slow: x, by: 4x, for: 10 s}]")
    assert mean(run.flows["f"].good, 11, 19) == pytest.approx(200, rel=0.01)
    assert mean(run.flows["f"].good, 21, 24) == pytest.approx(800, rel=0.01)
    assert max(run.flows["f"].p95_ns[27:]) < 15_000_000


def test_slower_steps_overlap_and_end_each_at_its_time() -> None:
    faults = "faults: [{at: 5 s, slow: c, by: 4x, for: 10 s}, {at: 8 s, slow: c, by: 10x, for: 2 s}]"
    seen = run_of(CACHE, scenario=faults).flows["f"]
    assert mean(seen.good, 6, 8) == pytest.approx(25_000, rel=0.001)
    assert mean(seen.good, 8, 10) == pytest.approx(10_000, rel=0.001)
    assert mean(seen.good, 11, 15) == pytest.approx(25_000, rel=0.001)
    # 25 k/s x 8 s + 40 k/s x 2 s wait: 280 k, and 50 k/s more are served than come.
    assert mean(seen.good, 16, 20) == pytest.approx(100_000, rel=0.001)
    assert mean(seen.good, 22, 40) == pytest.approx(50_000, rel=0.01)


def test_who_waits_at_a_node_that_dies_waits_no_longer() -> None:
    faults = "faults: [{at: 10 s, slow: c, by: 10x, for: 20 s}, {at: 15 s, kill: c, for: 1 s}]"
    run = run_of(CACHE, scenario=faults)
    assert run.components["c"].queue[14] == pytest.approx(180_000, rel=0.02)
    assert run.components["c"].queue[15] == 0
    assert failures(run.flows["f"]) > 200_000
    assert min(run.components["c"].queue) >= 0
