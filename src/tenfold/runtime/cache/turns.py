"""Turns: at most so many loads at once, first come, first served. The bulkhead policy decides; this keeps the waiters.

Not a `Pipeline`: a load is for everybody who waits, so no single caller's deadline or mark may bind it.
"""

import asyncio
from collections import deque
from types import TracebackType

from tenfold.policies.call import bulkhead
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import IGNORED, PROCEED, WAKE

QUEUE = 10**9  # as many as there are flights may wait
_CALL = Call()  # a bulkhead looks at no call


class _Waiter:
    __slots__ = ("is_granted", "woken")

    def __init__(self) -> None:
        self.woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_granted = False  # a turn was handed to it, even if it has been cancelled since


class Turns:
    """`async with turns: ...`

    Args:
        limit: how many at once.
    """

    def __init__(self, limit: int) -> None:
        self._config = bulkhead.Config(limit, QUEUE)
        self._state = bulkhead.State()
        self._waiters: deque[_Waiter] = deque()

    @property
    def in_flight(self) -> int:
        """How many are at it."""
        return self._state.in_flight_count

    async def __aenter__(self) -> None:
        if bulkhead.acquire(self._config, self._state, _CALL, 0, 0.0)[0] == PROCEED:
            return
        waiter = _Waiter()
        self._waiters.append(waiter)
        try:
            await waiter.woken
        except BaseException:
            if waiter.is_granted:
                self._give_back()
            else:
                self._waiters.remove(waiter)
                bulkhead.leave(self._config, self._state, _CALL, 0)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    def _give_back(self) -> None:
        """The turn goes to the first who waits, or back."""
        if bulkhead.record(self._config, self._state, _CALL, 0, IGNORED, 0.0)[0] == WAKE:
            waiter = self._waiters.popleft()
            waiter.is_granted = True
            if not waiter.woken.done():
                waiter.woken.set_result(None)
