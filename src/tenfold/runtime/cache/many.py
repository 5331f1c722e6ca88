"""Many keys at once: one round trip to look, and, with a bulk loader, one call to load what is missing."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from tenfold.policies.cache.freshness import LOAD
from tenfold.runtime.cache.absent import ABSENT
from tenfold.runtime.cache.flight import Flight
from tenfold.runtime.cache.flights import PENDING, Flights
from tenfold.runtime.cache.store import StoreUnavailable
from tenfold.runtime.cache.views import Ask, BulkLoader, Loader, View, Views


async def together(works: Iterable[Awaitable[Any]]) -> list[Any]:
    """Wait for all of them, then raise the first error, if any: none is left running."""
    ended = await asyncio.gather(*works, return_exceptions=True)
    for answer in ended:
        if isinstance(answer, BaseException):
            raise answer
    return ended


def one_by_one(loader: BulkLoader) -> Loader:
    """A bulk loader for a single key."""

    async def load(key: str) -> Any:
        return (await loader([key])).get(key, ABSENT)

    return load


class Many:
    """Looks for many keys.

    Args:
        flights, views: as for one key.
    """

    def __init__(self, flights: Flights, views: Views) -> None:
        self._flights = flights
        self._views = views

    async def get(self, asks: Sequence[Ask], loader: BulkLoader | None) -> dict[str, Any]:
        """The values of different keys with the same tags.

        Args:
            asks: what is wanted, each with the loader for its key alone.
            loader: loads many; None: each is loaded by its own.
        """
        found: dict[str, Any] = {}
        joined: dict[str, Flight] = {}
        flights = []
        for ask in asks:
            flight = self._flights.joinable(ask.key)
            if flight is None:
                flights.append(self._flights.take_off(ask))
            elif (old := self._flights.board(flight)) is PENDING:
                joined[ask.key] = flight
            else:
                found[ask.key] = old
        missing: list[tuple[Flight, View]] = []
        for flight, view in await self._look(flights):
            if loader is not None and isinstance(view, View) and view.answer == LOAD:
                missing.append((flight, view))
                continue
            value = self._first_look(flight, view)
            if value is PENDING:
                joined[flight.ask.key] = flight
            else:
                found[flight.ask.key] = value
        if missing and loader is not None:
            self._flights.lead_many(missing, loader)
            joined |= {flight.ask.key: flight for flight, _ in missing}
        await self._wait(joined, found)
        return found

    async def _look(self, flights: list[Flight]) -> list[tuple[Flight, View | StoreUnavailable]]:
        """The first look at all of them; whatever ends it early, no flight is left without one."""
        if not flights:
            return []
        asks = [flight.ask for flight in flights]
        try:
            return list(zip(flights, await self._views.read_many(asks, asks[0].tags), strict=True))
        except StoreUnavailable as error:
            return [(flight, error) for flight in flights]
        except BaseException as error:
            for flight in flights:
                self._flights.leave_unread(flight, error)
            raise

    def _first_look(self, flight: Flight, view: View | StoreUnavailable) -> Any:
        if isinstance(view, View):
            return self._flights.first_look(flight, view)
        return self._flights.without_store(flight, view)

    async def _wait(self, flights: dict[str, Flight], found: dict[str, Any]) -> None:
        """Wait for every flight; a caller that ends early, by an error or cancelled, leaves them all."""
        waiters = {key: flight.enter() for key, flight in flights.items()}
        try:
            for key, waiter in waiters.items():
                found[key] = await waiter
        finally:
            for key, waiter in waiters.items():
                flights[key].leave(waiter)
                if not waiter.done() or waiter.cancelled():
                    self._flights.left(flights[key])
