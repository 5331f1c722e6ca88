"""Keys in PostgreSQL, by psycopg: for any number of machines, and for work in the same database, in one transaction.

- A claim is one statement; in a transaction it is guarded by an advisory lock that ends with it, so that a repetition
  hears "running" at once instead of waiting, and poolers in transaction mode (PgBouncer) do no harm.
- The clock is the server's.
- Nothing is sent twice. A commit whose answer was lost has happened or not: whoever asks again finds out.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

from tenfold.errors import UsageError
from tenfold.fields import setting
from tenfold.runtime.idempotency.claims import to_the_end
from tenfold.runtime.idempotency.store import CLAIMED, RUNNING, Answer, Ask, StoreUnavailable
from tenfold.runtime.time_limit import TimeLimit
from tenfold.settings import configured
from tenfold.stores.idempotency import sql

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[tuple[Any, ...]]

T = TypeVar("T")
NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
TRIES = 3  # a key may vanish between a claim that is refused and the look at why


def _of_psycopg(statement: str) -> str:
    """The statement with its parameters as psycopg names them."""
    return re.sub(r":(\w+)", r"%(\1)s", statement.format(now=NOW))


READ, CLAIM, EXTEND, COMPLETE, RELEASE, SWEEP = map(
    _of_psycopg, (sql.READ, sql.CLAIM, sql.EXTEND, sql.COMPLETE, sql.RELEASE, sql.SWEEP)
)


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings of the store in PostgreSQL."""

    timeout_ns: int = setting(
        5_000_000_000, "How long a statement, or waiting for a connection, may take.", low=1_000_000, source="a bound"
    )
    connections: int = setting(
        10, "How many connections there are at most; a transaction holds one.", low=1, high=1000, source="common pools"
    )


class PostgresStore:
    """See `runtime.idempotency.store.TransactionalStore`.

    Args:
        url: `postgresql://...`, or any connection string of libpq.
        timeout: how long a statement, or waiting for a connection, may take; text ("5 s").
        connections: how many at most; they are made when needed and kept.

    Raises:
        UsageError: when a setting cannot be read, or psycopg is not installed.
    """

    def __init__(self, url: str, timeout: str = "5 s", connections: int = 10) -> None:
        try:
            import psycopg as psycopg
        except ImportError as error:
            raise UsageError("PostgresStore needs the package psycopg", "pip install 'tenfold[postgres]'") from error
        self._settings: _Settings = configured(
            _Settings, {"timeout": timeout, "connections": connections}, "PostgresStore"
        )
        self._url, self._errors = url, psycopg.Error
        self._has_table = False
        self._owner: tuple[int, asyncio.AbstractEventLoop | None] = (os.getpid(), None)
        self._claims = 0
        self._idle: list[Connection] = []

    def __repr__(self) -> str:
        return "PostgresStore(...)"

    async def begin(self, ask: Ask) -> Answer:
        """Claim the key."""
        async with self._connected() as connection:
            return await self._asked(self._claimed(connection, ask))

    async def extend(self, ask: Ask) -> bool:
        """Lengthen the lease."""
        return bool(await self._changed(EXTEND, sql.values(ask)))

    async def complete(self, ask: Ask, response: bytes) -> bool:
        """Keep the answer."""
        return bool(await self._changed(COMPLETE, sql.values(ask, response)))

    async def release(self, ask: Ask) -> None:
        """Forget the key."""
        await self._changed(RELEASE, sql.values(ask))

    async def sweep(self, limit: int) -> int:
        """Delete keys whose time is over."""
        return await self._changed(SWEEP, {"limit": limit})

    async def begin_transaction(self, ask: Ask) -> tuple[Answer, "PostgresClaim | None"]:
        """Claim the key in a transaction."""
        connection = await self._taken()
        try:
            answer = await self._asked(self._begun(connection, ask))
        except BaseException:
            await to_the_end(self._put_back(connection))
            raise
        if answer.state == CLAIMED:
            return answer, PostgresClaim(self, connection, ask)
        await to_the_end(self._put_back(connection))
        return answer, None

    async def close(self) -> None:
        """Close the connections nobody uses; those in use are closed when they come back."""
        self._see_to_owner()
        idle, self._idle = self._idle, []
        self._owner = (os.getpid(), None)
        for connection in idle:
            await connection.close()

    # Asking.

    async def _changed(self, statement: str, values: dict[str, Any]) -> int:
        async with self._connected() as connection:
            return await self._asked(_changed(connection, statement, values))

    async def _asked(self, work: Awaitable[T]) -> T:
        """The result, in time; errors are the store's."""
        try:
            with TimeLimit(self._settings.timeout_ns):
                return await work
        except (self._errors, TimeoutError, OSError) as error:
            raise StoreUnavailable(f"PostgreSQL: {error}") from error

    async def _claimed(self, connection: "Connection", ask: Ask) -> Answer:
        self._claims += 1
        if self._claims % sql.SWEEP_EVERY == 0:
            await _changed(connection, SWEEP, {"limit": sql.SWEPT})
        values = sql.values(ask)
        for _ in range(TRIES):
            rows = await _rows(connection, READ, values)
            answer = sql.standing(rows[0] if rows else None, ask)
            if answer.state != CLAIMED or await _changed(connection, CLAIM, values):
                return answer
        return Answer(RUNNING)

    async def _begun(self, connection: "Connection", ask: Ask) -> Answer:
        """Begin, unless another transaction has the key. READ COMMITTED: what it committed is seen."""
        lock = int.from_bytes(blake2b(ask.key.encode(), digest_size=8).digest(), "big", signed=True)
        await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        rows = await _rows(connection, "SELECT pg_try_advisory_xact_lock(%(lock)s)", {"lock": lock})
        if rows[0][0]:
            return await self._claimed(connection, ask)
        rows = await _rows(connection, READ, sql.values(ask))  # who has the lock may only be reading the answer
        answer = sql.standing(rows[0] if rows else None, ask)
        return Answer(RUNNING) if answer.state == CLAIMED else answer

    # Connections.

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["Connection"]:
        connection = await self._taken()
        try:
            yield connection
        finally:
            await to_the_end(self._put_back(connection))

    async def _taken(self) -> "Connection":
        """A connection, within the time limit."""
        self._see_to_owner()
        places = self._places
        try:
            with TimeLimit(self._settings.timeout_ns):
                await places.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(f"PostgreSQL: {self._settings.connections} connections are in use") from error
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        try:
            return await self._asked(self._made())
        except BaseException:
            places.release()
            raise

    async def _made(self) -> "Connection":
        from psycopg import AsyncConnection

        connection: Connection = await AsyncConnection.connect(self._url, autocommit=True)
        try:
            if not self._has_table:
                await _create(connection)
                self._has_table = True
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _put_back(self, connection: "Connection") -> None:
        """Keep it for the next, clean; one that is in the middle of something is closed, which undoes that."""
        from psycopg.pq import TransactionStatus

        if connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            try:
                await connection.execute("ROLLBACK")
            except self._errors:
                await connection.close()
        is_ours = self._owner[1] is asyncio.get_running_loop()
        if is_ours and connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            await connection.close()
        self._places.release()

    def _see_to_owner(self) -> None:
        """Connections belong to a process and its event loop: in another, others are made."""
        owner = (os.getpid(), asyncio.get_running_loop())
        if self._owner != owner:
            _ABANDONED.append(self._idle)
            self._owner = owner
            self._idle = []
            self._places = asyncio.Semaphore(self._settings.connections)


class PostgresClaim:
    """A key that is held by a transaction."""

    def __init__(self, store: PostgresStore, connection: "Connection", ask: Ask) -> None:
        self.connection = connection
        self._store, self._ask = store, ask

    async def complete(self, response: bytes) -> bool:
        """Commit work and answer."""
        return await to_the_end(self._complete(response))

    async def release(self) -> None:
        """Undo the work."""
        await to_the_end(self._store._put_back(self.connection))

    async def _complete(self, response: bytes) -> bool:
        try:
            return await self._store._asked(self._committed(response))
        finally:
            await self._store._put_back(self.connection)

    async def _committed(self, response: bytes) -> bool:
        is_ours = bool(await _changed(self.connection, COMPLETE, sql.values(self._ask, response)))
        if is_ours:
            await self.connection.execute("COMMIT")
        return is_ours


async def _rows(connection: "Connection", statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    cursor = await connection.execute(statement, values)
    return await cursor.fetchall()


async def _changed(connection: "Connection", statement: str, values: dict[str, Any]) -> int:
    """Change rows; how many."""
    return (await connection.execute(statement, values)).rowcount


async def _create(connection: "Connection") -> None:
    """Make the table, unless it is there: who may not make tables can have it made."""
    rows = await _rows(connection, "SELECT to_regclass(%(name)s) IS NOT NULL", {"name": sql.TABLE})
    if rows[0][0]:
        return
    async with connection.transaction():  # IF NOT EXISTS alone fails when two begin at once
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('tenfold_idempotency', 0))")
        await connection.execute("SET LOCAL client_min_messages = warning")
        await connection.execute(sql.CREATE.format(text="text", bytes="bytea"))
        await connection.execute(sql.INDEX)


_ABANDONED: list[Any] = []  # kept: to close a connection in a child would end the parent's
