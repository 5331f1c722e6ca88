"""How a cache is put together from its parts."""

from collections.abc import Callable
from dataclasses import dataclass

from tenfold.runtime.cache.counts import Counts
from tenfold.runtime.cache.flights import Flights
from tenfold.runtime.cache.guard import GuardedStore
from tenfold.runtime.cache.hot import HotKeys
from tenfold.runtime.cache.loads import Loads
from tenfold.runtime.cache.local import LocalLayer
from tenfold.runtime.cache.many import Many
from tenfold.runtime.cache.outage import Outage
from tenfold.runtime.cache.payload import BytesPayloads, ObjectPayloads
from tenfold.runtime.cache.serializers import MsgspecSerializer, Serializer
from tenfold.runtime.cache.settings import STALE, Limits, Local
from tenfold.runtime.cache.views import Payloads, Views


@dataclass(frozen=True, slots=True)
class Parts:
    """What a cache consists of."""

    store: GuardedStore
    payloads: Payloads
    local: LocalLayer | None
    counts: Counts
    hot: HotKeys
    outage: Outage
    views: Views
    loads: Loads
    flights: Flights
    many: Many


def assemble(
    store: GuardedStore,
    serializer: Serializer | None,
    local: Local | None,
    limits: Limits,
    clock_ns: Callable[[], int],
    draw: Callable[[], float],
) -> Parts:
    """The parts, each with what it needs."""
    counts, hot = Counts(), HotKeys()
    layer = LocalLayer(local, clock_ns, hot, keeps_old=limits.on_store_down == STALE) if local else None
    payloads = BytesPayloads(serializer or MsgspecSerializer()) if store.holds_bytes else ObjectPayloads()
    outage = Outage(store, layer, limits, draw)
    views = Views(store, payloads, layer, counts, draw, outage.owed)
    loads = Loads(store, payloads, layer, outage, counts, limits, draw)
    flights = Flights(store, views, loads, outage, layer, counts, limits.soft_timeout_ns)
    return Parts(store, payloads, layer, counts, hot, outage, views, loads, flights, Many(flights, views))
