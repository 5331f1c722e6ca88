"""Puts this folder on the path, so that tests share builders (`from runs import STUCK`), and offers real servers."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import RedisServer, postgres_server, redis_server


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server of this test's own: it may stop or freeze it."""
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis server for all tests that only use their own keys."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One PostgreSQL server for all tests that only use their own tables.

    Not in pytest's own folder: the server runs as another user when the tests run as root, and pytest keeps that shut.
    """
    with tempfile.TemporaryDirectory(prefix="tenfold-postgres-") as folder, postgres_server(Path(folder)) as url:
        yield url
