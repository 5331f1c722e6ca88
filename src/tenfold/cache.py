"""The cache for services: `from tenfold.cache import Cache, MemoryStore, RedisStore`.

A store is imported when it is asked for: who keeps values in memory does not pay for Redis.
"""

from typing import TYPE_CHECKING

from tenfold.policies.cache.freshness import Config
from tenfold.runtime.cache.absent import ABSENT
from tenfold.runtime.cache.cache import Cache
from tenfold.runtime.cache.counts import Counts
from tenfold.runtime.cache.errors import CacheClosed, CacheUnavailable, LoadBackedOff, LoadCancelled
from tenfold.runtime.cache.hot import HotKey
from tenfold.runtime.cache.serializers import JsonSerializer, MsgspecSerializer, PickleSerializer, Serializer
from tenfold.runtime.cache.settings import Local
from tenfold.runtime.cache.store import Record, Store, StoreUnavailable
from tenfold.runtime.cache.warm import WarmUp

if TYPE_CHECKING:
    from tenfold.stores.memory import MemoryStore
    from tenfold.stores.redis import RedisStore

__all__ = [
    "ABSENT",
    "Cache",
    "CacheClosed",
    "CacheUnavailable",
    "Config",
    "Counts",
    "HotKey",
    "JsonSerializer",
    "LoadBackedOff",
    "LoadCancelled",
    "Local",
    "MemoryStore",
    "MsgspecSerializer",
    "PickleSerializer",
    "Record",
    "RedisStore",
    "Serializer",
    "Store",
    "StoreUnavailable",
    "WarmUp",
]

_STORES = {"MemoryStore": "memory", "RedisStore": "redis"}


def __getattr__(name: str) -> object:
    """A store, when it is asked for (PEP 562)."""
    if name not in _STORES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from tenfold.stores import STORES

    module, _, attribute = STORES[_STORES[name]].partition(":")
    found = globals()[name] = getattr(import_module(module), attribute)
    return found
