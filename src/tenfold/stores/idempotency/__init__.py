"""Where idempotency keys and their answers are kept: one module per backend, held to one contract."""

IDEMPOTENCY_STORES = {
    "memory": "tenfold.stores.idempotency.memory:MemoryStore",
    "sqlite": "tenfold.stores.idempotency.sqlite:SQLiteStore",
    "postgres": "tenfold.stores.idempotency.postgres:PostgresStore",
    "redis": "tenfold.stores.idempotency.redis:RedisStore",
}
"""Stores by name, as import strings: a driver is imported by who uses it."""
