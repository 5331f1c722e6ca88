"""Tests written as coroutines: each runs in an event loop of its own, which must be empty when it ends."""

import asyncio
import functools
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tenfold.policies.cache.freshness import VALUE, Entry
from tenfold.runtime.cache.store import Record

MS, S = 1_000_000, 1_000_000_000
KEEP_NS = 60 * S


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run the coroutine; no task of its may be left, and what it let go of must have been closed."""

    async def run(**fixtures: Any) -> None:
        await test(**fixtures)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    @functools.wraps(test)
    def sync(**fixtures: Any) -> None:
        asyncio.run(run(**fixtures))
        gc.collect()

    return sync


async def until(is_so: Callable[[], object], within_s: float = 10.0) -> float:
    """Wait for something another process brings about; how long it took in seconds."""
    start_s = time.monotonic()
    while not is_so():
        assert time.monotonic() < start_s + within_s, "it did not come about"
        await asyncio.sleep(0.002)
    return time.monotonic() - start_s


def valued(payload: object, token: int = 1, fresh_until_ns: int = 7) -> Record:
    """A record with a value."""
    return Record(Entry(fresh_until_ns, 2, token, 4, VALUE), payload)


def leased(token: int) -> Record:
    """A record of a key that is being loaded and has no value."""
    return Record(Entry(0, 99, token, 0, 0), None)
