"""Throttle, rate limit, adaptive limit and hedge in the engine: against closed forms, and in an overload."""

import pytest
from small_runs import MS, S, failures, mean, program_of, queue_of, run_of

from tenfold.engine import loop, world
from tenfold.engine.run import simulate
from tenfold.engine.state import NEEDS_ROOM

FAST_OR_SLOW = """
components:
  api: {{kind: service, workers: 1M, cores: 1000, latency: 0 s}}
  x: {{kind: external}}
flows:
  f:
    rate: {rate}/s
    steps:
      - {{run: api, cpu: 1 ns}}
      - choose:
          - {{weight: {quick}, steps: [{{call: x, takes: {usual}}}]}}
          - {{weight: {slow}, steps: [{{call: x, takes: {{constant: 1 s}}}}]}}
policies:
  client -> api: {{{policies}}}
"""


def fast_or_slow(policies: str, slow: float = 0.03, usual: str = "{uniform: 9 ms..11 ms}", rate: int = 500) -> str:
    """A share of the calls takes a second, whoever makes them."""
    return FAST_OR_SLOW.format(policies=policies, quick=f"{1 - slow:.0%}", slow=f"{slow:.0%}", usual=usual, rate=rate)


def arrow(run, name: str = "client -> x"):  # type: ignore[no-untyped-def]
    """The counters of an arrow."""
    return run.arrows[name]


# Hedge.


def test_hedging_cuts_the_tail_for_one_call_in_twenty() -> None:
    plain, hedged = (run_of(fast_or_slow(p), lasts="2 min") for p in ("deadline: 1 min", "hedge: {}"))
    seen = arrow(hedged, "client -> api")
    assert plain.flows["f"].latency.p99_ns == pytest.approx(S, rel=0.01)
    assert hedged.flows["f"].latency.p99_ns <= 30 * MS
    assert 0.03 < seen.hedges / seen.calls <= 0.06
    assert sum(hedged.components["x"].calls) == pytest.approx(seen.attempts + seen.hedges, abs=2)


def test_a_hundredfold_fan_out_of_hedged_calls_is_slow_one_time_in_a_hundred() -> None:
    """Dean and Barroso's example: one slow server in a hundred makes 63 % of the requests slow; hedged, 1 %."""
    leaf = "[{run: api, steps: [{choose: [{weight: 99%, steps: [{call: x, takes: {constant: 1 ms}}]}, " + (
        "{weight: 1%, steps: [{call: x, takes: {constant: 1 s}}]}]}]}]"
    )
    body = f"""
components:
  api: {{kind: service, workers: 1M, cores: 1000, latency: 0 s}}
  x: {{kind: external}}
flows:
  f: {{rate: 50/s, steps: [{{parallel: [{", ".join([leaf] * 100)}]}}]}}
"""
    hedged = body + "policies: {client -> api: {hedge: {delay: 5 ms}}}\n"
    for text, share in ((body, 1 - 0.99**100), (hedged, 1 - 0.9999**100)):
        latency = run_of(text, lasts="3 min", scenario="warmup: 2 s").flows["f"].latency
        assert (latency.mean_ns - MS) / S == pytest.approx(share, rel=0.15)


def test_the_loser_of_a_hedge_goes_on_and_still_costs_the_callee() -> None:
    policies = "hedge: {delay: 10 ms, budget: 100%}"
    body = (
        queue_of("kind: external, in_flight: 1000", "{constant: 50 ms}", 100)
        + f"policies: {{client -> x: {{{policies}}}}}\n"
    )
    run = run_of(body)
    assert arrow(run).hedges == pytest.approx(arrow(run).calls, rel=0.01)
    assert arrow(run).hedges_won == 0
    assert mean(run.components["x"].utilisation["in_flight"]) == pytest.approx(2 * 100 * 0.05 / 1000, rel=0.02)


def test_a_failure_waits_for_the_other_call() -> None:
    body = queue_of("kind: external, errors: 30%", "{constant: 50 ms}", 1000)
    run = run_of(body + "policies: {client -> x: {hedge: {delay: 10 ms, budget: 100%}}}\n")
    assert failures(run.flows["f"]) / sum(run.flows["f"].offered) == pytest.approx(0.09, rel=0.05)
    latency = run.flows["f"].latency  # the first answers in 70 of 91 successes, the extra call in the others
    assert (latency.mean_ns / MS - 50) / 10 == pytest.approx(0.21 / 0.91, rel=0.05)
    assert arrow(run).hedges_won / sum(run.flows["f"].good) == pytest.approx(0.21 / 0.91, rel=0.05)


def test_the_budget_bounds_the_extra_calls_when_everything_is_slow() -> None:
    body = queue_of("kind: external", "{constant: 100 ms}", 1000) + "policies: {client -> x: {hedge: {delay: 10 ms}}}\n"
    seen = arrow(run_of(body))
    assert seen.hedges / seen.calls == pytest.approx(0.2, rel=0.01)


def test_extra_calls_end_with_their_attempt() -> None:
    policies = "policies: {client -> x: {timeout: 30 ms, hedge: {delay: 10 ms, budget: 100%, extras: 3}}}\n"
    run = run_of(queue_of("kind: external", "{constant: 100 ms}", 100) + policies)
    assert sum(run.flows["f"].failed["timeout"]) == failures(run.flows["f"]) > 5900
    assert arrow(run).hedges / arrow(run).calls == pytest.approx(1.0, abs=0.01)  # a budget of 100 % pays one each
    assert run.flows["f"].unfinished < 20


def test_a_lost_call_is_answered_by_the_extra_one() -> None:
    faults = "faults: [{at: 1 s, drop: x, share: 50%, for: 59 s}], warmup: 0 s"
    policies = "policies: {client -> x: {timeout: 100 ms, hedge: {delay: 10 ms, budget: 100%}}}\n"
    run = run_of(queue_of("kind: external", "{constant: 1 ms}", 1000) + policies, scenario=faults)
    assert failures(run.flows["f"], 2) / sum(run.flows["f"].offered[2:]) == pytest.approx(0.25, rel=0.05)


def test_retries_and_hedges_count_as_tries_of_the_client() -> None:
    policies = "policies: {client -> x: {retry: {attempts: 2, backoff: 0 ms}, hedge: {delay: 10 ms, budget: 100%}}}\n"
    run = run_of(queue_of("kind: external, errors: 50%", "{constant: 20 ms}", 500) + policies)
    seen = arrow(run)
    assert sum(run.flows["f"].attempts) == seen.attempts + seen.hedges
    assert failures(run.flows["f"]) / sum(run.flows["f"].offered) == pytest.approx(0.0625, rel=0.1)


# Rate limit.


@pytest.mark.parametrize("rho", [0.5, 1.0, 3.0])
def test_a_rate_limit_without_burst_or_wait_refuses_what_erlang_b_says(rho: float) -> None:
    body = queue_of("kind: external", "{constant: 1 ns}", 100 * rho) + "policies: {client -> x: {rate_limit: 100/s}}\n"
    flow = run_of(body, lasts="10 min", scenario="warmup: 0 s").flows["f"]
    assert failures(flow) / sum(flow.offered) == pytest.approx(rho / (1 + rho), rel=0.02)
    assert sum(flow.failed["rate_limited"]) == failures(flow)


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_waiting_for_ones_turn_is_an_md1_queue(rho: float) -> None:
    policies = "policies: {client -> x: {rate_limit: {rate: 1000/s, wait: 10 s}}}\n"
    run = run_of(queue_of("kind: external", "{constant: 1 us}", 1000 * rho) + policies, lasts="20 min")
    wait_ns = run.flows["f"].latency.mean_ns - 1000
    assert wait_ns == pytest.approx(1e6 * rho / (2 * (1 - rho)), rel=0.02)
    assert failures(run.flows["f"]) == 0


def test_waiters_get_all_of_the_rate_and_the_others_are_refused() -> None:
    policies = "policies: {client -> x: {rate_limit: {rate: 100/s, burst: 10, wait: 200 ms}}}\n"
    run = run_of(queue_of("kind: external", "{constant: 1 ms}", 300) + policies)
    assert mean(run.flows["f"].good, 2) == pytest.approx(100, rel=0.01)
    assert run.flows["f"].latency.max_ns <= 201 * MS
    assert arrow(run).rejected_by_rate_limit == sum(run.flows["f"].failed["rate_limited"])


# Throttle.


def test_a_throttle_sheds_what_its_formula_says() -> None:
    """One worker, no queue, 1/30 s: of a/s it accepts A = a / (1 + a/30), and a/100 = 2 A/100: A = 15, 70 % refused."""
    body = queue_of("kind: service, cores: 1, workers: 1, queue: 0, latency: 0 s", "{constant: 33.333 ms}", 100)
    run = run_of(body + "policies: {client -> x: {throttle: 2x}}\n", lasts="20 min")
    assert arrow(run).rejected_by_throttle / arrow(run).calls == pytest.approx(0.7, abs=0.01)
    assert mean(run.flows["f"].good, 200) == pytest.approx(15, rel=0.02)


def test_a_throttle_lets_go_when_the_callee_is_back() -> None:
    faults = "faults: [{at: 1 min, kill: x, for: 1 min}], warmup: 0 s"
    policies = "policies: {client -> x: {throttle: {window: 30 s}}}\n"
    run = run_of(queue_of("kind: external", "{constant: 1 ms}", 100) + policies, lasts="4 min", scenario=faults)
    flow = run.flows["f"]
    throttled = flow.failed["throttled"]
    assert sum(throttled[95:120]) / sum(flow.offered[95:120]) == pytest.approx(0.9, abs=0.02)  # the floor goes on
    assert sum(throttled[185:]) == 0


# Adaptive limit.

OVERLOADED = queue_of("kind: external, in_flight: 10", "{constant: 100 ms}", 80)
STEP = "load: {0 min: 1x, 2 min: 3.75x, 22 min: 1x}, warmup: 20 s"


def test_without_a_limit_an_overload_leaves_nothing_that_is_in_time() -> None:
    run = run_of(OVERLOADED + "policies: {client -> x: {timeout: 500 ms}}\n", lasts="24 min", scenario=STEP)
    assert mean(run.flows["f"].good, 130, 1320) < 10


def test_an_adaptive_limit_keeps_goodput_and_latency_in_an_overload_of_twenty_minutes() -> None:
    policies = "policies: {client -> x: {timeout: 500 ms, adaptive_limit: {}}}\n"
    run = run_of(OVERLOADED + policies, lasts="24 min", scenario=STEP)
    flow = run.flows["f"]
    assert sum(flow.good[20:120]) / sum(flow.offered[20:120]) >= 0.99
    for first in range(120, 1320, 120):
        assert mean(flow.good, first, first + 120) >= 95
    assert flow.latency.p99_ns <= 300 * MS
    assert sum(flow.good[1340:]) / sum(flow.offered[1340:]) >= 0.99
    assert arrow(run).rejected_by_limit == sum(flow.failed["limited"])


def test_many_instances_drain_together_and_keep_goodput_for_twenty_minutes() -> None:
    body = """
components:
  api: {kind: service, replicas: 10, workers: 1M, cores: 100, latency: 0 s}
  x: {kind: external, in_flight: 100}
flows:
  f: {rate: 800/s, steps: [{run: api, cpu: 1 us}, {call: x, takes: {uniform: 90 ms..110 ms}}]}
policies:
  api -> x: {adaptive_limit: {}}
"""
    run = run_of(body, lasts="22 min", scenario="load: {0 min: 1x, 1 min: 3.75x}, warmup: 20 s")
    assert mean(run.flows["f"].good, 70) >= 950
    assert sorted(run.flows["f"].p99_ns[-300:])[150] <= 300 * MS


def test_against_noise_many_instances_need_a_highest_baseline() -> None:
    body = """
components:
  api: {kind: service, replicas: 10, workers: 1M, cores: 100, latency: 0 s}
  x: {kind: external, in_flight: 100}
flows:
  f: {rate: 800/s, steps: [{run: api, cpu: 1 us}, {call: x, takes: {p50: 88 ms, p99: 283 ms}}]}
policies:
  api -> x: {adaptive_limit: {baseline_max: 120 ms}}
"""
    run = run_of(body, lasts="22 min", scenario="load: {0 min: 1x, 1 min: 3.75x}, warmup: 20 s")
    assert mean(run.flows["f"].good, 70) >= 950
    assert sorted(run.flows["f"].p99_ns[-300:])[150] <= 600 * MS


# All together.

EVERYTHING = """
components:
  api: {kind: service, replicas: 3, cores: 4, workers: 20, queue: 10}
  x: {kind: external, in_flight: 20, errors: 10%}
flows:
  f: {rate: 400/s, steps: [{run: api, cpu: 1 ms}, {call: x, takes: {p50: 20 ms, p99: 200 ms}}]}
policies:
  client -> api: {deadline: 1 s, retry: {attempts: 2, backoff: 10 ms}, throttle: 2x, hedge: {delay: 50 ms, extras: 2}}
  api -> x:
    timeout: 150 ms
    circuit_breaker: {failures: 10, open: 100 ms}
    rate_limit: {rate: 100/s, burst: 20, wait: 50 ms}
    adaptive_limit: {probe_every: 2 s}
    bulkhead: {in_flight: 6, queue: 2}
    hedge: {}
"""
LOAD = "load: {0 s: 1x, 10 s: 3x, 20 s: 1x, 40 s: 0.000001x}, warmup: 0 s"
FAULTS = (
    "{at: 5 s, kill: x, for: 2 s}, {at: 12 s, slow: x, by: 5x, for: 5 s}, {at: 25 s, drop: x, share: 20%, for: 5 s}"
)
TROUBLE = f"{LOAD}, faults: [{FAULTS}]"


@pytest.mark.parametrize("seed", range(5))
def test_at_rest_nothing_is_held_whatever_has_happened(seed: int) -> None:
    built = world.build(program_of(EVERYTHING, lasts="60 s", scenario=TROUBLE), seed)
    loop.prepare(built)
    loop.begin(built)
    while loop.advance(built) == NEEDS_ROOM:
        world.grow(built)
    assert built.clock[0]["free_count"] == len(built.tasks)
    assert set(built.bulkhead_state["in_flight_count"]) == set(built.bulkhead_state["queue_count"]) == {0}
    assert set(built.adaptive_limit_state["in_flight_count"]) == {0}
    assert built.hedge_state["estimate_ns"].max() > 0
    counts = built.arrow_counts
    absent = {"budget_exhausted", "deadlines"}  # the design has neither budget nor deadline
    assert all(counts[name].sum() > 0 for name in counts.dtype.names if name not in absent)


def test_every_call_is_refused_or_attempted() -> None:
    run = run_of(EVERYTHING, lasts="60 s", scenario=TROUBLE)
    gates = ("throttle", "breaker", "rate_limit", "limit", "bulkhead")
    for seen in run.arrows.values():
        refused = sum(getattr(seen, f"rejected_by_{gate}") for gate in gates)
        assert seen.attempts + refused <= seen.calls + seen.retries <= seen.attempts + refused + 20  # 20: its time up
    assert simulate(program_of(EVERYTHING, lasts="60 s", scenario=TROUBLE), 1) == run
