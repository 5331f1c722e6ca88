"""Where cached values and leases really live: one module or folder per backend."""

STORES = {
    "memory": "tenfold.stores.memory:MemoryStore",
    "redis": "tenfold.stores.redis:RedisStore",
}
"""Backends of the cache by name, as import strings: a driver is imported by who uses it."""
