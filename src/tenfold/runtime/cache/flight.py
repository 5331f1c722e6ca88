"""One key on its way: those who wait for it in this process, and the task that brings it."""

import asyncio
from typing import Any

from tenfold.runtime.cache.views import NOTHING, Ask


class Flight:
    """Waiters of one key. Whoever leaves, the others stay; whatever the end, everybody is told.

    A caller that is cancelled takes its own future away and nothing else. The load is a task of its own.
    """

    __slots__ = (
        "_waiters",
        "ask",
        "has_missed",
        "holds_lease",
        "is_asking",
        "old",
        "task",
        "timer",
        "waker",
        "was_told",
    )

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self._waiters: set[asyncio.Future[Any]] = set()
        self.task: asyncio.Task[None] | None = None  # brings the value once the first look has missed
        self.has_missed = False
        self.is_asking = False  # a lease may be granted in this moment: the task must hear of it
        self.holds_lease = False
        self.old: Any = NOTHING  # what to serve instead, once the load has taken too long
        self.timer: asyncio.TimerHandle | None = None
        self.waker: asyncio.Future[None] | None = None  # while it waits for a load elsewhere
        self.was_told = False  # something was announced since the record was read

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    async def wait(self) -> Any:
        """Wait for the end: the value, or the error."""
        waiter = self.enter()
        try:
            return await waiter
        finally:
            self.leave(waiter)

    def enter(self) -> "asyncio.Future[Any]":
        """One more waits."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        return waiter

    def leave(self, waiter: "asyncio.Future[Any]") -> None:
        """One less waits, whatever it has been told."""
        self._waiters.discard(waiter)
        if waiter.done() and not waiter.cancelled():
            waiter.exception()  # taken note of, though the caller may have been cancelled in this instant

    def land(self, value: Any) -> int:
        """Everybody who waits gets the value; how many."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(value)
        return len(waiters)

    def crash(self, error: BaseException) -> int:
        """Everybody who waits gets the error; how many."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)
        return len(waiters)

    async def sleep(self, wait_ns: int) -> None:
        """Wait until woken, at most so long."""
        loop = asyncio.get_running_loop()
        self.waker = loop.create_future()
        timer = loop.call_later(wait_ns / 1e9, self.wake)
        try:
            await self.waker
        finally:
            timer.cancel()
            self.waker = None

    def wake(self) -> None:
        """Something was announced, or the time is over: look again."""
        self.was_told = True
        if self.waker is not None and not self.waker.done():
            self.waker.set_result(None)
