"""Stores over fresh records, each as two nodes of one service, and what tests ask of them."""

import contextlib
import os
from collections.abc import AsyncIterator
from itertools import count

import pytest

from tenfold.idempotency import Ask, MemoryStore, PostgresStore, RedisStore, SQLiteStore

MS, S = 1_000_000, 1_000_000_000
NAMES = ("memory", "sqlite", "postgres", "redis")
TRANSACTIONAL = ("sqlite", "postgres")
_numbers = count()


def unique(name: str) -> str:
    return f"{name}-{os.getpid()}-{next(_numbers)}"


def ask(key="k", fingerprint=b"f", token=1, lease_ns=60 * S, keep_ns=600 * S, runs_unknown=False):
    return Ask(key, fingerprint, token, lease_ns, keep_ns, runs_unknown)


def place(name: str, request: pytest.FixtureRequest, folder) -> str:
    """What a store of that name is made with; only the server it needs is started."""
    if name == "postgres":
        return request.getfixturevalue("postgres_url")
    if name == "redis":
        return request.getfixturevalue("shared_redis").url
    return str(folder / "keys.db")


def made(name: str, where: str):
    if name == "memory":
        return MemoryStore()
    if name == "sqlite":
        return SQLiteStore(where)
    return PostgresStore(where) if name == "postgres" else RedisStore(where, timeout="5 s")


@contextlib.asynccontextmanager
async def nodes(name: str, where: str) -> AsyncIterator:
    first = made(name, where)
    second = first if name == "memory" else made(name, where)
    try:
        yield first, second
    finally:
        await first.close()
        await second.close()
