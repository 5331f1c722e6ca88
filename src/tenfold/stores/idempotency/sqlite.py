"""Keys in a SQLite file: for the processes of one machine, and for work in the same file, in one transaction with it.

- The file is in WAL mode: a repetition reads its answer without waiting for whoever writes.
- One connection. A transaction has it to itself; other claims wait for it, as SQLite would make them wait for its only
  writer.
- What takes 20 us is done in the event loop: a thread would cost four times as much. What may take longer is done on a
  thread: opening the file, waiting for another program's lock, every commit with `synchronous` FULL, and moving the log
  into the file (checkpoints), which waits for the disk.
- `synchronous` is NORMAL: what was committed survives the death of the process, though not always the machine's. In a
  transaction key and work are lost together then. Set FULL where the work is elsewhere.
- The clock is the machine's.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from tenfold.fields import setting
from tenfold.runtime.idempotency.claims import to_the_end
from tenfold.runtime.idempotency.store import CLAIMED, RUNNING, Answer, Ask, StoreUnavailable
from tenfold.runtime.time_limit import TimeLimit
from tenfold.settings import configured
from tenfold.stores.idempotency import sql

T = TypeVar("T")
NOW = ":now"
READ, CLAIM, EXTEND, COMPLETE, RELEASE, SWEEP = (
    text.format(now=NOW) for text in (sql.READ, sql.CLAIM, sql.EXTEND, sql.COMPLETE, sql.RELEASE, sql.SWEEP)
)
NORMAL = "NORMAL"
PRIMARY = 0xFF  # the part of SQLite's extended codes that says what kind of error it is
BUSY_PAUSE_S = 0.005  # between looks at a lock another program has
CHECKPOINT_EVERY = 250  # claims: about the thousand pages of log after which SQLite would do it
TRIES = 3  # a key may vanish between a claim that is refused and the look at why


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings of the store in SQLite."""

    timeout_ns: int = setting(
        5_000_000_000, "How long to wait for others' transactions.", low=1_000_000, source="Python's sqlite3"
    )
    synchronous: str = setting(
        "NORMAL", "When a commit reaches the disk.", choices=("NORMAL", "FULL"), source="the manual advises it for WAL"
    )


class SQLiteStore:
    """See `runtime.idempotency.store.TransactionalStore`.

    Args:
        path: of the file; made when it is not there. Not on a network file system.
        timeout: how long to wait for others' transactions; text ("5 s").
        synchronous: NORMAL or FULL.
        clock_ns: Unix time in ns.

    Raises:
        UsageError: when a setting cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        timeout: str = "5 s",
        synchronous: str = "NORMAL",
        *,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        given = {"timeout": timeout, "synchronous": synchronous}
        self._settings: _Settings = configured(_Settings, given, "SQLiteStore")
        self._path, self._clock_ns = os.fspath(path), clock_ns
        self._start()

    def __repr__(self) -> str:
        return f"SQLiteStore({self._path!r})"

    def _start(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tenfold idempotency")
        self._connection: sqlite3.Connection | None = None
        self._turn = asyncio.Lock()
        self._working: set[str] = set()  # keys of transactions of this process
        self._claims = 0
        self._pid = os.getpid()

    async def begin(self, ask: Ask) -> Answer:
        """Claim the key."""
        return await self._in_turn(self._claimed, ask)

    async def extend(self, ask: Ask) -> bool:
        """Lengthen the lease."""
        return bool(await self._in_turn(self._changed, EXTEND, sql.values(ask)))

    async def complete(self, ask: Ask, response: bytes) -> bool:
        """Keep the answer."""
        return bool(await self._in_turn(self._changed, COMPLETE, sql.values(ask, response)))

    async def release(self, ask: Ask) -> None:
        """Forget the key."""
        await self._in_turn(self._changed, RELEASE, sql.values(ask))

    async def sweep(self, limit: int) -> int:
        """Delete keys whose time is over."""
        return await self._in_turn(self._changed, SWEEP, {"limit": limit})

    async def begin_transaction(self, ask: Ask) -> tuple[Answer, "SQLiteClaim | None"]:
        """Claim the key in a transaction: SQLite has one writer, so nobody else claims anything meanwhile."""
        self._see_to_fork()
        if ask.key in self._working:
            return Answer(RUNNING), None
        claim = SQLiteClaim(self, ask)
        await self._take_turn()
        try:
            answer = await self._done(self._begun, ask)
        except BaseException:
            await to_the_end(claim.end(self._rolled_back))
            raise
        if answer.state == CLAIMED:
            self._working.add(ask.key)
            return answer, claim
        self._give_turn(ask)
        return answer, None

    async def close(self) -> None:
        """Close the file and end the thread."""
        async with self._turn:
            connection, self._connection = self._connection, None
            if connection is not None:
                await self._done(connection.close)
            self._thread.shutdown(wait=False)
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="tenfold idempotency")

    # In the event loop.

    async def _in_turn(self, work: Callable[..., T], *arguments: Any) -> T:
        self._see_to_fork()
        await self._take_turn()
        try:
            return await self._done(work, *arguments)
        finally:
            self._turn.release()

    async def _take_turn(self) -> None:
        if not self._turn.locked():
            await self._turn.acquire()
            return
        try:
            with TimeLimit(self._settings.timeout_ns):
                await self._turn.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(f"SQLite at {self._path}: a transaction has lasted too long") from error

    def _give_turn(self, ask: Ask) -> None:
        self._working.discard(ask.key)
        self._turn.release()

    async def _done(self, work: Callable[..., T], *arguments: Any) -> T:
        """The result of work on the connection: here, or on the thread when it would wait. Errors are the store's."""
        try:
            if self._connection is not None and self._settings.synchronous == NORMAL:
                try:
                    return work(*arguments)
                except sqlite3.OperationalError as error:
                    if getattr(error, "sqlite_errorcode", 0) & PRIMARY != sqlite3.SQLITE_BUSY:
                        raise
            return await self._on_thread(work, *arguments)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"SQLite at {self._path}: {error}") from error

    async def _on_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """The result; cancelled, the thread has let go of the connection when this ends."""
        stop = threading.Event()
        future = asyncio.get_running_loop().run_in_executor(self._thread, self._patiently, stop, work, arguments)
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            stop.set()
            await to_the_end(_over(future))
            raise
        return future.result()

    def _see_to_fork(self) -> None:
        """In a child made by fork: no thread has come along, and the parent's connection is not ours."""
        if self._pid != os.getpid():
            _ABANDONED.append(self._connection)
            self._start()

    # With the connection.

    def _patiently(self, stop: threading.Event, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        """Work on the thread, again and again while another program has the lock, within the time limit."""
        end_s = time.monotonic() + self._settings.timeout_ns / 1e9
        while True:
            try:
                return work(*arguments)
            except sqlite3.OperationalError as error:
                is_busy = getattr(error, "sqlite_errorcode", 0) & PRIMARY == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() >= end_s or stop.wait(BUSY_PAUSE_S):
                    raise

    def _checkpoint(self) -> None:
        """Move the log into the file, on the thread, by a connection of its own; readers and writers go on."""
        with suppress(sqlite3.Error), closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _opened(self) -> sqlite3.Connection:
        """The connection; it may be used by the application's threads during a transaction."""
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA wal_autocheckpoint = 0")
                connection.execute(f"PRAGMA synchronous = {self._settings.synchronous}")
                connection.execute(sql.CREATE.format(text="text", bytes="blob") + " WITHOUT ROWID")
                connection.execute(sql.INDEX)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _rows(self, statement: str, values: dict[str, Any]) -> list[Any]:
        return self._opened().execute(statement, {**values, "now": self._clock_ns() // sql.US}).fetchall()

    def _changed(self, statement: str, values: dict[str, Any]) -> int:
        """Change rows; how many."""
        return self._opened().execute(statement, {**values, "now": self._clock_ns() // sql.US}).rowcount

    def _claimed(self, ask: Ask) -> Answer:
        self._claims += 1
        if self._claims % sql.SWEEP_EVERY == 0:
            self._changed(SWEEP, {"limit": sql.SWEPT})
        if self._claims % CHECKPOINT_EVERY == 0:
            self._thread.submit(self._checkpoint)
        return self._claimed_now(ask)

    def _claimed_now(self, ask: Ask) -> Answer:
        values = sql.values(ask)
        for _ in range(TRIES):
            rows = self._rows(READ, values)
            answer = sql.standing(rows[0] if rows else None, ask)
            if answer.state != CLAIMED or self._changed(CLAIM, values):
                return answer
        return Answer(RUNNING)

    def _begun(self, ask: Ask) -> Answer:
        self._opened().execute("BEGIN IMMEDIATE")
        answer = self._claimed(ask)
        if answer.state != CLAIMED:
            self._rolled_back()
        return answer

    def _committed(self, ask: Ask, response: bytes) -> bool:
        connection = self._opened()
        try:
            is_ours = bool(self._changed(COMPLETE, sql.values(ask, response)))
            if is_ours and connection.in_transaction:
                connection.execute("COMMIT")
            return is_ours
        finally:
            self._rolled_back()

    def _rolled_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


class SQLiteClaim:
    """A key that is held by a transaction."""

    def __init__(self, store: SQLiteStore, ask: Ask) -> None:
        self._store, self._ask = store, ask

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the transaction. Committed early, the claim is there without an answer: unknown."""
        return self._store._opened()

    async def complete(self, response: bytes) -> bool:
        """Commit work and answer."""
        return await to_the_end(self.end(self._store._committed, self._ask, response))

    async def release(self) -> None:
        """Undo the work."""
        await to_the_end(self.end(self._store._rolled_back))

    async def end(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do the last thing of the transaction, and let others have their turn."""
        try:
            return await self._store._done(work, *arguments)
        finally:
            self._store._give_turn(self._ask)


async def _over(future: "asyncio.Future[Any]") -> None:
    await asyncio.wait([future])
    future.exception()  # seen


_ABANDONED: list[Any] = []  # kept: to close a connection in a child drops the parent's locks on the file
