"""Caches against closed forms: how often they hit, and what happens when keys expire together."""

import math

import pytest
import theory
from small_runs import mean, run_of

KEYS = 20_000


def cache_of(
    settings: str, rate: float, *, keys: int = KEYS, exponent: float = 0.9, load: str = "{constant: 1 us}"
) -> str:
    """One flow that gets a key and loads it on a miss."""
    popularity = f"popularity: zipf {exponent}" if exponent else ""
    return f"""
requirements: {{peak: 1x, data: {{d: {{size: 1 KB, count: {keys}, {popularity}}}}}}}
components:
  cache: {{kind: redis, holds: d, takes: 1 ns, latency: 0 s, {settings}}}
  db: {{kind: external}}
flows:
  f: {{rate: {rate}/s, steps: [{{get: cache, on_miss: [{{call: db, takes: {load}}}, {{set: cache}}]}}]}}
"""


def hit_ratio(body: str, first: int = 0, **how: str) -> float:
    """Hits of all lookups, from bin `first` on."""
    seen = run_of(body, **how).components["cache"]
    hits, misses = sum(seen.hits[first:]), sum(seen.misses[first:])
    return hits / (hits + misses)


@pytest.mark.parametrize(("exponent", "ttl_s"), [(0.0, 10), (0.9, 2), (0.9, 20), (1.1, 10)])
@pytest.mark.parametrize("starts", ["warm", "cold"])
def test_a_ttl_cache_hits_as_often_as_renewal_theory_says(exponent: float, ttl_s: int, starts: str) -> None:
    body = cache_of(f"ttl: {ttl_s} s", 10_000, exponent=exponent)
    expected = theory.ttl_hit_ratio(theory.zipf(KEYS, exponent), 10_000, ttl_s)
    first = 0 if starts == "warm" else 2 * ttl_s
    seen = hit_ratio(body, first, lasts="100 s", scenario=f"starts: {starts}")
    assert seen == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("capacity", [500, 4000])
def test_a_cache_short_of_memory_hits_about_as_often_as_lru(capacity: int) -> None:
    # Sets of eight entries instead of one long list cost a few hits: 3 % is the stated tolerance.
    body = cache_of(f"ttl: 1 day, memory: {capacity} KB", 50_000)
    expected = theory.che_hit_ratio(theory.zipf(KEYS, 0.9), capacity)
    assert hit_ratio(body, 10, lasts="40 s", scenario="starts: cold") == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("jitter", [0.1, 0.25, 0.5])
def test_keys_loaded_together_expire_over_the_jitter(jitter: float) -> None:
    # 20,000 keys, each asked for all the time: whatever expires is loaded at once.
    body = cache_of(f"ttl: 20 s, ttl_jitter: {jitter:.0%}", 400_000, exponent=0.0)
    run = run_of(body, lasts="30 s", scenario="faults: [{at: 5 s, expire: cache}], load: 1x, warmup: 0 s")
    loads = run.components["cache"].loads
    bins_per_s = len(loads) / 30
    spread_s = 2 * jitter * 20
    first, last = int((5 + 0.2) * bins_per_s), int(min(5 + spread_s, 5 + 20 * (1 - jitter)) * bins_per_s) - 1
    assert mean(loads, first, last) * bins_per_s == pytest.approx(KEYS / spread_s, rel=0.05)


def test_keys_loaded_together_without_jitter_expire_in_one_instant() -> None:
    body = cache_of("ttl: 20 s", 400_000, exponent=0.0)
    run = run_of(body, lasts="10 s", scenario="faults: [{at: 5 s, expire: cache}], warmup: 0 s")
    loads = run.components["cache"].loads
    at = int(5 * len(loads) / 10)
    assert sum(loads[at : at + 3]) > 0.99 * KEYS * (1 - math.exp(-400_000 / KEYS * 0.5))


def hot_key(lock: str, delta_ms: int, rate: int) -> str:
    """One key that is asked for `rate` times a second and takes `delta_ms` to load."""
    settings = f"ttl: 2 s, lock: {lock}, lease: 60 s"
    return cache_of(settings, rate, keys=1, exponent=0.0, load=f"{{constant: {delta_ms} ms}}")


@pytest.mark.parametrize(("rate", "delta_ms"), [(1000, 20), (5000, 100), (200, 500)])
def test_a_hot_key_without_lock_is_loaded_by_all_who_miss(rate: int, delta_ms: int) -> None:
    seen = run_of(hot_key("false", delta_ms, rate), lasts="20 min", scenario="starts: cold").components["cache"]
    cycle_s = 2 + delta_ms / 1000 + 1 / rate  # the last store of a herd renews the ttl
    per_expiry = 1 + rate * delta_ms / 1000
    late = delta_ms / 1000 * (1 - 1 / per_expiry)  # every load of the herd writes: the entry lives from the last one
    assert sum(seen.loads) / (1200 / (cycle_s + late)) == pytest.approx(per_expiry, rel=0.02)
    assert sum(seen.loads) == sum(seen.misses)


@pytest.mark.parametrize(("rate", "delta_ms"), [(1000, 20), (5000, 100), (200, 500)])
def test_a_hot_key_with_lock_is_loaded_once_and_the_others_wait(rate: int, delta_ms: int) -> None:
    seen = run_of(hot_key("true", delta_ms, rate), lasts="20 min", scenario="starts: cold").components["cache"]
    cycles = 1200 / (2 + delta_ms / 1000 + 1 / rate)
    assert sum(seen.loads) == pytest.approx(cycles, abs=2)
    waiters = (sum(seen.misses) - sum(seen.loads)) / sum(seen.loads)
    assert waiters == pytest.approx(rate * delta_ms / 1000, rel=0.02)


def test_early_refresh_starts_about_when_theory_says() -> None:
    # XFetch, beta 1: the first refresh starts about delta (ln(lambda delta) + 0.577) before expiry; nobody misses.
    body = cache_of("ttl: 10 s, lock: true, early_refresh: 1x", 1000, keys=1, exponent=0.0, load="{constant: 400 ms}")
    seen = run_of(body, lasts="20 min", scenario="starts: cold").components["cache"]
    ahead_s = 0.4 * (math.log(1000 * 0.4) + 0.5772)
    cycle_s = 10 - ahead_s + 0.4  # stored 0.4 s after the refresh began
    assert sum(seen.loads) == pytest.approx(1200 / cycle_s, rel=0.02)
    assert sum(seen.misses) < 600  # only the first load has waiters


@pytest.mark.parametrize("stale_s", [1, 5])
def test_stale_while_revalidate_leaves_no_misses(stale_s: int) -> None:
    settings = f"ttl: 2 s, lock: true, stale_while_revalidate: {stale_s} s"
    body = cache_of(settings, 1000, keys=1, exponent=0.0, load="{constant: 100 ms}")
    seen = run_of(body, lasts="2 min", scenario="starts: cold").components["cache"]
    assert sum(seen.misses) < 150  # the very first load
    assert sum(seen.loads) == pytest.approx(120 / 2.101, abs=2)
