"""One connection that many callers share: what has gathered is sent in one write, the answers come in order.

- Callers do not wait for a free connection, and there is no pool to run out of: 2,000 at once are some twenty writes.
- A command that finds nobody in line is written at once, while its task is still to start: that saves a turn of the
  event loop, a fifth of a hit.
- A cancelled caller leaves; its answer is read and dropped, and nobody else notices.
- A server that answers nothing within the limit is given up with its connection: every caller in line is told. Nothing
  is sent twice, so nothing takes longer because of a second try.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tenfold.runtime.cache.store import StoreUnavailable
from tenfold.runtime.time_limit import TimeLimit

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

BATCH_MAX = 128  # commands a limit covers: large enough to save writes, small enough to be answered well within it
SMALL_BYTES = 32_768  # written without waiting: half of what a transport buffers before it makes writers wait

_Call = tuple[bytes, int, "asyncio.Future[Any]"]  # the commands, how many they are, who waits


class Lane:
    """A connection, connected when first needed and again after it broke.

    Args:
        connection: of redis-py, without time limits and retries of its own.
        greet: first use of a connection.
        limit_ns: the longest time without the answers to one batch.
        place: the server's name in errors.
    """

    def __init__(
        self,
        connection: "AbstractConnection",
        greet: Callable[["AbstractConnection"], Awaitable[None]],
        limit_ns: int,
        place: str,
    ) -> None:
        from redis.exceptions import ConnectionError as Broke
        from redis.exceptions import ResponseError

        self._answered, self._broke = ResponseError, Broke
        self._connection = connection
        self._greet = greet
        self._limit_ns = limit_ns
        self._place = place
        self._line: list[_Call] = []
        self._task: asyncio.Task[None] | None = None

    def ask(self, commands: bytes, count: int = 1) -> "asyncio.Future[Any]":
        """Put commands in line.

        Args:
            commands: one or more, as the protocol has them.
            count: how many they are.

        Returns:
            A future of the answer, or of the list of answers when there are several; an error the server answers is an
            answer. It raises StoreUnavailable when there is none.
        """
        future = asyncio.get_running_loop().create_future()
        call = (commands, count, future)
        if self._task is None:
            self._task = asyncio.create_task(self._run([call], is_written=self._is_written(commands)))
        else:
            self._line.append(call)
        return future

    async def close(self) -> None:
        """Disconnect; who still waits is told StoreUnavailable."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._connection.disconnect()

    async def _run(self, batch: list[_Call], *, is_written: bool) -> None:
        """Send and receive until nobody is in line."""
        try:
            while batch:
                try:
                    with TimeLimit(self._limit_ns):
                        if not is_written:
                            await self._send(batch)
                        await self._receive(batch)
                except Exception as error:
                    self._tell(batch, error)
                    await self._connection.disconnect(nowait=True)
                batch, is_written = self._next_batch(), False
        except asyncio.CancelledError:
            self._tell(batch, ConnectionError("the store was closed"))
            raise
        finally:
            self._task = None

    def _next_batch(self) -> list[_Call]:
        """The first in line, without those who left it."""
        batch: list[_Call] = []
        while self._line and not batch:
            batch = [call for call in self._line[:BATCH_MAX] if not call[2].done()]
            del self._line[:BATCH_MAX]
        return batch

    def _is_written(self, commands: bytes) -> bool:
        """Write at once if the connection is there, clean, and has room; whether that was done."""
        connection = self._connection
        if not connection.is_connected or len(commands) > SMALL_BYTES:
            return False
        try:
            if _at_once(_can_read(connection)):
                return False
            _at_once(connection.send_packed_command(commands, check_health=False))
        except Exception:  # the connection was broken before: nothing reached the server, and `_send` makes another
            return False
        return True

    async def _send(self, batch: list[_Call]) -> None:
        """One write, on a connection that is there and clean."""
        connection = self._connection
        if connection.is_connected and await _can_read(connection):
            await connection.disconnect(nowait=True)  # the server hung up, or there is an answer nobody asked for
        if not connection.is_connected:
            await connection.connect()  # type: ignore[no-untyped-call]
            await self._greet(connection)
        await connection.send_packed_command(b"".join([call[0] for call in batch]), check_health=False)

    async def _receive(self, batch: list[_Call]) -> None:
        """The answers, in the order of the commands."""
        for _, count, future in batch:
            answer = await self._answer() if count == 1 else [await self._answer() for _ in range(count)]
            if not future.done():
                future.set_result(answer)

    async def _answer(self) -> Any:
        """What the server answers to one command, be it an error."""
        try:
            return await self._connection.read_response(disable_decoding=True)
        except self._answered as error:
            if isinstance(error, self._broke):  # it is loading, or shutting down: no answer
                raise
            return error

    def _tell(self, batch: list[_Call], error: BaseException) -> None:
        """Tell all in line that there is no answer."""
        line, self._line = [*batch, *self._line], []
        for _, _, future in line:
            if not future.done():
                future.set_exception(unavailable(self._place, error))


def _can_read(connection: "AbstractConnection") -> Coroutine[Any, Any, bool]:
    """Whether the connection has something to read, which it should not have: an answer, or its end."""
    found: Any = getattr(connection, "can_read", None) or connection.can_read_destructive  # before redis-py 8
    answer: Coroutine[Any, Any, bool] = found()
    return answer


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has no reason to wait.

    Raises:
        BlockingIOError: it waits all the same.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise BlockingIOError


def unavailable(place: str, error: BaseException) -> StoreUnavailable:
    """The one error a store has, with its cause."""
    found = StoreUnavailable(f"Redis at {place}: {str(error) or type(error).__name__}")
    found.__cause__ = error
    return found
