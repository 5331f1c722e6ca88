"""A request that is sent twice takes effect once.

    from tenfold.idempotency import IdempotencyMiddleware, SQLiteStore, by_header

    app = IdempotencyMiddleware(app, SQLiteStore("keys.db"), scope=by_header("authorization"))

The guide: docs/guides/idempotency.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tenfold.runtime.idempotency.exchange import CONNECTION, NotCommitted
from tenfold.runtime.idempotency.functions import idempotent
from tenfold.runtime.idempotency.middleware import IdempotencyMiddleware, by_header, everyone
from tenfold.runtime.idempotency.store import Answer, Ask, Store, StoreUnavailable, TransactionalStore

if TYPE_CHECKING:
    from tenfold.stores.idempotency.memory import MemoryStore
    from tenfold.stores.idempotency.postgres import PostgresStore
    from tenfold.stores.idempotency.redis import RedisStore
    from tenfold.stores.idempotency.sqlite import SQLiteStore

__all__ = [
    "Answer",
    "Ask",
    "IdempotencyMiddleware",
    "MemoryStore",
    "NotCommitted",
    "PostgresStore",
    "RedisStore",
    "SQLiteStore",
    "Store",
    "StoreUnavailable",
    "TransactionalStore",
    "by_header",
    "connection",
    "everyone",
    "idempotent",
]

_STORES = {"MemoryStore": "memory", "PostgresStore": "postgres", "RedisStore": "redis", "SQLiteStore": "sqlite"}


def connection() -> Any:
    """The connection of the transaction that holds the current request's key.

    Work on it commits together with the answer. It is a `sqlite3.Connection` or a `psycopg.AsyncConnection`; begin no
    transaction on it, and commit none (savepoints are fine).

    Raises:
        LookupError: there is none: no `transaction=True`, or no key came with the request.
    """
    found = CONNECTION.get()
    if found is None:
        raise LookupError(
            "no transaction holds a key here: use transaction=True, and required=True if all must have one"
        )
    return found


def __getattr__(name: str) -> object:
    """Import a store when it is asked for."""
    if name not in _STORES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tenfold.stores.idempotency.{_STORES[name]}"), name)
