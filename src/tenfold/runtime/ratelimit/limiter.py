"""The limiter for coroutines: limits, a store, and what to do while that is down."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from tenfold.runtime.ratelimit.core import Core, Walk
from tenfold.runtime.ratelimit.decision import Decision
from tenfold.runtime.ratelimit.guard import BREAKER
from tenfold.runtime.ratelimit.limits import Limit
from tenfold.runtime.ratelimit.store import LimitStore


class Limiter(Core):
    """Decides whether a hit may pass, for coroutines.

        limiter = Limiter(MemoryLimits(), "100/min", "10/s burst 20")
        decision = await limiter.hit("user:7")
        if not decision.allowed:
            ...  # come back after decision.retry_after_ns

    A hit is counted by all limits or by none. Nothing on the store's account is raised. A limiter over a store with
    connections belongs to one event loop.

    Args:
        store: where hits are counted. It is not closed by the limiter.
        limits: texts (see `limit`) or Limits.
        algorithm: of the limits given as texts: gcra, token_bucket, sliding or log.
        name: limiters of one name with equal limits share what they count.
        breaker: settings of the circuit breaker in front of the store: a mapping, or its Config.
        clock_ns: monotonic time of this process, for breaker, leases and local share; hits go by the store's time.
        settings: `on_store_down="local"` ("open", "closed"), `share="25%"`, `leased=50`, `lease_for="1 s"`.

    Raises:
        UsageError: a limit or a setting cannot be read, or there is none.
    """

    def __init__(
        self,
        store: LimitStore,
        *limits: str | Limit,
        algorithm: str = "gcra",
        name: str = "default",
        breaker: Any = BREAKER,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        **settings: Any,
    ) -> None:
        super().__init__(store, limits, algorithm, name, breaker, clock_ns, asyncio.Event, settings)

    async def hit(self, key: str, cost: int = 1) -> Decision:
        """Count a hit, if all limits have room for it.

        Args:
            key: who hits.
            cost: units, 1 or more.

        Raises:
            UsageError: the cost is less than 1.
        """
        return self._here(key, cost) or (await self._carried_out(self._hit(key, cost)))[0]

    async def hit_many(self, hits: Sequence[tuple[str, int]]) -> list[Decision]:
        """Count many hits in one round trip, each by itself, in their order. Leases are left aside.

        Args:
            hits: keys and costs.
        """
        return await self._carried_out(self._hit_many(hits))

    async def peek(self, key: str, cost: int = 1) -> Decision:
        """Whether a hit would be allowed, and how the key stands; nothing is counted."""
        return (await self._carried_out(self._peek(key, cost)))[0]

    async def refund(self, decision: Decision) -> None:
        """Take back a hit that was allowed and then did not happen. A second time, or for a refusal: nothing.

        What came back by itself since is not given twice. While the store is down the hit stays counted.
        """
        await self._carried_out(self._refund(decision))

    async def close(self) -> None:
        """Give leased units back to the store."""
        await self._carried_out(self._close())

    async def __aenter__(self) -> "Limiter":
        return self

    async def __aexit__(self, *trouble: object) -> None:
        await self.close()

    async def _carried_out(self, walk: Walk) -> list[Decision]:
        """Ask and wait as a walk says."""
        try:
            effect = next(walk)
            while True:
                if isinstance(effect, tuple):
                    effect = walk.send(await self._guard.attempt(*effect))
                else:
                    await effect.wait()
                    effect = next(walk)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            walk.close()
