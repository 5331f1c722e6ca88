"""What the stores of the cache cost and keep, beside their peers in one run.

Run it from a checkout: `uv run --group peers python benchmarks/stores.py` (`--json` for machines). Exits 1 when a
requirement is missed. Only ratios are required: both sides are measured in turns, so that a busy machine slows both.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
import timeit
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cachebox
import cachetools
import numpy as np
import redis.asyncio
import theine

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from servers import redis_server
from tenfold.policies.cache.freshness import VALUE, Entry
from tenfold.runtime.cache.bounded import BoundedMap
from tenfold.runtime.cache.store import Record
from tenfold.stores.memory import MemoryStore
from tenfold.stores.redis import RedisStore

PLACES = 10_000
REQUESTS = 1_000_000
SCANNED = 100_000
LOADS = ((0.7, 100_000), (0.9, 100_000), (1.0, 1_000_000), (1.1, 1_000_000))  # Zipf's exponent, keys
CALLERS = 2_000
PAYLOAD = b"x" * 500
KEEP_NS = 3_600 * 10**9


@dataclass(frozen=True)
class Figure:
    """One line of the table; `at_most` is None for what is only reported."""

    name: str
    measured: float
    unit: str
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the requirement, if there is one, is met."""
        return self.at_most is None or self.measured <= self.at_most


# In memory: what a hit costs.


def hits() -> list[Figure]:
    """Median ns of getting a key that is there, one call and the loop around it taken off."""
    ours, theirs = BoundedMap(PLACES), theine.Cache(PLACES)
    gets: dict[str, Callable[[str], Any]] = {"BoundedMap": ours.get, "theine": theirs.get}
    for key in map(str, range(1_000)):
        ours.set(key, key)
        theirs.set(key, key)
    for peer in (cachetools.LRUCache(PLACES), cachetools.TTLCache(PLACES, 3_600), cachebox.LRUCache(PLACES)):
        for key in map(str, range(1_000)):
            peer[key] = key
        gets[f"{type(peer).__module__.partition('.')[0]} {type(peer).__name__}"] = peer.get
    times = in_turns({name: _one_get(get) for name, get in gets.items()}, lambda run: run(20_000) / 20_000)
    theirs.close()
    figures = [Figure(f"hit, {name}", times[name] * 1e9, "ns") for name in gets]
    ratio = times["BoundedMap"] / times["cachetools LRUCache"]
    return [*figures, Figure("hit, BoundedMap / cachetools LRUCache", ratio, "x", 1.0)]


def _one_get(get: Callable[[str], Any]) -> Callable[[int], float]:
    return timeit.Timer("get(key)", globals={"get": get, "key": "7"}).timeit


def in_turns(sides: dict[str, Any], measure: Callable[[Any], float], turns: int = 15) -> dict[str, float]:
    """The median of each side, measured in turns."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, side in sides.items():
            times[name].append(measure(side))
    return {name: statistics.median(of_side) for name, of_side in times.items()}


# In memory: what is kept.


def requests(exponent: float, keys: int) -> list[int]:
    """A skewed load, with a scan of keys used once in its middle."""
    weights = np.cumsum(1 / np.arange(1, keys + 1) ** exponent)
    load = np.searchsorted(weights / weights[-1], np.random.default_rng(1).random(REQUESTS)).tolist()
    half = REQUESTS // 2
    return [*load[:half], *range(10**9, 10**9 + SCANNED), *load[half:]]


def hit_ratio(load: list[int], get: Callable[[int], Any], put: Callable[[int, int], Any]) -> float:
    """Share of the load found in the cache, which is filled on a miss."""
    found = 0
    for key in load:
        if get(key) is not None:
            found += 1
        else:
            put(key, 1)
    return found / len(load)


def peers() -> dict[str, tuple[Callable[[int], Any], Callable[[int, int], Any]]]:
    """Fresh caches of the same number of places."""
    tiny = theine.Cache(PLACES)
    made: dict[str, Any] = {
        "cachetools LRUCache": cachetools.LRUCache(PLACES),
        "cachetools LFUCache": cachetools.LFUCache(PLACES),
        "cachebox LFUCache": cachebox.LFUCache(PLACES),
        "cachebox LRUCache": cachebox.LRUCache(PLACES),
    }
    sides = {name: (cache.get, cache.__setitem__) for name, cache in made.items()}
    return {**sides, "theine": (lambda key: tiny.get(key)[0], tiny.set)}


def kept() -> list[Figure]:
    """Points between the best peer's hit ratio and ours, and how many keys too many were held."""
    figures, over = [], 0
    for exponent, keys in LOADS:
        load, entries = requests(exponent, keys), BoundedMap(PLACES)

        def put(key: int, value: int, entries: BoundedMap = entries) -> None:
            nonlocal over
            entries.set(key, value)
            over = max(over, len(entries) - PLACES)

        ours = hit_ratio(load, entries.get, put)
        ratios = {name: hit_ratio(load, *side) for name, side in peers().items()}
        best = max(ratios, key=lambda name: ratios[name])
        load_name = f"Zipf {exponent} over {keys:,} keys"
        figures += [
            Figure(f"{load_name}: BoundedMap", ours * 100, "%"),
            *(Figure(f"{load_name}: {name}", ratio * 100, "%") for name, ratio in ratios.items()),
            Figure(f"{load_name}: points behind {best}", (ratios[best] - ours) * 100, "", 2.0),
        ]
    return [*figures, Figure("keys held beyond the bound, ever", over, "", 0)]


# Through a store.


async def through_stores(url: str) -> list[Figure]:
    """A get beside the bare client's, many at once, a swap, and an announcement's way to another store."""
    bare, memory = redis.asyncio.Redis.from_url(url), MemoryStore()
    store, other = RedisStore(url), RedisStore(url)
    record = Record(Entry(1, 2, 3, 4, VALUE), PAYLOAD)
    for opened in (store, other, memory):
        await opened.open()
        await opened.put({"k": record}, {"k": KEEP_NS})
    await bare.set("bare", PAYLOAD)
    sides = {"bare": lambda: bare.get("bare"), "store": lambda: store.get("k"), "swap": lambda: _swapped(store, record)}
    wall = await _in_turns(sides, time.perf_counter)
    cpu = await _in_turns(sides, time.process_time)
    figures = [
        Figure("redis-py GET", wall["bare"] * 1e6, "us"),
        Figure("RedisStore.get", wall["store"] * 1e6, "us"),
        Figure("RedisStore.swap of the entry", wall["swap"] * 1e6, "us"),
        Figure("RedisStore.get / redis-py GET", wall["store"] / wall["bare"], "x", 1.15),
        Figure("RedisStore.get / redis-py GET, CPU of the process", cpu["store"] / cpu["bare"], "x", 1.15),
        Figure("MemoryStore.get", (await _in_turns({"": lambda: memory.get("k")}, time.perf_counter))[""] * 1e6, "us"),
        *await _many(lambda: store.get("k"), "RedisStore", 0),
        *await _many(lambda: bare.get("bare"), "redis-py's own pool", None),
        await _announced(store, other),
    ]
    for closed in (store, other):
        await closed.close()
    await bare.aclose()
    return figures


async def _swapped(store: RedisStore, record: Record) -> None:
    assert (await store.swap("k", record.entry, record, KEEP_NS, keeps_payload=True))[0]


async def _in_turns(sides: dict[str, Callable[[], Awaitable[Any]]], clock: Callable[[], float]) -> dict[str, float]:
    """Median seconds of a call of each side, one after the other, in turns."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(25):
        for name, call in sides.items():
            begun = clock()
            for _ in range(200):
                await call()
            times[name].append((clock() - begun) / 200)
    return {name: statistics.median(of_side) for name, of_side in times.items()}


async def _many(call: Callable[[], Awaitable[Any]], name: str, at_most: float | None) -> list[Figure]:
    """Calls that all start at once: errors, and the time until the last answer."""
    begun = time.perf_counter()
    answers = await asyncio.gather(*(call() for _ in range(CALLERS)), return_exceptions=True)
    lasted_s = time.perf_counter() - begun
    failed = sum(isinstance(answer, Exception) for answer in answers)
    return [
        Figure(f"{CALLERS:,} gets at once, {name}: errors", failed, "", at_most),
        Figure(f"{CALLERS:,} gets at once, {name}: until the last", lasted_s * 1000, "ms"),
    ]


async def _announced(store: RedisStore, other: RedisStore) -> Figure:
    """Median time from announcing to the other's being told."""
    heard, times = asyncio.Event(), []
    end = await other.listen(lambda key, is_change: heard.set(), lambda: None)
    for _ in range(200):
        heard.clear()
        begun = time.perf_counter()
        await store.announce(["k"], is_change=True)
        await heard.wait()
        times.append(time.perf_counter() - begun)
    await end()
    return Figure("announcement heard by another store", statistics.median(times) * 1e6, "us")


def measured() -> list[Figure]:
    """Every figure, in the order of the table."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        return [*hits(), *asyncio.run(through_stores(server.url)), *kept()]


def table(figures: list[Figure]) -> str:
    """The figures as text: required, measured, verdict."""
    lines = [f"{'':64} {'at most':>8} {'measured':>10}"]
    for figure in figures:
        at_most = "" if figure.at_most is None else f"{figure.at_most:g}"
        verdict = "" if figure.at_most is None else ("ok" if figure.is_met else "MISSED")
        shown = f"{figure.measured:,.0f}" if figure.measured >= 100 else f"{figure.measured:.3g}"
        lines.append(f"{figure.name:64} {at_most:>8} {shown:>10} {figure.unit:4} {verdict}".rstrip())
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and say by the exit code whether everything required is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    figures = measured()
    if options.json:
        print(json.dumps([{**asdict(figure), "is_met": figure.is_met} for figure in figures], indent=1))
    else:
        print(table(figures))
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
