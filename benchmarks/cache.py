"""The cache beside its peers, and under the faults it promises to survive: every figure against what is required.

Run it from a checkout: `uv run --group peers python benchmarks/cache.py` (`--json` for machines, names of parts to run
only those). Exits 1 when a requirement is missed. Peers are measured in the same run, in turns where it matters.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cachebox
import cachetools
import msgspec
import numpy as np
import redis as sync_redis
import redis.asyncio
import theine

from cache_node import CONTENDERS, VALUE, Orders

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from servers import RedisServer, redis_server
from tenfold.cache import Cache, MemoryStore, RedisStore, WarmUp

NODES, CALLERS, LOAD_S, ROUNDS = 4, 500, 0.05, 3
PLACES, REQUESTS, SCANNED, ZIPF, KEYS = 10_000, 1_000_000, 100_000, 1.0, 1_000_000


@dataclass(frozen=True)
class Figure:
    """One line of the table; without bounds it is only reported."""

    name: str
    measured: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the requirement, if there is one, is met."""
        return (self.at_most is None or self.measured <= self.at_most) and (
            self.at_least is None or self.measured >= self.at_least
        )

    @property
    def required(self) -> str:
        """The bound as text."""
        if self.at_most is not None and self.at_least is not None:
            return f"{self.at_least:g}..{self.at_most:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}" if self.at_least else ""


# A stampede: 4 processes of 500 callers want one key.


@dataclass
class Crowd:
    """What one crowd brought about."""

    loads: int
    p99_s: float
    commands: int
    failed: int


def started(*orders: Orders) -> "list[subprocess.Popen[str]]":
    """Processes of their own, ready to begin."""
    node = str(Path(__file__).with_name("cache_node.py"))
    nodes = [
        subprocess.Popen(
            [sys.executable, node, json.dumps(asdict(order))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for order in orders
    ]
    for started_node in nodes:
        assert started_node.stdout is not None
        assert started_node.stdout.readline() == "ready\n"
    return nodes


def begin(nodes: "list[subprocess.Popen[str]]") -> float:
    """Tell nodes when time 0 is; that moment."""
    start_s = time.monotonic() + 0.5
    for node in nodes:
        assert node.stdin is not None
        node.stdin.write(f"{start_s}\n")
        node.stdin.flush()
    return start_s


def commands_of(url: str) -> int:
    """Commands the server has carried out, those within scripts included."""
    with sync_redis.Redis.from_url(url) as client:
        return sum(seen["calls"] for seen in client.info("commandstats").values())


def stampedes(server: RedisServer, contender: str, folder: Path) -> list[tuple[Crowd, Crowd]]:
    """Crowds on cold keys, each followed by one when the key has just expired."""
    after_s = [4.0 * turn + offset for turn in range(ROUNDS) for offset in (0.0, 2.0)]
    keys = [f"{contender}-{turn}".replace(" ", "-").replace("/", "-") for turn in range(ROUNDS) for _ in range(2)]
    calls = folder / f"{contender.replace('/', '-')}.calls"
    orders = Orders(contender, server.url, str(calls), tuple(keys), tuple(after_s), CALLERS, LOAD_S)
    nodes = started(*[orders] * NODES)
    begin_s, sent = begin(nodes), []
    starts = [begin_s + after for after in after_s]
    for start_s in starts:
        time.sleep(max(0.0, start_s - 0.1 - time.monotonic()))
        before = commands_of(server.url)
        time.sleep(max(0.0, start_s + 1.7 - time.monotonic()))
        sent.append(commands_of(server.url) - before)
    answers = [json.loads(node.communicate(timeout=120)[0]) for node in nodes]
    lines = calls.read_text().splitlines() if calls.exists() else []
    loads = [(float(at), key) for at, _, key in (line.split() for line in lines)]
    crowds = []
    for turn, (key, start_s) in enumerate(zip(keys, starts, strict=True)):
        waits = sorted(wait for node in answers for wait in node[turn])
        mine = [at for at, loaded in loads if loaded == key and start_s - 0.1 <= at < start_s + 1.8]
        p99_s = waits[int(len(waits) * 0.99)]
        crowds.append(Crowd(len(mine), p99_s, sent[turn], sum(wait < 0 for wait in waits)))
    return list(zip(crowds[::2], crowds[1::2], strict=True))


def c1_stampede() -> Iterator[Figure]:
    """Loads, waits and commands of the same crowd, ours and the peers'."""
    found: dict[str, list[tuple[Crowd, Crowd]]] = {}
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        for contender in CONTENDERS:
            found[contender] = stampedes(server, contender, Path(folder))
    for when, place in (("cold", 0), ("expired", 1)):
        for contender, turns in found.items():
            crowds = [turn[place] for turn in turns]
            is_ours = contender == "Tenfold"
            loads = max(crowd.loads for crowd in crowds) if is_ours else statistics.median(c.loads for c in crowds)
            p99_ms = statistics.median(crowd.p99_s for crowd in crowds) * 1e3
            commands = statistics.median(crowd.commands for crowd in crowds)
            yield Figure(f"C1 {when}, {contender}: loads", loads, "", 1 if is_ours else None, 1 if is_ours else None)
            yield Figure(f"C1 {when}, {contender}: p99", p99_ms, "ms", 1.6 * LOAD_S * 1e3 if is_ours else None)
            yield Figure(
                f"C1 {when}, {contender}: Redis commands per process",
                commands / NODES,
                "",
                10 if is_ours else None,
            )
            failed = sum(crowd.failed for crowd in crowds)
            if is_ours or failed:
                yield Figure(f"C1 {when}, {contender}: callers with an error", failed, "", 0 if is_ours else None)
        ours_s, hand_s = (
            statistics.median(turn[place].p99_s for turn in found[name]) for name in ("Tenfold", "get/set by hand")
        )
        yield Figure(f"C1 {when}: p99, Tenfold / by hand", ours_s / hand_s, "x")


# A lease holder is killed.


def c4_killed_holder(turns: int = 5) -> Iterator[Figure]:
    """How long after the end of the lease another one loads."""
    late_s, loads, waits_s = [], [], []
    for turn in range(turns):
        with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
            settings = {"lease": "1 s"}
            calls = Path(folder) / "calls"
            where = ("Tenfold", server.url, str(calls), (f"hot{turn}",))
            others = Orders(*where, (0.2,), 100, LOAD_S, 300_000, settings)
            killed, *others_nodes = started(Orders(*where, (0.0,), 1, 60.0, 300_000, settings), others, others)
            start_s = begin([killed, *others_nodes])
            time.sleep(start_s + 0.5 - time.monotonic())
            killed.kill()
            killed.communicate()
            answers = [json.loads(node.communicate(timeout=60)[0]) for node in others_nodes]
            lines = [line.split() for line in calls.read_text().splitlines()]
            moments = [float(at) for at, _, key in lines if key == f"hot{turn}"]
            late_s.append(moments[1] - moments[0] - 1.0)
            loads.append(len(moments) - 1)
            waits_s.append(max(wait for node in answers for wait in node[0]))
    yield Figure("C4 holder killed: another loads after the lease's end", max(late_s) * 1e3, "ms", 50)
    yield Figure("C4 holder killed: loads by others", max(loads), "", 1, 1)
    yield Figure("C4 holder killed: longest wait of 200, lease 1 s, ttl 300 s", max(waits_s), "s", 1.5)


# The store goes away.


async def _outage(server: RedisServer, mode: str) -> Iterator[Figure]:
    in_flight = in_flight_max = 0
    loads_s: list[float] = []

    async def load(key: str) -> str:
        nonlocal in_flight, in_flight_max
        in_flight += 1
        in_flight_max = max(in_flight_max, in_flight)
        loads_s.append(time.monotonic())
        await asyncio.sleep(0.01)
        in_flight -= 1
        return key

    local = {"entries": 1_000, "ttl": "200 ms"}
    settings: dict[str, Any] = {"local": local, "loads_in_flight": 8, "on_store_down": mode, "fail_safe": "1 h"}
    errors = 0
    async with Cache(RedisStore(server.url), ttl="2 s", ttl_jitter="20%", **settings) as cache:

        async def caller(number: int, end_s: float) -> None:
            nonlocal errors
            at = number
            while time.monotonic() < end_s:
                at = (at * 48271 + 11) % 2_147_483_647
                try:
                    await cache.get(f"k{at % 200}", load)
                except Exception:
                    errors += 1
                await asyncio.sleep(0.005)

        start_s = time.monotonic()
        callers = [asyncio.create_task(caller(number, start_s + 12)) for number in range(50)]
        await asyncio.sleep(3)
        server.stop()
        await asyncio.sleep(5)
        await asyncio.to_thread(server.start)
        back_s = time.monotonic()
        while cache.is_store_down:
            await asyncio.sleep(0.005)
        again_s = time.monotonic() - back_s
        await asyncio.gather(*callers)
    during = rates([at for at in loads_s if start_s + 3 <= at < back_s], 0.5)
    after = rates([at for at in loads_s if at >= back_s], 0.5)
    yield_ = [
        Figure(f"C6 {mode}: exceptions", errors, "", 0),
        Figure(f"C6 {mode}: loads in flight, of 8 allowed", in_flight_max, "", 8),
        Figure(f"C6 {mode}: store in use again after its return", again_s, "s", 1),
    ]
    if mode == "bypass":
        yield_.append(Figure(f"C6 {mode}: loads/s after the return / during", max(after) / max(during), "x", 1.2))
    return iter(yield_)


def rates(moments: list[float], width_s: float) -> list[float]:
    """Events per second in windows."""
    if not moments:
        return [0.0]
    first = moments[0]
    counted = np.bincount([int((at - first) / width_s) for at in moments])
    return [count / width_s for count in counted.tolist()]


def c6_outage() -> Iterator[Figure]:
    """Redis is stopped for five seconds in mid-run."""
    for mode in ("bypass", "stale"):
        with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
            yield from asyncio.run(_outage(server, mode))


# Two nodes with copies.


async def _copies(server: RedisServer) -> list[Figure]:
    truth = 0

    async def load(key: str) -> int:
        return truth

    late_s: list[float] = []
    settings: dict[str, Any] = {"ttl": "5 min", "local": "1 s"}
    async with Cache(RedisStore(server.url), **settings) as first, Cache(RedisStore(server.url), **settings) as second:
        for version in range(1, 501):
            await second.get("k", load)
            truth = version
            await first.set("k", version)
            written_s = time.monotonic()
            last_s = written_s
            while time.monotonic() < written_s + 0.01:
                if await second.get("k", load) != version:
                    last_s = time.monotonic()
                await asyncio.sleep(0)
            late_s.append(last_s - written_s)
        await second.get("k", load)
        server.freeze()  # it answers nothing and hangs up on nobody: only the local ttl is left
        truth = -1
        down_s = last_s = time.monotonic()
        while time.monotonic() < down_s + 2:
            if await second.get("k", load) != truth:
                last_s = time.monotonic()
            await asyncio.sleep(0.001)
        server.thaw()
    return [
        Figure("C9 old value served after a write elsewhere, longest of 500", max(late_s) * 1e3, "ms", 100),
        Figure("C9 the same with the server frozen, local ttl 1 s", (last_s - down_s) * 1e3, "ms", 1_000),
    ]


def c9_copies() -> Iterator[Figure]:
    """How long a node serves what another has changed."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        yield from asyncio.run(_copies(server))


# What a hit costs.


async def _hits(url: str) -> list[Figure]:
    async def load(key: str) -> Any:
        return VALUE

    client = redis.asyncio.Redis.from_url(url)
    decode = msgspec.msgpack.Decoder().decode
    ttl_cache: Any = cachetools.TTLCache(PLACES, 3_600)
    lru_cache: Any = cachetools.LRUCache(PLACES)
    async with Cache(MemoryStore(), local="1 h") as near, Cache(RedisStore(url)) as far:
        for key in map(str, range(1_000)):
            ttl_cache[key] = lru_cache[key] = VALUE
            await near.get(key, load)
        await far.get("7", load)
        await client.set("bare", msgspec.msgpack.encode(VALUE))

        async def local(count: int) -> float:
            start_s = time.perf_counter()
            for _ in range(count):
                await near.get("7", load)
            return (time.perf_counter() - start_s) / count

        async def peer(count: int, cache: Any) -> float:
            start_s = time.perf_counter()
            for _ in range(count):
                cache["7"]
            return (time.perf_counter() - start_s) / count

        async def peer_get(count: int) -> float:
            start_s = time.perf_counter()
            for _ in range(count):
                ttl_cache.get("7")
            return (time.perf_counter() - start_s) / count

        async def ours(count: int) -> float:
            return await timed(count, lambda: far.get("7", load))

        async def bare(count: int) -> float:
            async def get() -> Any:
                return decode(await client.get("bare"))

            return await timed(count, get)

        memory = await in_turns(
            {
                "ours": lambda: local(20_000),
                "TTLCache[]": lambda: peer(20_000, ttl_cache),
                "TTLCache.get": lambda: peer_get(20_000),
                "LRUCache[]": lambda: peer(20_000, lru_cache),
            }
        )
        network = await in_turns({"ours": lambda: ours(400), "bare": lambda: bare(400)})
    await client.aclose()
    return [
        *(Figure(f"C10 local hit, {name}", cost * 1e6, "us") for name, cost in memory.items()),
        Figure("C10 local hit / cachetools TTLCache.get", memory["ours"] / memory["TTLCache.get"], "x", 2),
        Figure("C10 local hit / cachetools TTLCache[]", memory["ours"] / memory["TTLCache[]"], "x", 2),
        *(Figure(f"C10 through Redis, {name}", cost * 1e6, "us") for name, cost in network.items()),
        Figure("C10 through Redis / bare redis-py GET", network["ours"] / network["bare"], "x", 1.15),
    ]


async def timed(count: int, get: Callable[[], Awaitable[Any]]) -> float:
    """The median of single calls."""
    times = []
    for _ in range(count):
        start_s = time.perf_counter()
        await get()
        times.append(time.perf_counter() - start_s)
    return statistics.median(times)


async def in_turns(sides: dict[str, Callable[[], Awaitable[float]]], turns: int = 15) -> dict[str, float]:
    """The median of each side, measured in turns."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, side in sides.items():
            times[name].append(await side())
    return {name: statistics.median(of_side) for name, of_side in times.items()}


def c10_hits() -> Iterator[Figure]:
    """The cost of a hit in the process and through Redis."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        yield from asyncio.run(_hits(server.url))


# Warm-up.


async def _warm(url: str) -> list[Figure]:
    async def load(keys: list[str]) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return dict.fromkeys(keys, VALUE)

    seen: list[WarmUp] = []
    async with Cache(RedisStore(url), ttl="10 min", ttl_jitter="10%") as cache:
        keys = [f"k{number}" for number in range(100_000)]
        first = asyncio.create_task(cache.warm(keys, bulk=load, rate="5k/s", progress=seen.append))
        await asyncio.sleep(10)
        first.cancel()
        await asyncio.wait([first])
        half = seen[-1]
        done = await cache.warm(keys, bulk=load, rate="5k/s", resume=half.position, progress=seen.append)
    rate = half.position / (half.elapsed_ns / 1e9)
    rest = (100_000 - half.position) / (done.elapsed_ns / 1e9)
    with sync_redis.Redis.from_url(url) as client:
        left_s = [client.pttl(f"tenfold:{key}") / 1e3 for key in keys[::20]]
    deciles = np.quantile(left_s, [0.05, 0.95])
    return [
        Figure("C11 warm-up of 100 k keys: rate of the first half", rate, "/s", 5_250, 4_750),
        Figure("C11 rate after it was broken off and resumed", rest, "/s", 5_250, 4_750),
        Figure("C11 keys loaded by both together", half.loaded + done.loaded + done.fresh, "", None, 100_000),
        Figure("C11 progress reports", len(seen), "", None, 900),
        Figure("C11 spread of what is left of the ttl, 5 % to 95 %", float(deciles[1] - deciles[0]), "s", None, 95),
    ]


def c11_warm_up() -> Iterator[Figure]:
    """A warm-up at a rate, broken off half way."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        yield from asyncio.run(_warm(server.url))


# What is kept.


def requests() -> list[str]:
    """A skewed load, with a scan of keys used once in its middle."""
    weights = np.cumsum(1 / np.arange(1, KEYS + 1) ** ZIPF)
    load = [str(key) for key in np.searchsorted(weights / weights[-1], np.random.default_rng(1).random(REQUESTS))]
    half = REQUESTS // 2
    return [*load[:half], *(f"scan{number}" for number in range(SCANNED)), *load[half:]]


async def _kept(load: list[str]) -> tuple[float, int]:
    """Our hit ratio, and the most entries seen."""

    async def source(key: str) -> int:
        return 1

    store, most = MemoryStore(entries_max=PLACES), 0
    async with Cache(store, ttl="1 day") as cache:
        for number, key in enumerate(load):
            await cache.get(key, source)
            if number % 1_000 == 0:
                most = max(most, len(store))
        return cache.counts.hits / len(load), most


def c12_kept() -> Iterator[Figure]:
    """How often a bounded cache hits, beside the best of its peers."""
    load = requests()
    ratio, most = asyncio.run(_kept(load))
    tiny = theine.Cache(PLACES)
    made: dict[str, Any] = {
        "cachetools LRUCache": cachetools.LRUCache(PLACES),
        "cachetools LFUCache": cachetools.LFUCache(PLACES),
        "cachebox LFUCache": cachebox.LFUCache(PLACES),
    }
    gets = {name: (cache.get, cache.__setitem__) for name, cache in made.items()} | {
        "theine": (lambda key: tiny.get(key)[0], tiny.set)
    }
    best = 0.0
    for name, (get, put) in gets.items():
        found = 0
        for key in load:
            if get(key) is not None:
                found += 1
            else:
                put(key, 1)
        best = max(best, found / len(load))
        yield Figure(f"C12 hit ratio, {name}", 100 * found / len(load), "%")
    tiny.close()
    yield Figure("C12 hit ratio, Tenfold", 100 * ratio, "%", None, 100 * best - 2)
    yield Figure("C12 entries, of 10,000 allowed", most, "", PLACES)


PARTS = {
    "c1": c1_stampede,
    "c4": c4_killed_holder,
    "c6": c6_outage,
    "c9": c9_copies,
    "c10": c10_hits,
    "c11": c11_warm_up,
    "c12": c12_kept,
}


def table(figures: list[Figure]) -> str:
    """The figures as text: required, measured, verdict."""
    lines = [f"{'':66} {'required':>14} {'measured':>10}"]
    for figure in figures:
        verdict = "" if not figure.required else ("ok" if figure.is_met else "MISSED")
        shown = f"{figure.measured:,.0f}" if figure.measured >= 100 else f"{figure.measured:.3g}"
        lines.append(f"{figure.name:66} {figure.required:>14} {shown:>10} {figure.unit:3} {verdict}".rstrip())
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and say by the exit code whether everything required is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="only these")
    options = parser.parse_args()
    figures = [figure for name in options.parts or PARTS for figure in PARTS[name]()]
    if options.json:
        print(json.dumps([{**asdict(figure), "is_met": figure.is_met} for figure in figures], indent=1))
    else:
        print(table(figures))
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
