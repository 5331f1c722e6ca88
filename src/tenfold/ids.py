"""Unique 64-bit ids that sort by time, on worker numbers leased from a store.

    from tenfold import ids

    with ids.generator("sqlite:workers.db") as orders:
        order_id = orders.next()

`generator` puts the parts together; the rest is for those who need another layout, another store or another form.
The guide: docs/guides/ids.md.
"""

from typing import Any

from tenfold.errors import UsageError
from tenfold.runtime.ids.clocks import REAL, Clocks
from tenfold.runtime.ids.generator import Config, IdGenerator
from tenfold.runtime.ids.layout import DEFAULT, EPOCH_MS, ID_MAX, Fields, Layout
from tenfold.runtime.ids.leases import Ask, Lease, LeaseLost, LeaseStore, LeaseStoreUnavailable
from tenfold.runtime.ids.refusals import ClockMovedBackwards, IdRefused, LeaseEnded, NoWorkerLeft
from tenfold.runtime.ids.text import (
    from_base62,
    from_decimal,
    from_json,
    from_text,
    to_base62,
    to_json,
)
from tenfold.runtime.ids.workers import FixedWorker, Grant, LeaseConfig, LeasedWorker, holder
from tenfold.settings import configured
from tenfold.units import MS

__all__ = [
    "EPOCH_MS",
    "ID_MAX",
    "Ask",
    "ClockMovedBackwards",
    "Clocks",
    "Config",
    "Fields",
    "Grant",
    "IdGenerator",
    "IdRefused",
    "Layout",
    "Lease",
    "LeaseConfig",
    "LeaseEnded",
    "LeaseLost",
    "LeaseStore",
    "LeaseStoreUnavailable",
    "NoWorkerLeft",
    "decode",
    "from_base62",
    "from_decimal",
    "from_json",
    "from_text",
    "generator",
    "lease_store",
    "to_base62",
    "to_json",
]


def generator(
    leases: str | LeaseStore | None = None,
    *,
    name: str = "ids",
    worker: int | None = None,
    datacenter: int | None = None,
    layout: Layout = DEFAULT,
    lease: Any = True,
    clocks: Clocks = REAL,
    **settings: Any,
) -> IdGenerator:
    """A generator of ids.

    Args:
        leases: where workers are leased: a URL (see `lease_store`) or a store. None: `worker` is yours alone, you say.
        name: what the ids are for. Generators of one name never share a worker; ids of two names may be equal.
        worker: this worker only; needed without `leases`.
        datacenter: workers of this datacenter only. Default: any when leasing, else 0.
        layout: widths and epoch. Never change it for ids that are stored.
        lease: `{"ttl": "30 s", "margin": "3 s"}` or a LeaseConfig.
        clocks: other clocks, for tests.
        settings: `drift="10 ms"`, `on_clock_back="raise"` or `"wait"`.

    Raises:
        UsageError: a number does not fit its bits, a setting is unknown, no such store, or neither leases nor worker.
    """
    config: Config = configured(Config, settings, "ids")
    if leases is None:
        if worker is None:
            raise UsageError("neither leases nor a worker", 'give leases="sqlite:workers.db", or worker=0 to 31')
        node = layout.node(datacenter or 0, worker)
        return IdGenerator(FixedWorker(node, f"worker {worker}"), layout, config, clocks)
    terms: LeaseConfig = configured(LeaseConfig, lease, "lease")
    if terms.margin_ns >= terms.ttl_ns:
        raise UsageError("the lease's margin is as long as the lease", "make the margin a tenth of the lease")
    store = lease_store(leases) if isinstance(leases, str) else leases
    first, count = _nodes(layout, datacenter, worker)
    ask = Ask(name, first, count, terms.ttl_ns // MS, holder())
    return IdGenerator(LeasedWorker(store, ask, terms, clocks, is_kept=clocks is REAL), layout, config, clocks)


def _nodes(layout: Layout, datacenter: int | None, worker: int | None) -> tuple[int, int]:
    """The first node that would do, and how many from there on."""
    if worker is not None:
        return layout.node(datacenter or 0, worker), 1
    if datacenter is not None:
        return layout.node(datacenter, 0), 1 << layout.worker_bits
    return 0, layout.node_count


def lease_store(url: str, timeout_ns: int | None = None) -> LeaseStore:
    """The lease store of a URL: `memory:`, `sqlite:PATH`, `postgresql://...`, `redis://...`.

    Args:
        url: where.
        timeout_ns: after that an operation gives up; default 2 s.

    Raises:
        UsageError: no such store, or its driver is not installed.
    """
    from tenfold.stores.leases import TIMEOUT_NS, open_lease_store

    return open_lease_store(url, timeout_ns or TIMEOUT_NS)


def decode(id_: int, layout: Layout = DEFAULT) -> Fields:
    """What an id says: time (UTC), datacenter, worker, sequence.

    Raises:
        UsageError: it is no id of this layout.
    """
    return layout.decode(id_)
