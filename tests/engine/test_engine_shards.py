"""Shards in the simulator: who gets what by hash and by range, replicas, kills, keys behind caches, and the verdict."""

import math
import random

import pytest
from small_runs import designed, program_of, run_of

from tenfold import api
from tenfold.sizing.popularity import key_classes, top_share
from tenfold.sizing.shards import BY_HASH, BY_RANGE, hottest_share
from tenfold.verdict import judge

KEYS = 10_000
DATA = f"requirements: {{peak: 1x, data: {{user: {{size: 1 KB, count: {KEYS}, popularity: zipf 0.9}}}}}}"


def stored(more: str, rate: int = 4_000, verb: str = "query") -> str:
    """One flow that asks a sharded database, 1 ms each."""
    return f"""
{DATA}
components:
  db: {{kind: postgres, shard_key: user, cores: 4, pool: 1000, latency: 0, {more}}}
flows:
  f: {{rate: {rate}/s, steps: [{{{verb}: db, takes: 1 ms}}]}}
"""


def mean(series: tuple[float, ...]) -> float:
    return sum(series[5:]) / len(series[5:])


def used(body: str, **how: str) -> dict[str, float]:
    """Mean busy share of every resource of `db`."""
    part = run_of(body, lasts="30 s", **how).components["db"].utilisation
    return {name: mean(series) for name, series in part.items()}


def test_by_range_the_first_range_gets_the_sum_of_the_first_keys() -> None:
    first = top_share(KEYS, 0.9) / top_share(KEYS // 4, 0.9)
    found = used(stored("shards: 4, shard_by: range"))
    assert found["hottest shard"] == pytest.approx(4_000 * 0.001 * first / 8, rel=0.03)
    assert found["active"] == pytest.approx(4_000 * 0.001 / 32, rel=0.02)


def test_by_hash_the_fullest_is_within_what_chance_allows() -> None:
    even = 4_000 * 0.001 / 32
    found = used(stored("shards: 4"))
    assert even * 1.02 < found["hottest shard"] < even * 1.9
    assert found["active"] == pytest.approx(even, rel=0.02)


def test_without_popularity_shards_are_alike_by_hash_and_by_range() -> None:
    for by in ("hash", "range"):
        found = used(stored(f"shards: 4, shard_by: {by}").replace("zipf 0.9", "uniform"))
        assert found["hottest shard"] == pytest.approx(found["active"], rel=0.15)


def test_replicas_share_the_queries_of_their_shard_and_none_of_its_inserts() -> None:
    reads = used(stored("shards: 4, shard_by: range, replicas: 2"))
    writes = used(stored("shards: 4, shard_by: range, replicas: 2", verb="insert"))
    alone = used(stored("shards: 4, shard_by: range"))
    assert reads["hottest shard"] == pytest.approx(alone["hottest shard"] / 3, rel=0.1)  # the busiest of 3, by chance
    assert writes["hottest shard"] == pytest.approx(alone["hottest shard"], rel=0.05)
    primaries = program_of(stored("shards: 4, replicas: 2", verb="insert")).groups
    assert [group.size for group in primaries] == [12, 4, 4, 4]


def test_one_shard_changes_nothing() -> None:
    plain = f"{DATA}\ncomponents:\n  db: {{kind: postgres, cores: 4, pool: 1000, latency: 0}}\n"
    flow = "flows:\n  f: {rate: 4000/s, steps: [{query: db, takes: 1 ms}]}\n"
    assert run_of(plain + flow, lasts="30 s").components == run_of(stored("shards: 1"), lasts="30 s").components


def test_a_killed_shard_fails_its_part_and_the_others_go_on() -> None:
    run = run_of(stored("shards: 4, shard_by: range"), scenario="faults: [{at: 10 s, kill: db, nodes: 1}]")
    flow = run.flows["f"]
    failed = sum(sum(series[12:]) for series in flow.failed.values())
    share = failed / (failed + sum(flow.good[12:]))
    assert share == pytest.approx(top_share(KEYS, 0.9) / top_share(KEYS // 4, 0.9), abs=0.02)


def test_a_kill_of_all_kills_the_replicas_too() -> None:
    run = run_of(stored("shards: 2, replicas: 1"), scenario="faults: [{at: 10 s, kill: db}]")
    assert sum(run.flows["f"].good[12:]) == 0


def test_a_full_shard_is_what_runs_out_first_though_the_mean_is_low() -> None:
    body = stored("shards: 8, shard_by: range", rate=12_000)
    run = run_of(body, lasts="30 s")
    design = designed(body, lasts="30 s")
    first = judge(design, design.scenarios["s"], run).saturated[0]
    assert (first.component, first.resource) == ("db", "hottest shard")
    assert mean(run.components["db"].utilisation["active"]) < 0.5


def behind_cache(cached: str) -> str:
    return f"""
requirements:
  peak: 1x
  data:
    user: {{size: 1 KB, count: {KEYS}, popularity: zipf 0.9}}
    post: {{size: 1 KB, count: 50k, popularity: zipf 0.5}}
components:
  cache: {{kind: redis, holds: {cached}, ttl: 20 s, latency: 0}}
  db: {{kind: postgres, shard_key: user, shards: 4, shard_by: range, cores: 4, pool: 1000, latency: 0}}
flows:
  f: {{rate: 4000/s, steps: [{{get: cache, on_miss: [{{query: db, takes: 1 ms}}, {{set: cache}}]}}]}}
"""


def test_behind_a_cache_of_the_same_keys_the_misses_are_nearly_even() -> None:
    found = used(behind_cache("user"), scenario="starts: cold")
    assert found["hottest shard"] < 1.8 * found["active"]


def test_behind_a_cache_of_other_keys_the_shard_follows_its_own_key_and_the_cache_keeps_its_own() -> None:
    body = behind_cache("post")
    found = used(body)
    first = top_share(KEYS, 0.9) / top_share(KEYS // 4, 0.9)
    assert found["hottest shard"] == pytest.approx(4 * first * found["active"], rel=0.05)
    run = run_of(body, lasts="30 s")
    plain = run_of(body.replace("shards: 4, shard_by: range, ", ""), lasts="30 s")
    hits, usual = (sum(each.components["cache"].hits[10:]) for each in (run, plain))
    assert hits == pytest.approx(usual, rel=0.02)


@pytest.mark.parametrize("by", ["hash", "range"])
def test_a_cache_node_that_dies_forgets_its_own_keys(by: str) -> None:
    body = f"""
{DATA}
components:
  cache: {{kind: redis, nodes: 4, shard_by: {by}, holds: user, ttl: 1 h, latency: 0}}
  db: {{kind: postgres, latency: 0}}
flows:
  f: {{rate: 4000/s, steps: [{{get: cache, on_miss: [{{query: db, takes: 1 ms}}, {{set: cache}}]}}]}}
policies:
  client -> cache: {{on_failure: miss}}
"""
    scenario = "faults: [{at: 10 s, kill: cache, nodes: 1, for: 1 s}]"
    run = run_of(body, scenario=scenario).components["cache"]
    part = top_share(KEYS, 0.9) / top_share(KEYS // 4, 0.9) if by == "range" else 0.25
    refused = run.failed[10] / run.calls[10]
    assert refused == pytest.approx(part, abs=0.12)
    lost = sum(run.misses[11:20])
    assert 500 < lost <= KEYS / 4 * 1.2
    assert mean(run.utilisation["hottest node"]) > mean(run.utilisation["thread"])


def test_theory_and_simulation_agree_on_the_fullest_of_many_placements() -> None:
    dice = random.Random(1)
    head = [(share, round(count)) for share, count in key_classes(2_000, 0.9)]
    weights = [(rank + 1) ** -0.9 for rank in range(2_000)]
    whole = math.fsum(weights)
    assert math.fsum(share * count for share, count in head) == pytest.approx(1, abs=0.01)
    largest = []
    for _ in range(300):
        shards = [0.0] * 8
        for weight in weights:
            shards[dice.randrange(8)] += weight / whole
        largest.append(max(shards))
    assert hottest_share(8, BY_HASH, 2_000, 0.9) == pytest.approx(math.fsum(largest) / 300, rel=0.04)
    first = math.fsum(weights[:250]) / whole
    assert hottest_share(8, BY_RANGE, 2_000, 0.9) == pytest.approx(first, rel=0.001)


def test_the_plan_foresees_what_the_simulation_shows() -> None:
    for by in ("hash", "range"):
        body = stored(f"shards: 4, shard_by: {by}")
        planned = {line.name: line.value.likely for line in api.size(designed(body)).components["db"].utilisation}
        assert used(body)["hottest shard"] == pytest.approx(planned["statements"], rel=0.03 if by == "range" else 0.3)
