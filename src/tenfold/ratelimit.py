"""Rate limits: `from tenfold.ratelimit import Limiter, MemoryLimits, RedisLimits, RateLimitMiddleware`.

    limiter = Limiter(MemoryLimits(), "100/min", "10/s burst 20")
    decision = await limiter.hit("user:7")

A store is imported when it is asked for: who counts in memory does not pay for Redis. The guide is
docs/guides/rate-limiting.md.
"""

from typing import TYPE_CHECKING

from tenfold.runtime.ratelimit.asgi import RateLimitMiddleware
from tenfold.runtime.ratelimit.client_address import by_address
from tenfold.runtime.ratelimit.decision import Decision, Standing
from tenfold.runtime.ratelimit.headers import fields
from tenfold.runtime.ratelimit.limiter import Limiter
from tenfold.runtime.ratelimit.limits import Limit, limit
from tenfold.runtime.ratelimit.store import LimitStore, StoreUnavailable
from tenfold.runtime.ratelimit.threads import ThreadLimiter

if TYPE_CHECKING:
    from tenfold.stores.limits.memory import MemoryLimits
    from tenfold.stores.limits.redis import RedisLimits

__all__ = [
    "Decision",
    "Limit",
    "LimitStore",
    "Limiter",
    "MemoryLimits",
    "RateLimitMiddleware",
    "RedisLimits",
    "Standing",
    "StoreUnavailable",
    "ThreadLimiter",
    "by_address",
    "fields",
    "limit",
]

_STORES = {"MemoryLimits": "memory", "RedisLimits": "redis"}


def __getattr__(name: str) -> object:
    """A store, when it is asked for (PEP 562)."""
    if name not in _STORES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from tenfold.stores.limits import LIMIT_STORES

    module, _, attribute = LIMIT_STORES[_STORES[name]].partition(":")
    found = globals()[name] = getattr(import_module(module), attribute)
    return found
