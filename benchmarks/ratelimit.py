"""What a rate limit check costs, beside its peers in one run.

Run it from a checkout: `uv run --group peers python benchmarks/ratelimit.py` (`--json` for machines). Exits 1 when a
requirement is missed. In memory: CPU time per check, all sides measured in turns, so that a busy machine slows all. In
Redis: a server of its own on loopback; its CPU time is what it reports itself.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiolimiter
import limits as limits_peer
import redis as redis_py
import throttled
import token_bucket

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from servers import RedisServer, redis_server
from tenfold.ratelimit import Limiter, MemoryLimits, RedisLimits, ThreadLimiter

TURNS = 15
CHECKS = 4_000
LEEWAY = 900 / 723  # what is required of a hot key, over what token-bucket took where that was set
KEYS = [f"user:{number}" for number in range(10_000)]
WIDE = "1M/s"  # what is never reached: a check that passes is measured
SLOW = "1k/h burst 1M"  # the same, and keys that count for long


@dataclass(frozen=True)
class Figure:
    """One line of the table. `required` is None for what is only reported; `at_least` says which way it counts."""

    name: str
    measured: float
    unit: str
    required: float | None = None
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the requirement, if there is one, is met."""
        if self.required is None:
            return True
        return self.measured >= self.required if self.at_least else self.measured <= self.required


# In memory.


def sides() -> dict[str, Callable[[Any], Any]]:
    """A check that passes, by name."""
    ours = {name: ThreadLimiter(MemoryLimits(), WIDE, algorithm=name) for name in ("gcra", "sliding")}
    log = ThreadLimiter(MemoryLimits(), "100k/s", algorithm="log")
    both = ThreadLimiter(MemoryLimits(), WIDE, "100M/min")
    found: dict[str, Callable[[Any], Any]] = {f"tenfold {name}": limiter.hit for name, limiter in ours.items()}
    found |= {"tenfold log": log.hit, "tenfold gcra, two limits": both.hit}
    return found | _peers()


def _peers() -> dict[str, Callable[[Any], Any]]:
    bucket = token_bucket.Limiter(1_000_000, 1_000_000, token_bucket.MemoryStorage())
    found: dict[str, Callable[[Any], Any]] = {"token-bucket": bucket.consume}  # its keys are bytes
    memory, item = limits_peer.storage.MemoryStorage(), limits_peer.RateLimitItemPerSecond(1_000_000)
    for name, kind in (("fixed", "FixedWindowRateLimiter"), ("sliding", "SlidingWindowCounterRateLimiter")):
        limiter = getattr(limits_peer.strategies, kind)(memory)
        found[f"limits {name}"] = lambda key, hit=limiter.hit: hit(item, key)
    gcra = throttled.Throttled(using="gcra", quota=throttled.per_sec(1_000_000), store=throttled.MemoryStore())
    found["throttled-py gcra"] = gcra.limit
    return found


def cpu_ns(check: Callable[[Any], Any], keys: list[Any]) -> float:
    """CPU time of one check, the loop taken off."""
    begun = time.process_time_ns()
    for key in keys:
        check(key)
    middle = time.process_time_ns()
    for _ in keys:
        pass
    return (2 * middle - begun - time.process_time_ns()) / len(keys)


def keys_for(name: str, keys: list[str]) -> list[Any]:
    """Keys as this side takes them."""
    return [key.encode() for key in keys] if name == "token-bucket" else keys


async def awaited_ns(limiter: Any, hit: Callable[[], Any]) -> float:
    """The same for a coroutine."""
    begun = time.process_time_ns()
    for _ in range(CHECKS):
        await hit()
    return (time.process_time_ns() - begun) / CHECKS


def in_memory() -> list[Figure]:
    """Checks on one key, on many keys, and of one that is denied."""
    found, hot = sides(), ["user:7"] * CHECKS
    denying, wide = ThreadLimiter(MemoryLimits(), "1/h"), {"tenfold gcra": ThreadLimiter(MemoryLimits(), SLOW).hit}
    wide["token-bucket"] = found["token-bucket"]
    first = cpu_ns(wide["tenfold gcra"], KEYS)
    times: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for name, check in found.items():
            times.setdefault(f"{name}, hot key", []).append(cpu_ns(check, keys_for(name, hot)))
        for name, check in wide.items():
            times.setdefault(f"{name}, 10 k keys", []).append(cpu_ns(check, keys_for(name, KEYS)))
        times.setdefault("tenfold gcra, denied", []).append(cpu_ns(denying.hit, hot))
        for name, spent in asyncio.run(_awaited()).items():
            times.setdefault(name, []).append(spent)
    at_most = {"tenfold gcra, hot key": 900.0, "tenfold gcra, 10 k keys": 1_100.0}
    medians = {name: statistics.median(spent) for name, spent in times.items()}
    figures = [Figure(f"memory: {name}", median, "ns", at_most.get(name)) for name, median in medians.items()]
    ratio = medians["tenfold gcra, hot key"] / medians["token-bucket, hot key"]
    return [
        *figures,
        Figure("memory: tenfold gcra, first visit of a key", first, "ns"),
        Figure("memory: tenfold gcra / token-bucket, hot key", ratio, "x", LEEWAY),
    ]


async def _awaited() -> dict[str, float]:
    ours, peer = Limiter(MemoryLimits(), WIDE), aiolimiter.AsyncLimiter(1_000_000, 1)
    return {
        "tenfold gcra, awaited": await awaited_ns(ours, lambda: ours.hit("user:7")),
        "aiolimiter, awaited": await awaited_ns(peer, peer.acquire),
    }


# In Redis.


def server_s(client: Any) -> float:
    """CPU time of the server so far, with all it does for its connections."""
    cpu = client.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])


def in_server(url: str, client: Any) -> list[Figure]:
    """The server's CPU time for a hit, and for the least script there is, one INCR; one thread each."""
    name = client.script_load("return redis.call('INCR', KEYS[1])")
    counted = RedisLimits(url, "s:", "5 s")
    limiter = ThreadLimiter(counted, WIDE)
    limiter.hit("k")
    sides = {"incr": lambda: client.evalsha(name, 1, "counter"), "hit": lambda: limiter.hit("k")}
    times: dict[str, list[float]] = {"incr": [], "hit": []}
    for _ in range(9):
        for side, ask in sides.items():
            begun_s = server_s(client)
            for _ in range(1_000):
                ask()
            times[side].append((server_s(client) - begun_s) / 1_000)
    counted.close_blocking()
    incr_s, hit_s = (statistics.median(times[side]) for side in ("incr", "hit"))
    return [
        Figure("redis: a hit in the server", hit_s * 1e6, "us CPU"),
        Figure("redis: the same / a script of one INCR", hit_s / incr_s, "x", 1.7),
    ]


async def round_trips(url: str, client: Any) -> list[Figure]:
    """One hit at a time, and a hundred."""
    store, leasing = RedisLimits(url, "b:", "5 s"), RedisLimits(url, "l:", "5 s")
    limiter, leased = Limiter(store, WIDE), Limiter(leasing, WIDE, leased=1_000)
    await limiter.hit("k")
    wall = []
    for _ in range(7):
        client.config_resetstat()
        begun = time.perf_counter()
        for _ in range(1_000):
            await limiter.hit("k")
        wall.append((time.perf_counter() - begun) / 1_000)
        calls = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    hits, batched = [(key, 1) for key in KEYS[:100]], []
    for _ in range(30):
        begun = time.perf_counter()
        for _ in range(20):
            await limiter.hit_many(hits)
        batched.append(2_000 / (time.perf_counter() - begun))
    spent = [await awaited_ns(leased, lambda: leased.hit("k")) for _ in range(TURNS)]
    await store.close()
    await leasing.close()
    return [
        Figure("redis: commands of a hit", calls / 1_000, "", 1.0),
        Figure("redis: a hit, wall", statistics.median(wall) * 1e6, "us"),
        Figure("redis: hits of a hundred at once", statistics.median(batched), "/s", 50_000, at_least=True),
        Figure("redis: a hit, leased 1,000", statistics.median(spent), "ns CPU"),
    ]


def peers_in_redis(server: RedisServer, client: Any) -> list[Figure]:
    """One check at a time from one thread, wall time; and the raw round trip."""
    storage = limits_peer.storage.RedisStorage(server.url)
    item, window = limits_peer.RateLimitItemPerSecond(1_000_000), limits_peer.strategies
    store = throttled.RedisStore(server=server.url)
    gcra = throttled.Throttled(using="gcra", quota=throttled.per_sec(1_000_000), store=store)
    script = client.register_script("return redis.call('INCR', KEYS[1])")
    with ThreadLimiter(RedisLimits(server.url, "t:", "5 s"), WIDE) as ours:
        checks: dict[str, Callable[[], Any]] = {
            "redis-py, a script of one INCR": lambda: script(keys=["raw"]),
            "tenfold gcra, threads": lambda: ours.hit("k"),
            "limits fixed": lambda: window.FixedWindowRateLimiter(storage).hit(item, "k"),
            "limits sliding": lambda: window.SlidingWindowCounterRateLimiter(storage).hit(item, "k"),
            "throttled-py gcra": lambda: gcra.limit("k"),
        }
        times: dict[str, list[float]] = {name: [] for name in checks}
        for _ in range(TURNS):
            for name, check in checks.items():
                begun = time.perf_counter()
                for _ in range(100):
                    check()
                times[name].append((time.perf_counter() - begun) / 100)
        figures = [Figure(f"redis: {name}, wall", statistics.median(each) * 1e6, "us") for name, each in times.items()]
        return [*figures, _eight_threads(ours)]


def _eight_threads(ours: ThreadLimiter) -> Figure:
    """Hits per second of eight threads: they travel together."""
    threads = [threading.Thread(target=lambda: [ours.hit("k") for _ in range(500)]) for _ in range(8)]
    begun = time.perf_counter()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return Figure("redis: tenfold gcra, eight threads", 4_000 / (time.perf_counter() - begun), "/s")


def in_redis() -> Iterator[Figure]:
    """All that needs a server."""
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(Path(folder)) as server,
        redis_py.Redis(port=server.port) as client,
    ):
        yield from asyncio.run(round_trips(server.url, client))
        yield from in_server(server.url, client)
        yield from peers_in_redis(server, client)


def table(figures: list[Figure]) -> str:
    """The figures as text: required, measured, verdict."""
    lines = [f"{'':48} {'required':>12} {'measured':>10}  verdict"]
    for figure in figures:
        sign = ">=" if figure.at_least else "<="
        required = "" if figure.required is None else f"{sign} {_shown(figure.required)}"
        verdict = "" if figure.required is None else ("ok" if figure.is_met else "MISSED")
        lines.append(
            f"{figure.name:48} {required:>12} {_shown(figure.measured):>10}  {figure.unit:6} {verdict}".rstrip()
        )
    return "\n".join(lines)


def _shown(value: float) -> str:
    """A number with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> int:
    """Measure, print, and say by the exit code whether everything required is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    figures = [*in_memory(), *in_redis()]
    if options.json:
        print(json.dumps([{**asdict(figure), "is_met": figure.is_met} for figure in figures], indent=1))
    else:
        print(table(figures))
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
