"""The same freshness policy in the simulator and in a running cache gives the same answer."""

import asyncio
import itertools
from functools import cache as remembered

import pytest
from scene import S, Scene

from tenfold.cache import Cache, Config
from tenfold.design.load import parse
from tenfold.design.schema import Design
from tenfold.engine.run import simulate
from tenfold.kinds import KINDS
from tenfold.program.lower import lower
from tenfold.results.run import ComponentRun, Run

RATE, LOAD_S, TTL_S = 94, 0.5, 20
COLD_S = 5  # the first herd is another matter


def designed(settings: str, rate: float, keys: int, load_ms: float, scenario: str) -> Design:
    """One flow that gets a key and loads it on a miss."""
    text = f"""
tenfold: 1
title: one cache
requirements: {{peak: 1x, data: {{d: {{size: 1 KB, count: {keys}}}}}}}
components:
  cache: {{kind: redis, holds: d, takes: 1 ns, latency: 0 s, {settings}}}
  db: {{kind: external}}
flows:
  f:
    rate: {rate}/s
    steps: [{{get: cache, on_miss: [{{call: db, takes: {{constant: {load_ms} ms}}}}, {{set: cache}}]}}]
scenarios:
  s: {{{scenario}}}
"""
    return parse(text, "cache.yaml", KINDS)


def simulated(design: Design) -> Run:
    return simulate(lower(design, design.scenarios["s"]), 1)


def config_of(design: Design) -> Config:
    """The policy of the design's cache, as the running cache takes it."""
    spec = design.components["cache"].spec
    return Config(**{name: getattr(spec, name) for name in Config.__dataclass_fields__})


async def visitors(s: Scene, cache: Cache, rate: float, until_s: float) -> None:
    """Callers of one key, at random moments."""
    loop, tasks = asyncio.get_running_loop(), set()
    while loop.time() < until_s:
        await asyncio.sleep(s.world.dice.expovariate(rate))
        task = asyncio.create_task(cache.get("k", s.source.load))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


# A crowd on a cold key.


def test_a_crowd_on_a_cold_key_loads_once_and_as_many_wait() -> None:
    rate, load_s = 20_000, 0.05
    design = designed("ttl: 1 h, lock: true", rate, 1, load_s * 1e3, "lasts: 2 s, starts: cold")
    in_engine = simulated(design).components["cache"]
    s = Scene(takes_s=load_s)

    async def main() -> Cache:
        async with s.cache(config=config_of(design)) as cache:
            await visitors(s, cache, rate, 0.2)
        return cache

    running = s.run(main())
    assert sum(in_engine.loads) == running.counts.loads == 1
    assert running.counts.misses == pytest.approx(sum(in_engine.misses), rel=0.15)
    assert running.counts.misses == pytest.approx(rate * load_s, rel=0.1)


# Keys that were loaded together.


@remembered
def expiries_in_engine(jitter: int) -> int:
    """The most loads in one second, of 12,000 keys that expire together."""
    scenario = "lasts: 30 s, warmup: 0 s, faults: [{at: 5 s, expire: cache}]"
    run = simulated(designed(f"ttl: 60 s, ttl_jitter: {jitter}%", 240_000, 12_000, 0.001, scenario))
    return max(per_second(run, run.components["cache"].loads)[5:])


def per_second(run: Run, series: tuple[int, ...]) -> list[int]:
    bins = round(S / run.bin_ns)
    return [sum(series[at : at + bins]) for at in range(0, len(series), bins)]


@pytest.mark.parametrize(("jitter", "peak"), [(0, 12_000), (5, 2_000), (10, 1_000), (20, 500)])
def test_keys_loaded_together_expire_as_far_apart_as_the_jitter_says(jitter: int, peak: int) -> None:
    s = Scene()

    async def main() -> None:
        async with s.cache(ttl="60 s", ttl_jitter=f"{jitter}%") as cache:
            await cache.set_many({f"k{i}": i for i in range(12_000)})

    s.run(main())
    ends_s = [s.memory._records.peek(key)[0].entry.fresh_until_ns // S for key in s.memory._records]
    highest = max(ends_s.count(second) for second in set(ends_s))
    assert highest == pytest.approx(peak, rel=0.1)
    assert highest == pytest.approx(expiries_in_engine(jitter), rel=0.1)


# A hot key that expires again and again.

POLICIES = {
    "none": "lock: false",
    "lock": "lock: true, lease: 60 s",
    "early": "lock: false, early_refresh: 1x",
    "early and lock": "lock: true, lease: 60 s, early_refresh: 1x",
}


def lasts_s(policy: str) -> int:
    """Long enough for the mean to settle."""
    return 1_200 if policy == "early" else 300


def hot_design(policy: str) -> Design:
    settings = f"ttl: {TTL_S} s, {POLICIES[policy]}"
    return designed(settings, RATE, 1, LOAD_S * 1e3, f"lasts: {lasts_s(policy)} s, starts: cold, warmup: 0 s")


def cycles_of(moments_s: list[float]) -> int:
    """How often it was loaded anew: loads more than five seconds after the one before."""
    return 1 + sum(later - earlier > 5 for earlier, later in itertools.pairwise(moments_s))


@remembered
def hot_in_engine(policy: str) -> tuple[float, float]:
    """Loads, and callers that missed, per cycle."""
    run = simulated(hot_design(policy))
    seen: ComponentRun = run.components["cache"]
    cold = COLD_S * S // run.bin_ns
    cycles = cycles_of([at * run.bin_ns / S for at, loads in enumerate(seen.loads) if loads and at >= cold])
    return sum(seen.loads[cold:]) / cycles, sum(seen.misses[cold:]) / cycles


@remembered
def hot_running(policy: str) -> tuple[float, float]:
    """The same of a cache in a virtual world."""
    s = Scene(takes_s=LOAD_S)

    async def main() -> tuple[float, float]:
        async with Cache(
            s.memory, config=config_of(hot_design(policy)), clock_ns=s.world.clock_ns, draw=s.world.draw
        ) as cache:
            await visitors(s, cache, RATE, COLD_S)
            loads, misses = cache.counts.loads, cache.counts.misses
            await visitors(s, cache, RATE, lasts_s(policy))
            cycles = cycles_of([at_s for at_s in sorted(s.source.at_s) if at_s > COLD_S])
            return (cache.counts.loads - loads) / cycles, (cache.counts.misses - misses) / cycles

    found: tuple[float, float] = s.run(main())
    return found


@pytest.mark.parametrize(
    ("policy", "loads", "missed"), [("none", 48, 48), ("lock", 1, 48), ("early", 2.7, 0), ("early and lock", 1, 0)]
)
def test_a_hot_key_is_loaded_as_often_as_simulated(policy: str, loads: float, missed: float) -> None:
    in_engine, running = hot_in_engine(policy), hot_running(policy)
    assert running == (pytest.approx(loads, rel=0.1), pytest.approx(missed, rel=0.1, abs=0.1))
    assert running == (pytest.approx(in_engine[0], rel=0.1), pytest.approx(in_engine[1], rel=0.1, abs=0.1))
