"""Redis as the store of a cache: compare-and-swap, announcements, and the server's time."""

from tenfold.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
