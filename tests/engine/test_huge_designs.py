"""Designs with huge numbers run within the stated memory, or are refused with a remedy: never a crash."""

import pytest
from small_runs import program_of, queue_of, run_of

from tenfold.engine import world
from tenfold.errors import DesignError, UsageError

MESSAGES = """
components:
  q: {kind: log, max_length: 10G}
  w: {kind: service, cores: 16}
flows:
  f: {rate: 1000/s, steps: [{publish: q}]}
  g: {trigger: q, steps: [{run: w, cpu: 100 ms}]}
"""


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("service", "cores: 1000000T"),
        ("service", "workers: 1000000T"),
        ("service", "queue: 1000000T"),
        ("load_balancer", "cores: 1000000T"),
        ("load_balancer", "connections: 1000000T"),
        ("postgres", "active_per_core: 1000000T"),
        ("postgres", "pool: 1000000T"),
        ("postgres", "pool_queue: 1000000T"),
        ("external", "in_flight: 1000000T"),
        ("log", "partitions: 1000000T"),
        ("log", "in_flight: 1000000T"),
    ],
)
def test_a_setting_has_an_upper_bound(kind: str, setting: str) -> None:
    with pytest.raises(DesignError) as refused:
        program_of(f"components: {{x: {{kind: {kind}, {setting}}}}}\nflows: {{f: {{rate: 1/s, steps: []}}}}\n")
    assert f'{setting.split(":")[0]} of x: "1000000T" is too large' in str(refused.value)


@pytest.mark.parametrize(
    "kind", ["service, replicas: 100k, cores: 10k", "postgres, cores: 10k, active_per_core: 1000, replicas: 2"]
)
def test_more_servers_than_memory_is_spent_on_are_refused(kind: str) -> None:
    verb = "query" if "postgres" in kind else "run"
    body = f"components: {{x: {{kind: {kind}}}}}\nflows: {{f: {{rate: 1/s, steps: [{{{verb}: x}}]}}}}\n"
    with pytest.raises(UsageError, match=r"x has .*at most 1,000,000 nodes and 16,000,000 servers"):
        program_of(body)


def test_a_data_set_beyond_all_numbers_can_be_named() -> None:
    body = """
requirements: {peak: 1x, users: 1G, data: {d: {size: 1 B, count: 1000000T/user}}}
components:
  c: {kind: redis, holds: d, memory: 1 MB}
flows:
  f: {rate: 1000/s, steps: [{get: c, hit_ratio: 50%}]}
"""
    assert sum(run_of(body, lasts="1 s").flows["f"].good) > 900


def test_a_log_that_keeps_very_much_claims_memory_for_what_waits() -> None:
    run = run_of(MESSAGES, lasts="10 s")
    assert sum(run.flows["g"].good) == pytest.approx(1200, rel=0.1)  # 12 at a time, 100 ms each


def test_more_messages_than_memory_is_spent_on_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "MESSAGES_MAX", 2000)
    with pytest.raises(UsageError, match="more than 2,000 messages wait at q"):
        run_of(MESSAGES, lasts="11 s")


@pytest.mark.parametrize("takes", ["90 year", "{constant: 99 year}", "{pareto: {alpha: 1.1, mean: 10 year}}"])
def test_a_visit_that_outlasts_the_run_by_far_keeps_the_server_busy_and_no_more(takes: str) -> None:
    run = run_of(queue_of("kind: external, in_flight: 1", takes, 100), lasts="20 s")
    busy = run.components["x"].utilisation["in_flight"]
    assert busy[-1] == max(busy) == 1.0
    assert run.components["x"].queue[-1] == pytest.approx(2000, rel=0.1)
    assert run.flows["f"].unfinished == sum(run.flows["f"].offered)


def test_a_fault_may_slow_down_as_far_as_a_factor_goes() -> None:
    faults = "faults: [{at: 1 s, slow: x, by: 1000000x, for: 5 s}]"
    run = run_of(queue_of("kind: external, in_flight: 1", "1 year", 100), lasts="20 s", scenario=faults)
    assert max(run.components["x"].utilisation["in_flight"]) == 1.0
