"""The engine against queueing theory: means within 1 %, 99 % quantiles within 2 %. Closed forms: `theory.py`."""

import math

import pytest
import theory
from small_runs import S, failures, mean, queue_of, run_of

WARM = "warmup: 60 s"
ONE_SERVER = "kind: external, in_flight: 1"
LONG = {0.5: "1 h", 0.7: "1 h", 0.8: "2 h", 0.9: "6 h"}
"""Simulated time at 1000 customers/s of capacity: the fuller the queue, the longer it remembers."""


@pytest.mark.parametrize("rho", [0.5, 0.7, 0.8, 0.9])
def test_mm1_has_an_exponential_sojourn(rho: float) -> None:
    run = run_of(queue_of(ONE_SERVER, "1 ms", 1000 * rho), lasts=LONG[rho], scenario=WARM)
    seen, expected = run.flows["f"].latency, 1e6 / (1 - rho)
    assert seen.mean_ns == pytest.approx(expected, rel=0.01)
    assert seen.sd_ns == pytest.approx(expected, rel=0.02)
    assert seen.p50_ns == pytest.approx(expected * math.log(2), rel=0.02)
    assert seen.p99_ns == pytest.approx(expected * math.log(100), rel=0.02)


@pytest.mark.parametrize(("rho", "queue"), [(0.5, 0.5), (0.8, 3.2)])
def test_mm1_wait_queue_and_utilisation(rho: float, queue: float) -> None:
    seen = run_of(queue_of(ONE_SERVER, "1 ms", 1000 * rho), lasts=LONG[rho], scenario=WARM).components["x"]
    assert mean(seen.utilisation["in_flight"]) == pytest.approx(rho, rel=0.01)
    assert mean(seen.queue) == pytest.approx(queue, rel=0.01)
    assert mean(seen.wait_ns) == pytest.approx(1e6 * rho / (1 - rho), rel=0.01)


@pytest.mark.parametrize(("servers", "rho", "lasts"), [(2, 0.6, "20 min"), (4, 0.8, "40 min"), (16, 0.9, "40 min")])
def test_mmc_waits_as_erlang_says(servers: int, rho: float, lasts: str) -> None:
    rate = 1000 * servers * rho
    body = queue_of(f"kind: service, cores: {servers}, workers: 1M", "1 ms", rate)
    seen = run_of(body, lasts=lasts, scenario=WARM).flows["f"].latency
    assert seen.mean_ns / S == pytest.approx(theory.mmc_sojourn_s(servers, rate, 1e-3), rel=0.01)
    assert seen.p99_ns / S == pytest.approx(theory.mmc_sojourn_quantile_s(servers, rate, 1e-3, 0.99), rel=0.02)


@pytest.mark.parametrize(("rho", "room"), [(0.5, 3), (0.8, 5), (1.0, 10), (1.5, 4)])
def test_mm1k_refuses_what_finds_no_place(rho: float, room: int) -> None:
    body = queue_of(f"kind: service, cores: 1, workers: 1, queue: {room - 1}", "1 ms", 1000 * rho)
    run = run_of(body, lasts="30 min", scenario="warmup: 0 s")
    flow, refused = run.flows["f"], theory.mm1k(rho, room)
    assert failures(flow) / sum(flow.offered) == pytest.approx(refused[0], rel=0.01)
    assert sum(flow.failed["overload"]) == failures(flow)
    assert flow.latency.mean_ns / S * 1000 * rho * (1 - refused[0]) == pytest.approx(refused[1], rel=0.01)


@pytest.mark.parametrize(("servers", "offered"), [(1, 0.5), (5, 3.0), (10, 8.0), (20, 20.0)])
def test_mmcc_loses_what_erlang_b_says(servers: int, offered: float) -> None:
    body = queue_of(f"kind: service, cores: {servers}, workers: {servers}, queue: 0", "1 ms", 1000 * offered)
    run = run_of(body, lasts="4 min", scenario="warmup: 0 s")
    flow = run.flows["f"]
    lost = theory.erlang_b(servers, offered)
    assert failures(flow) / sum(flow.offered) == pytest.approx(lost, rel=0.01)
    assert flow.latency.mean_ns == pytest.approx(1e6, rel=0.01)
    assert mean(run.components["x"].utilisation["workers"]) == pytest.approx(offered * (1 - lost) / servers, rel=0.01)


@pytest.mark.parametrize(("rho", "cv", "lasts"), [(0.5, 1.5, "1 h"), (0.7, 0.5, "1 h"), (0.8, 2.0, "5 h")])
def test_mg1_lognormal_waits_as_pollaczek_and_khinchine_say(rho: float, cv: float, lasts: str) -> None:
    body = queue_of(ONE_SERVER, f"{{lognormal: {{mean: 1 ms, cv: {cv}}}}}", 1000 * rho)
    seen = run_of(body, lasts=lasts, scenario=WARM).flows["f"].latency
    assert seen.mean_ns / S - 1e-3 == pytest.approx(theory.mg1_wait_s(rho, 1e-3, cv), rel=0.01)


@pytest.mark.parametrize(("rho", "lasts"), [(0.5, "1 h"), (0.7, "1 h"), (0.9, "3 h")])
def test_md1_waits_half_as_long_as_mm1(rho: float, lasts: str) -> None:
    body = queue_of(ONE_SERVER, "{constant: 1 ms}", 1000 * rho)
    seen = run_of(body, lasts=lasts, scenario=WARM).flows["f"].latency
    assert seen.mean_ns / S - 1e-3 == pytest.approx(theory.mg1_wait_s(rho, 1e-3, 0.0), rel=0.01)


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_a_tandem_has_product_form(rho: float) -> None:
    body = f"""
components:
  a: {{{ONE_SERVER}}}
  b: {{{ONE_SERVER}}}
flows:
  f: {{rate: {1000 * rho}/s, steps: [{{call: a, takes: 1 ms}}, {{call: b, takes: 0.5 ms}}]}}
"""
    seen = run_of(body, lasts="2 h", scenario=WARM).flows["f"].latency
    assert seen.mean_ns == pytest.approx(1e6 / (1 - rho) + 0.5e6 / (1 - rho / 2), rel=0.01)


def test_a_network_with_branches_has_product_form() -> None:
    # 800/s into a; 60 % go on to b, 40 % to c; all of them and 100/s from outside pass d.
    body = f"""
components:
  a: {{{ONE_SERVER}}}
  b: {{{ONE_SERVER}}}
  c: {{{ONE_SERVER}}}
  d: {{kind: external, in_flight: 3}}
flows:
  f:
    rate: 800/s
    steps:
      - {{call: a, takes: 1 ms}}
      - choose:
          - {{weight: 60%, steps: [{{call: b, takes: 1.25 ms}}]}}
          - {{weight: 40%, steps: [{{call: c, takes: 2 ms}}]}}
      - {{call: d, takes: 2.5 ms}}
  g: {{rate: 100/s, steps: [{{call: d, takes: 2.5 ms}}]}}
"""
    run = run_of(body, lasts="2 h", scenario=WARM)
    ends = theory.mmc_sojourn_s(3, 900, 2.5e-3)
    branches = 0.6 * 1.25e-3 / (1 - 480 * 1.25e-3) + 0.4 * 2e-3 / (1 - 320 * 2e-3)
    assert run.flows["f"].latency.mean_ns / S == pytest.approx(1e-3 / (1 - 0.8) + branches + ends, rel=0.01)
    assert run.flows["g"].latency.mean_ns / S == pytest.approx(ends, rel=0.01)


def test_littles_law_holds_for_queues_pools_and_the_whole() -> None:
    body = """
components:
  api: {kind: service, cores: 2, workers: 8, queue: 1M, latency: 0 s}
  db: {kind: postgres, cores: 1, active_per_core: 1, pool: 4, latency: 0 s}
flows:
  f: {rate: 500/s, steps: [{run: api, cpu: 2 ms}, {query: db, takes: 1.5 ms}]}
"""
    run = run_of(body, lasts="30 min", scenario="warmup: 0 s")
    api, db, flow = run.components["api"], run.components["db"], run.flows["f"]
    rate = sum(flow.good) / 1800
    in_api = mean(api.queue) + 2 * mean(api.utilisation["cpu"])  # waiting for worker or core, or on a core
    in_db = mean(db.queue) + mean(db.utilisation["active"])
    assert in_api + in_db == pytest.approx(rate * flow.latency.mean_ns / S, rel=0.01)  # the whole
    assert 2 * mean(api.utilisation["cpu"]) == pytest.approx(rate * 2e-3, rel=0.01)  # servers
    assert mean(db.utilisation["active"]) == pytest.approx(rate * 1.5e-3, rel=0.01)
    for seen, inside, work_s in ((api, in_api, 2e-3), (db, in_db, 1.5e-3)):  # a pool and its queue
        waited_s = sum(w * n for w, n in zip(seen.wait_ns, seen.calls, strict=True)) / sum(seen.calls) / S
        assert inside == pytest.approx(rate * (waited_s + work_s), rel=0.01)


@pytest.mark.parametrize("width", [2, 10, 50])
def test_a_fan_out_takes_as_long_as_its_slowest_branch(width: int) -> None:
    branches = ", ".join(["[{call: x, takes: 10 ms}]"] * width)
    body = f"""
components:
  x: {{kind: external}}
flows:
  f: {{rate: 500/s, steps: [{{parallel: [{branches}]}}]}}
"""
    seen = run_of(body, lasts="3 min", scenario="warmup: 1 s").flows["f"].latency
    assert seen.mean_ns == pytest.approx(10e6 * theory.harmonic(width), rel=0.01)
    assert seen.p99_ns == pytest.approx(-10e6 * math.log(1 - 0.99 ** (1 / width)), rel=0.02)


def test_one_slow_answer_in_a_hundred_makes_most_wide_requests_slow() -> None:
    leaf = (
        "[{choose: [{weight: 99%, steps: [{call: x, takes: {constant: 1 ms}}]}, "
        "{weight: 1%, steps: [{call: x, takes: {constant: 1 s}}]}]}]"
    )
    body = f"""
components:
  x: {{kind: external}}
flows:
  f: {{rate: 100/s, steps: [{{parallel: [{", ".join([leaf] * 100)}]}}]}}
"""
    seen = run_of(body, lasts="10 min", scenario="warmup: 2 s").flows["f"].latency
    slow = (seen.mean_ns - 1e6) / (S - 1e6)
    assert slow == pytest.approx(1 - 0.99**100, rel=0.01)


@pytest.mark.parametrize(("failing", "retries"), [(0.1, 2), (0.5, 3), (0.9, 9), (1.0, 4)])
def test_retries_without_pause_multiply_attempts(failing: float, retries: int) -> None:
    body = f"""
components:
  x: {{kind: external, errors: {failing:.0%}, takes: 1 ms}}
flows:
  f: {{rate: 5000/s, steps: [{{call: x}}]}}
policies:
  client -> x: {{retry: {{attempts: {retries + 1}, backoff: 0 ms}}}}
"""
    run = run_of(body, lasts="60 s", scenario="warmup: 0 s")
    flow = run.flows["f"]
    expected = theory.attempts_mean(failing, retries)
    assert sum(flow.attempts) / sum(flow.offered) == pytest.approx(expected, rel=0.01)
    assert failures(flow) / sum(flow.offered) == pytest.approx(failing ** (retries + 1), rel=0.05, abs=1e-4)


def test_attempts_of_layers_multiply() -> None:
    body = """
components:
  a: {kind: service, workers: 1M}
  b: {kind: service, workers: 1M}
  x: {kind: external, errors: 100%}
flows:
  f: {rate: 100/s, steps: [{run: a}, {run: b}, {call: x, takes: 1 ms}]}
policies:
  client -> a: {retry: {attempts: 3, backoff: 0 ms}}
  a -> b: {retry: {attempts: 3, backoff: 0 ms}}
  b -> x: {retry: {attempts: 3, backoff: 0 ms}}
"""
    run = run_of(body, lasts="60 s")
    assert sum(run.components["x"].calls) == pytest.approx(27 * sum(run.flows["f"].offered), rel=0.01)


@pytest.mark.parametrize(("rho", "lasts"), [(0.7, "15 s"), (0.9, "40 s")])
def test_two_choices_among_many_servers(rho: float, lasts: str) -> None:
    servers = 400
    kind = f"kind: service, replicas: {servers}, cores: 1, workers: 1, queue: 1M, balance: two_choices"
    seen = run_of(queue_of(kind, "1 ms", 1000 * rho * servers), lasts=lasts, scenario="warmup: 2 s").flows["f"].latency
    # The formula is the limit of infinitely many servers; 400 are about 1 % away at 90 %.
    assert seen.mean_ns / S == pytest.approx(theory.supermarket_s(rho, 2, 1e-3), rel=0.015)


def test_random_choice_is_many_single_servers() -> None:
    kind = "kind: service, replicas: 50, cores: 1, workers: 1, queue: 1M, balance: random"
    seen = run_of(queue_of(kind, "1 ms", 40_000), lasts="3 min", scenario="warmup: 5 s").flows["f"].latency
    assert seen.mean_ns == pytest.approx(5e6, rel=0.01)
    assert seen.p99_ns == pytest.approx(5e6 * math.log(100), rel=0.02)


def test_arrivals_are_poisson() -> None:
    offered = run_of(queue_of("kind: external", "1 ms", 400), lasts="1 h").flows["f"].offered
    average = mean(offered)
    variance = sum((n - average) ** 2 for n in offered) / (len(offered) - 1)
    assert average == pytest.approx(400, rel=3 / math.sqrt(400 * 3600))
    assert variance / average == pytest.approx(1.0, abs=3 * math.sqrt(2 / 3600))  # three standard errors
    assert sum(n < 400 - 1.96 * 20 or n > 400 + 1.96 * 20 for n in offered) / 3600 == pytest.approx(0.05, abs=0.012)


def test_the_load_follows_its_steps() -> None:
    load = "load: {0 s: 1x, 20 s: 3x, 40 s: 0.5x}, warmup: 0 s"
    offered = run_of(queue_of("kind: external", "1 ms", 10_000), scenario=load).flows["f"].offered
    assert mean(offered, 0, 20) == pytest.approx(10_000, rel=0.01)
    assert mean(offered, 20, 40) == pytest.approx(30_000, rel=0.01)
    assert mean(offered, 40, 60) == pytest.approx(5_000, rel=0.01)


def test_a_load_factor_multiplies_everything() -> None:
    run = run_of(queue_of("kind: external", "1 ms", 1000), load_factor=10.0)
    assert mean(run.flows["f"].offered) == pytest.approx(10_000, rel=0.01)
