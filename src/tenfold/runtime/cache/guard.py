"""A store as one cache sees it: its own keys only, behind a circuit breaker.

A store that is down is not asked, so that it costs nobody the time to find out.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from tenfold.policies.call import circuit_breaker
from tenfold.policies.call.circuit_breaker import CLOSED
from tenfold.policies.verbs import FAILURE, IGNORED, PROCEED, SUCCESS
from tenfold.runtime.cache.store import Record, Store, StoreUnavailable

T = TypeVar("T")


class _Ticket:
    """The one field of a call that the breaker looks at."""

    __slots__ = ("ticket_generation",)


class GuardedStore:
    """A store as the cache asks it: the same methods, refused while the breaker is open.

    Args:
        store: the real one.
        config: of the breaker.
        clock_ns: monotonic time in ns.
        name: in front of every key.
    """

    def __init__(
        self, store: Store, config: circuit_breaker.Config, clock_ns: Callable[[], int], name: str = ""
    ) -> None:
        self.store = store
        self.name = name
        self.holds_bytes = store.holds_bytes
        self.now_ns = store.now_ns
        self._config = config
        self._state = circuit_breaker.State()
        self._clock_ns = clock_ns

    @property
    def is_open(self) -> bool:
        """Whether the store is thought to be down."""
        return self._state.phase != CLOSED

    async def open(self) -> None:
        """As the store's."""
        await self._asked(self.store.open)

    async def close(self) -> None:
        """As the store's, unguarded: it has something to give back also when it is down."""
        await self.store.close()

    async def get(self, key: str) -> Record | None:
        """As the store's."""
        return await self._asked(self.store.get, self.name + key)

    async def get_many(self, keys: Sequence[str]) -> list[Record | None]:
        """As the store's."""
        return await self._asked(self.store.get_many, self._named(keys))

    async def swap(
        self, key: str, expected: Any, record: Record, keep_ns: int, *, keeps_payload: bool = False
    ) -> tuple[bool, Record | None]:
        """As the store's."""
        return await self._asked(self._swap, self.name + key, expected, record, keep_ns, keeps_payload)

    async def _swap(
        self, key: str, expected: Any, record: Record, keep_ns: int, keeps_payload: bool
    ) -> tuple[bool, Record | None]:
        return await self.store.swap(key, expected, record, keep_ns, keeps_payload=keeps_payload)

    async def put(self, records: Mapping[str, Record], keep_ns: Mapping[str, int]) -> None:
        """As the store's."""
        named = {self.name + key: record for key, record in records.items()}
        await self._asked(self.store.put, named, {self.name + key: kept_ns for key, kept_ns in keep_ns.items()})

    async def announce(self, keys: Sequence[str], *, is_change: bool) -> None:
        """As the store's."""
        await self._asked(self._announce, self._named(keys), is_change)

    async def _announce(self, keys: Sequence[str], is_change: bool) -> None:
        await self.store.announce(keys, is_change=is_change)

    async def listen(
        self, told: Callable[[str, bool], None], lost: Callable[[], None]
    ) -> Callable[[], Awaitable[None]]:
        """As the store's, unguarded: it does not raise when the store is down. Other caches' keys are not passed on."""
        name = self.name
        if not name:
            return await self.store.listen(told, lost)

        def told_ours(key: str, is_change: bool) -> None:
            if key.startswith(name):
                told(key[len(name) :], is_change)

        return await self.store.listen(told_ours, lost)

    def _named(self, keys: Sequence[str]) -> Sequence[str]:
        return [self.name + key for key in keys] if self.name else keys

    async def _asked(self, ask: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Ask the store, if the breaker lets it."""
        ticket: Any = _Ticket()
        answer, wait_ns = circuit_breaker.acquire(self._config, self._state, ticket, self._clock_ns(), 0.0)
        if answer != PROCEED:
            raise StoreUnavailable(f"the store was down and is not asked again for {wait_ns / 1e9:.3f} s")
        outcome = IGNORED
        try:
            found = await ask(*args)
            outcome = SUCCESS
            return found
        except StoreUnavailable:
            outcome = FAILURE
            raise
        finally:
            circuit_breaker.record(self._config, self._state, ticket, self._clock_ns(), outcome, 0.0)
