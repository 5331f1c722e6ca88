"""The connections of a store, taken in turn; a child made by fork gets its own."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tenfold.runtime.cache.store import StoreUnavailable
from tenfold.stores.redis.connections import Origin
from tenfold.stores.redis.lane import Lane, unavailable

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection


class Lanes:
    """Some lanes to one server, each connected when it is first needed.

    Args:
        origin: the server.
        count: how many.
        limit_ns: the longest time a server may be silent while commands wait.
        greet: first use of a connection.
        forked: called in a child made by fork, before its first command: what else is the parent's has to be left.
    """

    def __init__(
        self,
        origin: Origin,
        count: int,
        limit_ns: int,
        greet: Callable[["AbstractConnection"], Awaitable[None]],
        forked: Callable[[], None] = lambda: None,
    ) -> None:
        self._origin = origin
        self._count = count
        self._limit_ns = limit_ns
        self._greet = greet
        self._forked = forked
        self._start()

    def __len__(self) -> int:
        return len(self._lanes)

    def _start(self) -> None:
        """Fresh lanes, none of them connected."""
        self._lanes = [
            Lane(self._origin.make(), self._greet, self._limit_ns, self._origin.place) for _ in range(self._count)
        ]
        self._turn = 0
        self._pid = os.getpid()
        self._is_closed = False

    def open(self) -> None:
        """May be used, again."""
        self._is_closed = False

    async def close(self) -> None:
        """Disconnect; who still waits, and who asks later, is told StoreUnavailable."""
        self._is_closed = True
        for lane in self._lanes:
            await lane.close()

    def ask(self, commands: bytes, count: int = 1) -> "asyncio.Future[Any]":
        """Put commands in line, on each connection in turn. See `Lane.ask`.

        Raises:
            StoreUnavailable: it was closed.
        """
        if self._pid != os.getpid():
            self.see_to_fork()
        if self._is_closed:
            raise StoreUnavailable(f"Redis at {self._origin.place}: the store was closed")
        self._turn = (self._turn + 1) % len(self._lanes)
        return self._lanes[self._turn].ask(commands, count)

    def checked(self, answer: Any) -> Any:
        """The answer, unless it is an error of the server's.

        Raises:
            StoreUnavailable: it is.
        """
        if isinstance(answer, Exception):
            raise unavailable(self._origin.place, answer)
        return answer

    def see_to_fork(self) -> None:
        """In a child made by fork leave the parent's connections alone, not even closing them, and make others."""
        if self._pid != os.getpid():
            ABANDONED.append(self._lanes)
            self._forked()
            self._start()


ABANDONED: list[Any] = []  # kept: to let go of a connection is to close it, and its selector is the parent's
