"""Leases in PostgreSQL, by the server's clock."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenfold.errors import UsageError
from tenfold.runtime.ids.leases import Ask, Lease, LeaseStoreUnavailable
from tenfold.stores.leases import sql

_NS_PER_MS, _NS_PER_S = 1_000_000, 1_000_000_000
_LEAST_CONNECT_S = 2  # libpq takes less for 2
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('tenfold_worker_ids', 0))"
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_IS_THERE = f"SELECT to_regclass('{sql.TABLE}')"
_PARAMETER = re.compile(r":([a-z]+)")


class PostgresLeaseStore:
    """See `LeaseStore`.

    Transactions take an advisory lock, so that readers of the table are not disturbed. The clock is read after the lock
    (`clock_timestamp`, not `now`, which is the time the transaction began).

    Args:
        url: of the database.
        timeout_ns: for connecting, for the lock and for each statement.
    """

    def __init__(self, url: str, timeout_ns: int) -> None:
        self._url, self._timeout_ns = url, timeout_ns

    def acquire(self, ask: Ask) -> Lease:
        """Lease a free node."""
        with self._transaction() as (run, now_ms):
            return sql.acquire(run, ask, now_ms)

    def renew(self, lease: Lease) -> Lease:
        """Lengthen the lease."""
        with self._transaction() as (run, now_ms):
            return sql.renew(run, lease, now_ms)

    def release(self, lease: Lease, mark_ms: int) -> None:
        """Give the node back."""
        with self._transaction() as (run, _):
            sql.release(run, lease, mark_ms)

    def close(self) -> None:
        """Nothing stays open."""

    @contextmanager
    def _transaction(self) -> Iterator[tuple[sql.Run, int]]:
        """Run statements one transaction at a time, at a time of the server, in ms."""
        import psycopg

        try:
            with psycopg.connect(self._url, **self._limits()) as connection:

                def run(statement: str, values: dict[str, Any]) -> sql.Row:
                    cursor = connection.execute(_PARAMETER.sub(r"%(\1)s", statement), values)
                    return cursor.fetchone() if cursor.description else None

                run(_LOCK, {})
                if run(_IS_THERE, {}) == (None,):
                    run(sql.CREATE, {})
                yield run, _whole(connection.execute(_NOW).fetchone())
        except psycopg.Error as error:
            raise LeaseStoreUnavailable(f"the lease store in PostgreSQL does not work: {error}".strip()) from error

    def _limits(self) -> dict[str, Any]:
        """Options of a connection that make every wait end."""
        timeout_ms = max(1, self._timeout_ns // _NS_PER_MS)
        return {
            "connect_timeout": max(_LEAST_CONNECT_S, -(-self._timeout_ns // _NS_PER_S)),
            "options": f"-c statement_timeout={timeout_ms} -c lock_timeout={timeout_ms}",
            "tcp_user_timeout": timeout_ms,
        }


def _whole(row: sql.Row) -> int:
    """The number a one-row answer consists of."""
    assert row is not None
    return int(row[0])


def open_store(url: str, timeout_ns: int) -> PostgresLeaseStore:
    """The store in a database: `postgresql://user@host/name`."""
    try:
        import psycopg as psycopg
    except ImportError as error:
        raise UsageError("leases in PostgreSQL need psycopg", "pip install 'tenfold[postgres]'") from error
    return PostgresLeaseStore(url, timeout_ns)
