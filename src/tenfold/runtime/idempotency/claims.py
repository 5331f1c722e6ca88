"""Claiming a key, holding it while the work lasts, and giving it up whatever happens."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tenfold.runtime.idempotency.store import (
    CLAIMED,
    RUNNING,
    Answer,
    Ask,
    Claim,
    Store,
    StoreUnavailable,
    TransactionalStore,
)
from tenfold.runtime.idempotency.terms import Terms

T = TypeVar("T")
Tell = Callable[[str], None]

LOST = "lost"
"""Told when a key was lost to another process while the work went on."""

BEATS = 3  # extensions in the time of a lease: two may fail
PAUSE_S, PAUSE_MAX_S = 0.01, 0.25  # between looks at a key somebody else has, doubled each time
TOKEN_BITS = 62


class Held:
    """A key held by a lease that is extended from the event loop until it is settled.

    Args:
        store, ask: whose key.
        tell: called with "lost" when an extension is refused.
    """

    connection = None

    __slots__ = ("_ask", "_beat", "_store", "_tell", "_timer")

    def __init__(self, store: Store, ask: Ask, tell: Tell) -> None:
        self._store, self._ask, self._tell = store, ask, tell
        self._beat: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._arm()

    async def complete(self, response: bytes) -> bool:
        """Keep the answer; False: the key was lost, the answer is not kept."""
        await self._stop()
        try:
            return await self._store.complete(self._ask, response)
        except asyncio.CancelledError:  # the work is done all the same: again, in case that was cut off
            with contextlib.suppress(StoreUnavailable):
                await to_the_end(self._store.complete(self._ask, response))
            raise

    async def release(self) -> None:
        """Give the key back."""
        await self._stop()
        with contextlib.suppress(StoreUnavailable):  # then its outcome is unknown when the lease is over
            await to_the_end(self._store.release(self._ask))

    async def abandon(self) -> None:
        """Let the lease run out: the outcome is unknown."""
        await self._stop()

    def _arm(self) -> None:
        """A timer costs a microsecond; a task is made for work that lasts."""
        self._timer = asyncio.get_running_loop().call_later(self._ask.lease_ns / 1e9 / BEATS, self._due)

    def _due(self) -> None:
        self._beat = asyncio.create_task(self._extend())

    async def _extend(self) -> None:
        """Extend once and see to the next time; a store that is away is asked again."""
        is_ours = True
        with contextlib.suppress(StoreUnavailable):
            is_ours = await self._store.extend(self._ask)
        if is_ours:
            self._arm()
        else:
            self._tell(LOST)

    async def _stop(self) -> None:
        """No extension from now on, none in flight."""
        if self._beat is not None:
            await to_the_end(self._ended(self._beat))
        if self._timer is not None:
            self._timer.cancel()

    @staticmethod
    async def _ended(beat: "asyncio.Task[None]") -> None:
        beat.cancel()
        await asyncio.wait([beat])


async def claimed(
    store: Store, ask: Ask, terms: Terms, tell: Tell, *, in_transaction: bool
) -> tuple[Answer, Claim | None]:
    """Claim a key, waiting for who has it as long as the terms say.

    Returns:
        What became of the key, and the claim when it is the caller's.

    Raises:
        StoreUnavailable: then nothing is claimed, as far as the store could be told.
    """
    loop, pause_s = asyncio.get_running_loop(), PAUSE_S
    end_s = loop.time() + terms.wait_ns / 1e9
    while True:
        answer, claim = await (_in_transaction(store, ask) if in_transaction else _by_lease(store, ask, tell))
        left_s = end_s - loop.time()
        if answer.state != RUNNING or left_s <= 0:
            return answer, claim
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, PAUSE_MAX_S)


async def _by_lease(store: Store, ask: Ask, tell: Tell) -> tuple[Answer, Claim | None]:
    """Claim once. Cancelled or without an answer, the store may have given us the key: it is given back."""
    try:
        answer = await store.begin(ask)
    except BaseException:
        with contextlib.suppress(StoreUnavailable):
            await to_the_end(store.release(ask))
        raise
    return answer, (Held(store, ask, tell) if answer.state == CLAIMED else None)


async def _in_transaction(store: Store, ask: Ask) -> tuple[Answer, Claim | None]:
    """Claim once: what is cancelled rolls back by itself."""
    assert isinstance(store, TransactionalStore)
    return await store.begin_transaction(ask)


def token() -> int:
    """A number nobody else has: 62 random bits."""
    return secrets.randbits(TOKEN_BITS) | 1


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await what must not be left half done: a cancellation is heard when it is over."""
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except BaseException:
            if cancelled is None:
                raise
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen
        raise cancelled
    return task.result()
