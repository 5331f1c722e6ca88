"""Stores in Redis for tests: opened, watched from outside, waited for, and in processes of their own."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import redis as redis_py

from servers import RedisServer
from tenfold.runtime.cache.store import StoreUnavailable
from tenfold.stores.redis import RedisStore

SOURCES = Path(__file__).resolve().parents[2] / "src"


@contextlib.asynccontextmanager
async def opened(url: str, command_timeout: str = "5 s", **settings: int | str) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, "faults:", command_timeout, **settings)  # type: ignore[arg-type]
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@contextlib.contextmanager
def admin(server: RedisServer, **settings: str) -> Iterator["redis_py.Redis[bytes]"]:
    client = redis_py.Redis(port=server.port, **settings)  # type: ignore[arg-type]
    yield client
    client.close()


async def works_again(store: RedisStore, within_s: float = 10.0) -> float:
    start_s = time.monotonic()
    while True:
        try:
            await store.get("k")
        except StoreUnavailable:
            assert time.monotonic() < start_s + within_s
            await asyncio.sleep(0.005)
        else:
            return time.monotonic() - start_s


def started(code: str, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )
