"""What limiters have in common, whatever they wait by: settings, what is decided here, and what is asked of the store.

A hit that this process cannot decide is a walk: a generator that yields what it needs from outside, a question to the
store or a wait for somebody who asks already, and ends with the decision. Coroutines and threads each carry it out in
their own way.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias

from tenfold.errors import UsageError
from tenfold.policies.call import circuit_breaker
from tenfold.runtime.ratelimit.decision import LEASE, LOCAL, STORE, Decision
from tenfold.runtime.ratelimit.guard import Guard
from tenfold.runtime.ratelimit.keys import checked
from tenfold.runtime.ratelimit.leases import Leases
from tenfold.runtime.ratelimit.limits import Limit, limit
from tenfold.runtime.ratelimit.meters import meters
from tenfold.runtime.ratelimit.settings import Settings
from tenfold.runtime.ratelimit.store import HIT, PEEK, REFUND, Ask, LimitStore, LocalTally
from tenfold.settings import configured
from tenfold.units import quoted

Question: TypeAlias = tuple[str, list[Ask]]
Walk: TypeAlias = Generator[Any, list[Decision] | None, list[Decision]]
"""Yields questions, which are answered by decisions or, when the store is down, None; and events, to be waited for."""


class Core:
    """A limiter without a way to wait. Arguments as for `Limiter`; `make_event` is asyncio.Event or threading.Event."""

    def __init__(
        self,
        store: LimitStore,
        limits: Sequence[str | Limit],
        algorithm: str,
        name: str,
        breaker: Any,
        clock_ns: Callable[[], int],
        make_event: Callable[[], Any],
        settings: dict[str, Any],
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
        self._leases = Leases(size_max, given.lease_for_ns, clock_ns, make_event) if is_leasing else None
        self._here: Callable[[str, int], Decision | None] = _not_here
        if self._local is not None:
            self._here = self._local.hit
        elif self._leases is not None:
            self._here = self._leases.take

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(each.name for each in self.limits)}, name={self.name!r})"

    @property
    def is_store_down(self) -> bool:
        """Whether the store is left alone for the time being."""
        return self._guard.is_open

    @property
    def last_error(self) -> Exception | None:
        """The store's last trouble."""
        return self._guard.last_error

    def _hit(self, key: str, cost: int) -> Walk:
        """The store's decision on one hit."""
        key = checked(key, cost)
        if self._leases is None:
            return self._asked(HIT, [(key, cost, 0)])
        return self._leased(self._leases, key, cost)

    def _leased(self, leases: Leases, key: str, cost: int) -> Walk:
        """One at a time asks for a key: what it gets may be enough for those who came meanwhile."""
        while (other := leases.fills(key)) is not None:
            yield other
            decision = leases.take(key, cost)
            if decision is not None:
                return [decision]
        try:
            return (yield from self._filled(leases, key, cost))
        finally:
            leases.filled(key)

    def _filled(self, leases: Leases, key: str, cost: int) -> Walk:
        """Ask the store for more than the hit needs; when that is too much, for what is there."""
        wanted = min(leases.wanted(key, cost), max(cost, self._capacity))
        while True:
            asked_ns = leases.clock_ns()
            answers = yield HIT, [(key, wanted, 0)]
            if answers is None:
                return self._guard.instead(HIT, [(key, cost, 0)])
            if answers[0].allowed:
                return [leases.granted(answers[0], cost, asked_ns)]
            if wanted == cost:
                leases.denied(answers[0], asked_ns)
                return answers
            wanted = max(cost, min(wanted // 2, answers[0].remaining))

    def _hit_many(self, hits: Sequence[tuple[str, int]]) -> Walk:
        """Decisions on many hits."""
        asks = [(checked(key, cost), cost, 0) for key, cost in hits]
        if self._local is not None:
            return [self._local.hit(key, cost) for key, cost, _ in asks]
        return (yield from self._asked(HIT, asks)) if asks else []

    def _peek(self, key: str, cost: int) -> Walk:
        """How a key stands."""
        key = checked(key, cost)
        if self._local is not None:
            return [self._local.peek(key, cost)]
        return (yield from self._asked(PEEK, [(key, cost, 0)]))

    def _asked(self, verb: str, asks: list[Ask]) -> Walk:
        """The store's decisions, or those instead of them."""
        answers = yield verb, asks
        return self._guard.instead(verb, asks) if answers is None else answers

    def _refund(self, decision: Decision) -> Walk:
        """Take a hit back, here or in the store."""
        if not decision.allowed or decision.is_refunded:
            return []
        decision.refunded()
        if self._local is not None:
            self._local.refund(decision.key, decision.cost, decision.at_ns)
        elif decision.by == LEASE and self._leases is not None:
            self._leases.take_back(decision)
        elif decision.by == LOCAL:
            self._guard.take_back(decision)
        elif decision.by == STORE:
            yield REFUND, [(decision.key, decision.cost, decision.at_ns)]
        return []

    def _close(self) -> Walk:
        """Give leased units back to the store."""
        held = self._leases.drained() if self._leases is not None else []
        if held:
            yield REFUND, held
        return []


def _not_here(key: str, cost: int) -> None:
    """Every hit is the store's to decide."""


def _distinct(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """The limits, when they can be told apart."""
    if not limits:
        raise UsageError("a limiter without a limit", 'give one, such as "100/min"')
    for names in ([each.name for each in limits], [each.mark for each in limits]):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"two limits are {quoted(twice)}", "leave one out, or name them apart")
    return limits
