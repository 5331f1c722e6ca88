"""One test for every defect the engine once had, with the smallest design that showed it."""

import subprocess

import pytest
from apart import totals_of
from small_runs import failures, mean, queue_of, run_of, totals

TWO_DATA_SETS = """
requirements:
  peak: 1x
  data:
    many: {size: 1 KB, count: 1M, popularity: zipf 0.9}
    few: {size: 1 KB, count: 100}
components:
  a: {kind: redis, holds: many}
  b: {kind: redis, holds: few, lock: true}
flows:
  f: {rate: 10k/s, steps: [{get: a}, {get: b, on_miss: [{set: b}]}]}
"""

LOCK_IN_LOCK = """
requirements: {peak: 1x, data: {d: {size: 1 KB, count: 1000, popularity: zipf 1}}}
components:
  near: {kind: redis, holds: d, ttl: 1 s, lock: true, lease: 5 s}
  far: {kind: redis, holds: d, ttl: 3 s, lock: true, lease: 5 s}
  db: {kind: external}
flows:
  f:
    rate: 10k/s
    steps:
      - get: near
        on_miss:
          - get: far
            on_miss: [{call: db, takes: 50 ms}, {set: far}]
          - set: near
"""

HOT_KEY_THEN_CALL = """
requirements: {peak: 1x, data: {hot: {size: 1 KB, count: 1}}}
components:
  cache: {kind: redis, holds: hot, lock: true, lease: 100 s, takes: 1 us}
  db: {kind: external}
  next: {kind: external}
flows:
  f:
    rate: 20k/s
    steps:
      - get: cache
        on_miss: [{call: db, takes: {constant: 1 s}}, {set: cache}]
      - call: next
        takes: 1 ms
policies:
  client -> next: {timeout: 1 s}
"""

_BRANCHES = ", ".join(["[{call: x}]"] * 1500)
WIDE = f"""
components:
  x: {{kind: external, takes: 1 s}}
flows:
  f: {{rate: 10/s, steps: [{{parallel: [{_BRANCHES}]}}]}}
"""


def test_two_caches_of_different_data_sets_in_one_flow_each_get_a_key_of_their_own() -> None:
    seen = totals_of(TWO_DATA_SETS, lasts="3 s", scenario="starts: cold")
    assert seen["f"]["good"] + seen["f"]["unfinished"] == seen["f"]["offered"]
    assert seen["b"]["loads"] == 100  # each of the few keys once
    assert seen["b"]["hits"] + seen["b"]["misses"] >= seen["f"]["good"]


def test_a_locked_cache_behind_a_locked_cache_does_not_hang_the_engine() -> None:
    try:
        seen = totals_of(LOCK_IN_LOCK, lasts="10 s", scenario="starts: cold")
    except subprocess.TimeoutExpired:
        pytest.fail("the engine hangs")
    assert seen["f"]["good"] + seen["f"]["unfinished"] == seen["f"]["offered"]
    assert seen["near"]["hits"] + seen["near"]["misses"] == pytest.approx(seen["f"]["offered"], abs=50)
    assert seen["db"]["calls"] <= 1000 * 4  # a key is loaded once in its 3 s
    assert seen["f"]["unfinished"] < 500  # nobody waits for a lease that nobody holds


def test_callers_woken_together_in_one_instant_all_find_room_to_go_on() -> None:
    seen = totals_of(HOT_KEY_THEN_CALL, lasts="3 s", scenario="starts: cold")
    assert seen["f"]["failed"] == 0
    assert seen["next"]["calls"] == pytest.approx(seen["f"]["offered"], abs=100)


def test_a_fork_of_thousands_finds_room() -> None:
    seen = totals_of(WIDE, lasts="20 s")
    assert seen["x"]["calls"] == 1500 * seen["f"]["offered"]
    assert seen["f"]["good"] + seen["f"]["unfinished"] == seen["f"]["offered"]


def test_the_end_of_one_fault_does_not_end_another_of_the_same_kind() -> None:
    faults = "faults: [{at: 10 s, slow: x, by: 10x, for: 10 s}, {at: 15 s, slow: x, by: 10x, for: 25 s}]"
    run = run_of(queue_of("kind: external", "{constant: 1 ms}", 1000), scenario=faults)
    assert run.flows["f"].p50_ns[30] >= 10_000_000  # the second lasts until 40 s
    assert run.flows["f"].p50_ns[50] < 2_000_000


def test_a_killed_component_stays_dead_until_the_last_kill_ends() -> None:
    faults = "faults: [{at: 10 s, kill: x, for: 10 s}, {at: 15 s, kill: x, for: 25 s}]"
    run = run_of(queue_of("kind: external", "{constant: 1 ms}", 1000), scenario=faults)
    assert run.flows["f"].good[30] == 0
    assert run.flows["f"].good[50] > 900


def test_drops_that_overlap_end_each_at_its_time() -> None:
    faults = "faults: [{at: 10 s, drop: x, share: 100%, for: 10 s}, {at: 15 s, drop: x, share: 100%, for: 25 s}]"
    policies = "policies: {client -> x: {timeout: 100 ms}}\n"
    run = run_of(queue_of("kind: external", "{constant: 1 ms}", 1000) + policies, scenario=faults)
    assert run.flows["f"].good[30] == 0
    assert run.flows["f"].good[50] > 900


def test_attempts_count_retries_when_the_flow_begins_with_a_key() -> None:
    body = """
requirements: {peak: 1x, data: {d: {size: 1 KB, count: 100}}}
components:
  c: {kind: redis, holds: d}
  api: {kind: service}
flows:
  f: {rate: 1000/s, steps: [{run: api, cpu: 10 us, errors: 50%}, {get: c}]}
policies:
  client -> api: {retry: {attempts: 3, backoff: 0 ms}}
"""
    seen = totals(run_of(body, lasts="10 s"))["f"]
    assert seen["attempts"] == pytest.approx(1.75 * seen["offered"], rel=0.02)


def test_an_arrow_that_two_flows_call_through_counts_both() -> None:
    body = """
requirements: {peak: 1x, data: {d: {size: 1 KB, count: 100}}}
components:
  api: {kind: service}
  c: {kind: redis, holds: d}
  db: {kind: postgres}
flows:
  f: {rate: 1000/s, steps: [{run: api}, {query: db}]}
  g: {rate: 100/s, steps: [{run: api}, {get: c, on_miss: [{query: db}]}]}
policies:
  api -> db: {timeout: 1 s}
"""
    run = run_of(body, lasts="10 s")
    assert run.arrows["api -> db"].calls == sum(run.components["db"].calls)


def test_a_service_without_cpu_of_its_own_counts_its_visits() -> None:
    body = """
components:
  api: {kind: service}
  db: {kind: postgres}
flows:
  f: {rate: 1000/s, steps: [{run: api}, {query: db}]}
"""
    seen = totals(run_of(body, lasts="10 s"))
    assert seen["api"]["calls"] == seen["f"]["offered"]


def test_a_caller_that_waits_for_a_load_is_one_lookup() -> None:
    body = """
requirements: {peak: 1x, data: {d: {size: 1 KB, count: 1}}}
components:
  c: {kind: redis, holds: d, ttl: 1 s, lock: true, lease: 100 s, takes: 1 us, latency: 0 s}
  db: {kind: external}
flows:
  f: {rate: 1000/s, steps: [{get: c, on_miss: [{call: db, takes: {constant: 500 ms}}, {set: c}]}]}
"""
    seen = totals(run_of(body, lasts="60 s", scenario="starts: cold"))
    assert seen["c"]["hits"] + seen["c"]["misses"] == pytest.approx(seen["f"]["offered"], abs=2)


@pytest.mark.parametrize("balance", ["round_robin", "random", "least_in_flight", "two_choices"])
@pytest.mark.parametrize("lasts_s", [2, 15])
def test_instances_that_all_came_back_share_the_load(balance: str, lasts_s: int) -> None:
    body = queue_of(f"kind: service, replicas: 4, cores: 1, workers: 10k, balance: {balance}", "{constant: 2 ms}", 1000)
    run = run_of(body, scenario=f"faults: [{{at: 10 s, kill: x, for: {lasts_s} s}}]")
    assert max(run.flows["f"].p95_ns[13 + lasts_s :]) < 50_000_000  # one alone would be 200 % busy
    assert sum(run.flows["f"].good[13 + lasts_s :]) == pytest.approx(1000 * (47 - lasts_s), rel=0.02)


def test_an_instance_back_before_the_health_check_is_not_taken_out() -> None:
    body = queue_of("kind: service, replicas: 2, cores: 1, workers: 10k", "{constant: 1.5 ms}", 1000)
    run = run_of(body, scenario="faults: [{at: 5 s, kill: x, nodes: 1, for: 3 s}]")
    assert failures(run.flows["f"], 5, 8) == pytest.approx(1500, rel=0.1)
    assert max(run.flows["f"].p95_ns[9:]) < 50_000_000  # the other alone would be 150 % busy


NO_DATA_SET = """
components:
  c: {kind: redis, nodes: 4, takes: 100 us, latency: 0 s}
flows:
  f: {rate: 20k/s, steps: [{get: c, hit_ratio: 100%}]}
"""


def test_a_cache_without_a_data_set_spreads_its_commands_over_the_nodes() -> None:
    run = run_of(NO_DATA_SET, lasts="10 s")
    assert mean(run.components["c"].utilisation["thread"]) == pytest.approx(0.5, rel=0.02)
    assert run.flows["f"].latency.p99_ns < 2_000_000  # on one node the queue would grow without end


def test_a_dead_node_of_a_cache_without_a_data_set_fails_its_share() -> None:
    run = run_of(NO_DATA_SET, lasts="10 s", scenario="faults: [{at: 2 s, kill: c, nodes: 1}]")
    calls, failed = (sum(series[20:]) for series in (run.components["c"].calls, run.components["c"].failed))
    assert failed / calls == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize("rest", ["", ", {call: db, takes: 1 us}"])
def test_a_load_that_stores_nothing_gives_its_lease_up(rest: str) -> None:
    body = f"""
requirements: {{peak: 1x, data: {{d: {{size: 1 KB, count: 1}}}}}}
components:
  c: {{kind: redis, holds: d, lock: true, lease: 10 s, takes: 1 us, latency: 0 s}}
  db: {{kind: external}}
flows:
  f: {{rate: 1000/s, steps: [{{get: c, on_miss: [{{call: db, takes: {{constant: 20 ms}}}}{rest}]}}]}}
"""
    run = run_of(body, lasts="10 s", scenario="starts: cold")
    assert run.flows["f"].latency.max_ns < 100_000_000
    assert totals(run)["c"]["loads"] == pytest.approx(500, rel=0.1)  # one after another, 20 ms each


def test_a_cache_another_flow_fills_is_not_locked_for_the_length_of_a_lease() -> None:
    body = """
requirements: {peak: 1x, data: {d: {size: 1 KB, count: 10}}}
components:
  c: {kind: redis, holds: d, lock: true, lease: 10 s, ttl: 2 s, takes: 1 us, latency: 0 s}
  db: {kind: external}
  q: {kind: log, partitions: 100}
  w: {kind: service}
flows:
  f: {rate: 1000/s, steps: [{get: c, on_miss: [{call: db, takes: {constant: 20 ms}}, {publish: q}]}]}
  g: {trigger: q, steps: [{run: w, cpu: 1 ms}, {set: c}]}
"""
    run = run_of(body, lasts="20 s", scenario="starts: cold")
    assert run.flows["f"].latency.max_ns < 1_000_000_000
    assert totals(run)["c"]["hits"] > 0.9 * totals(run)["f"]["offered"]


def test_calls_whose_time_is_used_up_are_counted_at_their_arrow() -> None:
    body = queue_of("kind: external", "{constant: 2 s}", 100) + "policies: {client -> x: {deadline: 1 s}}\n"
    run = run_of(body, lasts="10 s")
    assert run.arrows["client -> x"].deadlines == failures(run.flows["f"]) > 800
