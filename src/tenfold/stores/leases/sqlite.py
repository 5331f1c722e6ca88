"""Leases in a SQLite file: for the processes of one machine. The clock is the machine's.

Every operation is one `BEGIN IMMEDIATE` transaction, synced to disk before it answers (SQLite's default): a mark that
was granted survives a power cut.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from tenfold.errors import UsageError
from tenfold.runtime.ids.leases import Ask, Lease, LeaseStoreUnavailable
from tenfold.stores.leases import sql

_NS_PER_MS = 1_000_000


class SQLiteLeaseStore:
    """See `LeaseStore`.

    Args:
        path: of the file; made when it is not there. Not on a network file system: SQLite's locks do not hold there.
        timeout_ns: how long to wait for others' transactions.
        clock_ns: Unix time in ns.
    """

    def __init__(self, path: str, timeout_ns: int, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._path, self._timeout_ns, self._clock_ns = path, timeout_ns, clock_ns

    def acquire(self, ask: Ask) -> Lease:
        """Lease a free node."""
        with self._transaction() as run:
            run(sql.CREATE, {})
            return sql.acquire(run, ask, self._now_ms())

    def renew(self, lease: Lease) -> Lease:
        """Lengthen the lease."""
        with self._transaction() as run:
            run(sql.CREATE, {})
            return sql.renew(run, lease, self._now_ms())

    def release(self, lease: Lease, mark_ms: int) -> None:
        """Give the node back."""
        with self._transaction() as run:
            run(sql.CREATE, {})
            sql.release(run, lease, mark_ms)

    def close(self) -> None:
        """Nothing stays open."""

    def _now_ms(self) -> int:
        """Read inside the transaction, so that no later one has an earlier time than it needs."""
        return self._clock_ns() // _NS_PER_MS

    @contextmanager
    def _transaction(self) -> Iterator[sql.Run]:
        """Run statements alone in the file."""
        try:
            with closing(
                sqlite3.connect(self._path, timeout=self._timeout_ns / 1e9, isolation_level=None)
            ) as connection:

                def run(statement: str, values: dict[str, Any]) -> sql.Row:
                    row: sql.Row = connection.execute(statement, values).fetchone()
                    return row

                connection.execute("BEGIN IMMEDIATE")
                yield run
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise LeaseStoreUnavailable(f"the lease store sqlite:{self._path} does not work: {error}") from error


def open_store(url: str, timeout_ns: int) -> SQLiteLeaseStore:
    """The store in a file: `sqlite:workers.db`, `sqlite:/var/lib/app/workers.db`."""
    path = url.removeprefix("sqlite:")
    if path.startswith("//"):  # sqlite:///relative and sqlite:////absolute, as SQLAlchemy writes them
        path = path.removeprefix("///") if path.startswith("///") else path
    if not path or path == ":memory:":
        raise UsageError(f"{url} names no file", "write sqlite:PATH, or memory: for one process")
    return SQLiteLeaseStore(path, timeout_ns)
