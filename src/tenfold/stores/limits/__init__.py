"""Where rate limits are counted: one module per backend."""

LIMIT_STORES = {
    "memory": "tenfold.stores.limits.memory:MemoryLimits",
    "redis": "tenfold.stores.limits.redis:RedisLimits",
}
"""Backends by name, as import strings: a driver is imported by who uses it."""
