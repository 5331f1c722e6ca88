"""What idempotency adds to a request, beside its peer in one run.

Run it from a checkout: `uv run --group peers python benchmarks/idempotency.py` (`--json` for machines). Exits 1 when a
requirement is missed. Times are CPU microseconds of this process beyond the bare application's, requests in turns; the
server is a function, so what is measured is the middleware and its store.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from servers import postgres_server, redis_server
from tenfold.idempotency import (
    Ask,
    IdempotencyMiddleware,
    MemoryStore,
    PostgresStore,
    RedisStore,
    SQLiteStore,
    everyone,
)

BODY = json.dumps({"amount": 1250, "currency": "EUR", "to": "DE02120300000000202051"}).encode()
TURNS, EACH = 15, 100
KEYS_FEW, KEYS_MANY = 1_000, 100_000
Send = Callable[[dict[str, Any]], Awaitable[None]]
_keys = count()


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


async def bare(scope: dict[str, Any], receive: Any, send: Send) -> None:
    """An application that reads and answers."""
    await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"14")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"charged": 1}'})


async def ask(app: Any, key: str | None) -> None:
    """One request, as a server makes it."""
    headers = [(b"host", b"shop"), (b"content-type", b"application/json"), (b"accept", b"*/*")]
    if key is not None:
        headers.append((b"idempotency-key", key.encode()))
    scope = {"type": "http", "method": "POST", "path": "/pay", "query_string": b"", "headers": headers}
    await app(scope, _receive, _send)


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": BODY}


async def _send(message: dict[str, Any]) -> None:
    pass


def fresh() -> str:
    """A key of its own."""
    return f'"8e03978e-40d5-43dd-bc93-{next(_keys):012}"'


async def costs(sides: dict[str, Callable[[], Awaitable[None]]], clock: Callable[[], float]) -> dict[str, float]:
    """Median microseconds of a request of each side, measured in turns."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, request in sides.items():
            begun = clock()
            for _ in range(EACH):
                await request()
            times[name].append((clock() - begun) / EACH * 1e6)
    return {name: statistics.median(of_side) for name, of_side in times.items()}


def requests(app: Any) -> dict[str, Callable[[], Awaitable[None]]]:
    """First requests and repetitions."""
    return {"first": lambda: ask(app, fresh()), "replay": lambda: ask(app, '"the same"')}


LIMITS = {"memory, first": 60, "memory, replay": 40, "SQLite WAL, first": 150}


async def through_stores(redis_url: str, postgres_url: str, folder: Path) -> list[Figure]:
    """Every store beyond the bare application: CPU, and wall time as it is."""
    stores = {
        "memory": MemoryStore(),
        "SQLite WAL": SQLiteStore(folder / "keys.db"),
        "SQLite, one transaction": SQLiteStore(folder / "together.db"),
        "Redis": RedisStore(redis_url),
        "PostgreSQL": PostgresStore(postgres_url),
        "PostgreSQL, one transaction": PostgresStore(postgres_url),
    }
    sides: dict[str, Callable[[], Awaitable[None]]] = {"bare": lambda: ask(bare, None)}
    for name, store in stores.items():
        app = IdempotencyMiddleware(bare, store, scope=everyone, transaction=name.endswith("transaction"))
        for kind, request in requests(app).items():
            sides[f"{name}, {kind}"] = request
            await request()
    memory = IdempotencyMiddleware(bare, stores["memory"], scope=everyone)
    sides["no key"] = lambda: ask(memory, None)
    cpu, wall = await costs(sides, time.process_time), await costs(sides, time.perf_counter)
    for store in stores.values():
        await store.close()
    figures = [Figure("no key, CPU", cpu["no key"] - cpu["bare"], "us", 5)]
    for name in sides:
        if name not in ("bare", "no key"):
            figures += [
                Figure(f"{name}, CPU", cpu[name] - cpu["bare"], "us", LIMITS.get(name)),
                Figure(f"{name}, wall", wall[name] - wall["bare"], "us"),
            ]
    return figures


async def peer() -> list[Figure]:
    """asgi-idempotency-header in memory, which keeps no headers and knows no fingerprint."""
    from idempotency_header_middleware import IdempotencyHeaderMiddleware
    from idempotency_header_middleware.backends import MemoryBackend

    app = IdempotencyHeaderMiddleware(bare, backend=MemoryBackend())
    sides = {"bare": lambda: ask(bare, None), **requests(app)}
    cpu = await costs(sides, time.process_time)
    return [
        Figure(f"asgi-idempotency-header in memory, {kind}, CPU", cpu[kind] - cpu["bare"], "us")
        for kind in ("first", "replay")
    ]


async def round_trips(url: str) -> list[Figure]:
    """What Redis is asked for a first request and for a repetition, counted by the server."""
    import redis.asyncio

    store, client = RedisStore(url), redis.asyncio.Redis.from_url(url)
    app = IdempotencyMiddleware(bare, store, scope=everyone)
    await ask(app, fresh())
    key, figures = fresh(), []
    for kind, at_most in (("first", 2), ("replay", 1)):
        before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
        await ask(app, key)
        asked = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] - before
        figures.append(Figure(f"Redis, {kind}: round trips", asked, "", at_most))
    await store.close()
    await client.aclose()
    return figures


async def filled(make: Callable[[int], Any]) -> float:
    """The time of a claim with many keys stored, as a multiple of the time with few."""
    stores = {keys: make(keys) for keys in (KEYS_FEW, KEYS_MANY)}
    for keys, store in stores.items():
        for number in range(keys):
            await store.begin(_claim(f"stored {number}"))

    def claiming(store: Any) -> Callable[[], Awaitable[None]]:
        return lambda: store.begin(_claim(fresh()))

    times = await costs({str(keys): claiming(store) for keys, store in stores.items()}, time.process_time)
    for store in stores.values():
        await store.close()
    return times[str(KEYS_MANY)] / times[str(KEYS_FEW)]


def _claim(key: str) -> Ask:
    hour_ns = 3_600 * 10**9
    return Ask(key, b"f" * 32, 1, hour_ns, hour_ns)


async def growth(folder: Path) -> list[Figure]:
    """A claim with 100,000 keys stored beside one with 1,000."""
    name = "claim, 100 k keys stored / 1 k"
    return [
        Figure(f"{name}, memory", await filled(lambda keys: MemoryStore()), "x", 1.2),
        Figure(f"{name}, SQLite", await filled(lambda keys: SQLiteStore(folder / f"{keys}.db")), "x", 1.2),
    ]


def measured() -> list[Figure]:
    """Every figure, in the order of the table."""
    with tempfile.TemporaryDirectory(prefix="tenfold-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "postgres").mkdir()
        with redis_server(folder) as server, postgres_server(folder / "postgres") as url:
            figures = asyncio.run(through_stores(server.url, url, folder))
            figures += asyncio.run(round_trips(server.url))
        try:
            figures += asyncio.run(peer())
        except ImportError:
            print("without asgi-idempotency-header: uv run --group peers", file=sys.stderr)
        return [*figures, *asyncio.run(growth(folder))]


def table(figures: list[Figure]) -> str:
    """The figures as text: required, measured, verdict."""
    lines = [f"{'':56} {'at most':>8} {'measured':>10}"]
    for figure in figures:
        at_most = "" if figure.at_most is None else f"{figure.at_most:g}"
        verdict = "" if figure.at_most is None else ("ok" if figure.is_met else "MISSED")
        shown = f"{figure.measured:,.0f}" if figure.measured >= 100 else f"{figure.measured:.3g}"
        lines.append(f"{figure.name:56} {at_most:>8} {shown:>10} {figure.unit:4} {verdict}".rstrip())
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
