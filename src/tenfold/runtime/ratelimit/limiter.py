"""The limiter: limits, a store, and what to do while that is down."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from tenfold.errors import UsageError
from tenfold.policies.call import circuit_breaker
from tenfold.runtime.ratelimit.decision import LEASE, LOCAL, STORE, Decision
from tenfold.runtime.ratelimit.guard import BREAKER, Guard
from tenfold.runtime.ratelimit.leases import Leases
from tenfold.runtime.ratelimit.limits import Limit, limit
from tenfold.runtime.ratelimit.meters import meters
from tenfold.runtime.ratelimit.settings import Settings
from tenfold.runtime.ratelimit.store import HIT, PEEK, REFUND, LimitStore, LocalTally
from tenfold.settings import configured
from tenfold.units import quoted

KEY_MAX = 100
"""Longer keys are replaced by their hash: a key comes from outside, and a store keeps it."""


class Limiter:
    """Decides whether a hit may pass, for coroutines.

        limiter = Limiter(MemoryLimits(), "100/min", "10/s burst 20")
        decision = await limiter.hit("user:7")
        if not decision.allowed:
            ...  # come back after decision.retry_after_ns

    A hit is counted by all limits or by none. A limiter over a store with connections belongs to one event loop.

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
        self.limits = _distinct(tuple(limit(each, algorithm) for each in limits))
        self.name = name
        given: Settings = configured(Settings, settings, "limiter")
        config = configured(circuit_breaker.Config, breaker, "breaker")
        counted = meters(self.limits)
        tally = store.tally(name, counted)
        self._local: LocalTally | None = tally if isinstance(tally, LocalTally) else None
        self._guard = Guard(tally, counted, given, config, clock_ns)
        self._capacity = min(each.capacity for each in self.limits)
        size_max = min(given.leased, self._capacity)
        is_leasing = size_max > 1 and self._local is None
        self._leases = Leases(size_max, given.lease_for_ns, clock_ns) if is_leasing else None

    def __repr__(self) -> str:
        return f"Limiter({', '.join(each.name for each in self.limits)}, name={self.name!r})"

    @property
    def is_local(self) -> bool:
        """Whether the store is memory of this process: it answers at once."""
        return self._local is not None

    @property
    def is_store_down(self) -> bool:
        """Whether the store is left alone for the time being."""
        return self._guard.is_open

    @property
    def last_error(self) -> Exception | None:
        """The store's last trouble."""
        return self._guard.last_error

    async def hit(self, key: str, cost: int = 1) -> Decision:
        """Count a hit, if all limits have room for it.

        Args:
            key: who hits.
            cost: units, 1 or more.

        Raises:
            UsageError: the cost is less than 1. Nothing on the store's account is raised.
        """
        return self.hit_here(key, cost) or await self.hit_there(key, cost)

    def hit_here(self, key: str, cost: int) -> Decision | None:
        """The decision when this process can make it by itself; None: see `hit_there`."""
        if cost < 1 or len(key) > KEY_MAX:
            key = _checked(key, cost)
        if self._local is not None:
            return self._local.hit(key, cost)
        return self._leases.take(key, cost) if self._leases is not None else None

    async def hit_there(self, key: str, cost: int) -> Decision:
        """The store's decision."""
        key = _checked(key, cost)
        if self._leases is None:
            return (await self._guard.ask(HIT, [(key, cost, 0)]))[0]
        fills = self._leases.fills
        while key in fills:  # somebody asks already: that may be enough for both
            await asyncio.shield(fills[key])
            decision = self._leases.take(key, cost)
            if decision is not None:
                return decision
        fills[key] = asyncio.get_running_loop().create_future()
        try:
            return await self._filled(self._leases, key, cost)
        finally:
            fills.pop(key).set_result(None)

    async def _filled(self, leases: Leases, key: str, cost: int) -> Decision:
        """Ask the store for more than the hit needs; when that is too much, for what is there."""
        wanted = min(leases.wanted(key, cost), max(cost, self._capacity))
        while True:
            asked_ns = leases.clock_ns()
            answers = await self._guard.attempt(HIT, [(key, wanted, 0)])
            if answers is None:
                return self._guard.instead(HIT, [(key, cost, 0)])[0]
            if answers[0].allowed:
                return leases.granted(answers[0], cost, asked_ns)
            if wanted == cost:
                leases.denied(answers[0], asked_ns)
                return answers[0]
            wanted = max(cost, min(wanted // 2, answers[0].remaining))

    async def hit_many(self, hits: Sequence[tuple[str, int]]) -> list[Decision]:
        """Count many hits in one round trip, each by itself, in their order. Leases are left aside.

        Args:
            hits: keys and costs.
        """
        asks = [(_checked(key, cost), cost, 0) for key, cost in hits]
        if self._local is not None:
            return [self._local.hit(key, cost) for key, cost, _ in asks]
        return await self._guard.ask(HIT, asks) if asks else []

    async def peek(self, key: str, cost: int = 1) -> Decision:
        """Whether a hit would be allowed, and how the key stands; nothing is counted."""
        key = _checked(key, cost)
        if self._local is not None:
            return self._local.peek(key, cost)
        return (await self._guard.ask(PEEK, [(key, cost, 0)]))[0]

    async def refund(self, decision: Decision) -> None:
        """Take back a hit that was allowed and then did not happen. A second time, or for a refusal: nothing.

        What came back by itself since is not given twice. While the store is down the hit stays counted.
        """
        if not self.refund_here(decision):
            await self._guard.attempt(REFUND, [(decision.key, decision.cost, decision.at_ns)])

    def refund_here(self, decision: Decision) -> bool:
        """Take it back in this process; whether nothing is left to tell the store."""
        if not decision.allowed or decision.is_refunded:
            return True
        decision.refunded()
        if self._local is not None:
            self._local.refund(decision.key, decision.cost, decision.at_ns)
        elif decision.by == LEASE and self._leases is not None:
            self._leases.take_back(decision)
        elif decision.by == LOCAL:
            self._guard.take_back(decision)
        return self._local is not None or decision.by != STORE

    async def close(self) -> None:
        """Give leased units back to the store."""
        held = self._leases.drained() if self._leases is not None else []
        if held:
            await self._guard.attempt(REFUND, held)

    async def __aenter__(self) -> "Limiter":
        return self

    async def __aexit__(self, *trouble: object) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self.close()


def _checked(key: str, cost: int) -> str:
    """The key as it is counted.

    Raises:
        UsageError: the cost is less than 1.
    """
    if cost < 1:
        raise UsageError(f"a hit that costs {cost}", "give a cost of 1 or more; refund takes a hit back")
    if len(key) <= KEY_MAX:
        return key
    return "#" + blake2b(key.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _distinct(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """The limits, when they can be told apart."""
    if not limits:
        raise UsageError("a limiter without a limit", 'give one, such as "100/min"')
    for names in ([each.name for each in limits], [each.mark for each in limits]):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"two limits are {quoted(twice)}", "leave one out, or name them apart")
    return limits
