"""Where leases of worker ids are kept: one module per backend, found by the scheme of a URL.

A member has `open_store(url, timeout_ns)`, which returns a `tenfold.runtime.ids.leases.LeaseStore`. It opens nothing
yet: every operation has a connection of its own. There is one every ten seconds per process, so that costs little;
nothing idles on the server, nothing is shared with a forked child, and nothing has to be revived after an outage.
"""

import difflib
from importlib import import_module

from tenfold.errors import UsageError
from tenfold.runtime.ids.leases import LeaseStore
from tenfold.units import S

LEASE_STORES = {
    "memory": "tenfold.stores.leases.memory",
    "sqlite": "tenfold.stores.leases.sqlite",
    "postgresql": "tenfold.stores.leases.postgres",
    "postgres": "tenfold.stores.leases.postgres",
    "redis": "tenfold.stores.leases.redis",
    "rediss": "tenfold.stores.leases.redis",
    "unix": "tenfold.stores.leases.redis",
}
"""Scheme of the URL -> module."""

TIMEOUT_NS = 2 * S
"""How long a store may take to answer. A lease of 30 s is renewed after 10 s: there is time for several attempts."""


def open_lease_store(url: str, timeout_ns: int = TIMEOUT_NS) -> LeaseStore:
    """The lease store of a URL.

    Args:
        url: `memory:`, `sqlite:PATH`, `postgresql://...`, `redis://...`, `rediss://...` or `unix://...` (Redis).
        timeout_ns: after that an operation raises LeaseStoreUnavailable.

    Raises:
        UsageError: no such kind of store, or its driver is not installed.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in LEASE_STORES:
        near = difflib.get_close_matches(scheme, LEASE_STORES, n=1)
        known = ", ".join(f"{each}:" for each in LEASE_STORES)
        raise UsageError(
            f"there is no lease store {scheme!r}", f"did you mean {near[0]}:?" if near else f"there are {known}"
        )
    store: LeaseStore = import_module(LEASE_STORES[scheme]).open_store(url, timeout_ns)
    return store
