"""The limiter for threads: the same one, its store served by an event loop in a thread of its own.

Hits that need no round trip (counts in memory, leased units) are decided in the caller's thread. What several threads
ask of the store at the same time travels together.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from tenfold.runtime.ratelimit.decision import Decision
from tenfold.runtime.ratelimit.limiter import Limiter
from tenfold.runtime.ratelimit.limits import Limit
from tenfold.runtime.ratelimit.store import LimitStore

T = TypeVar("T")


class ThreadLimiter:
    """Decides whether a hit may pass, for threads. Arguments and methods as for `Limiter`, without `await`.

    The store belongs to it: `close` closes that as well, and other limiters should have another.
    """

    def __init__(self, store: LimitStore, *limits: str | Limit, **settings: Any) -> None:
        self._store = store
        self._limiter = Limiter(store, *limits, **settings)
        self._hit_here = self._limiter.hit_here
        self._loop = _LoopThread()
        self._is_local = self._limiter.is_local
        self.limits = self._limiter.limits

    def __repr__(self) -> str:
        return f"Thread{self._limiter!r}"

    @property
    def is_store_down(self) -> bool:
        """Whether the store is left alone for the time being."""
        return self._limiter.is_store_down

    def hit(self, key: str, cost: int = 1) -> Decision:
        """Count a hit, if all limits have room for it."""
        return self._hit_here(key, cost) or self._loop.run(self._limiter.hit_there(key, cost))

    def hit_many(self, hits: Sequence[tuple[str, int]]) -> list[Decision]:
        """Count many hits in one round trip, each by itself, in their order."""
        return self._run(self._limiter.hit_many(hits))

    def peek(self, key: str, cost: int = 1) -> Decision:
        """Whether a hit would be allowed; nothing is counted."""
        return self._run(self._limiter.peek(key, cost))

    def refund(self, decision: Decision) -> None:
        """Take back a hit that was allowed and then did not happen."""
        self._run(self._limiter.refund(decision))

    def close(self) -> None:
        """Give leased units back, close the store, and end the thread."""
        self._run(self._closed())
        self._loop.stop()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of work on the store; on counts of this process it is done in the caller's thread."""
        return _at_once(work) if self._is_local else self._loop.run(work)

    async def _closed(self) -> None:
        await self._limiter.close()
        await self._store.close()

    def __enter__(self) -> "ThreadLimiter":
        return self

    def __exit__(self, *trouble: object) -> None:
        self.close()


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("counts of this process made somebody wait")


class _LoopThread:
    """An event loop in a thread, started when it is first needed; a child made by fork gets its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result."""
        return asyncio.run_coroutine_threadsafe(work, self._running()).result()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._loop = asyncio.new_event_loop()
                    self._thread = threading.Thread(
                        target=self._loop.run_forever, name="tenfold rate limiter", daemon=True
                    )
                    self._thread.start()
                    self._pid = os.getpid()
        assert self._loop is not None
        return self._loop

    def stop(self) -> None:
        """End the thread, if there is one."""
        if self._loop is None or self._thread is None or self._pid != os.getpid():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._pid, self._loop, self._thread = 0, None, None
