"""How connections are made: from a URL, or with the settings of a client somebody has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenfold.errors import UsageError

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection
    from redis.connection import AbstractConnection as BlockingConnection

_NOT_OURS = ("maint_", "maintenance_", "oss_cluster_", "orig_", "himport_", "event_dispatcher")
"""Settings by which a pool of redis-py reaches into its connections: these are not in its pool."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where connections come from; its repr and `place` carry no password."""

    place: str
    make: Callable[[], "AbstractConnection"]
    make_blocking: Callable[[int], "BlockingConnection"]
    """For threads, with the longest time a server may be silent in ns."""

    def __repr__(self) -> str:
        return f"Origin({self.place!r})"


def origin(url_or_client: "str | Redis") -> Origin:
    """What makes connections.

    Args:
        url_or_client: a URL (redis://, rediss://, unix://), or a client of redis.asyncio, whose settings are copied:
            its own connections are neither used nor closed.

    Raises:
        UsageError: when it is neither.
    """
    from redis.asyncio import ConnectionPool

    pool: Any
    if isinstance(url_or_client, str):
        try:
            pool = ConnectionPool.from_url(url_or_client)
        except (ValueError, TypeError):  # its text may hold the URL, and that the password
            raise UsageError(
                "the URL of the Redis store cannot be read", "write redis://host:6379/0, rediss://... or unix://path"
            ) from None
    else:
        pool = getattr(url_or_client, "connection_pool", None)
        if not hasattr(pool, "connection_class"):
            raise UsageError(
                f"{type(url_or_client).__name__} is no client of redis.asyncio", "give a URL or a redis.asyncio.Redis"
            )
    connection_class, settings = pool.connection_class, _ours(pool.connection_kwargs)
    return Origin(
        _place(settings),
        lambda: connection_class(**settings, **_own()),
        lambda limit_ns: _blocking(connection_class, settings, limit_ns),
    )


def _blocking(connection_class: type, settings: dict[str, Any], limit_ns: int) -> "BlockingConnection":
    """The same connection for threads: redis-py names its classes alike."""
    import redis.connection
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    limits = {"socket_timeout": limit_ns / 1e9, "socket_connect_timeout": limit_ns / 1e9}
    own = {**_own(), **limits, "retry": Retry(NoBackoff(), 0)}
    made: BlockingConnection = getattr(redis.connection, connection_class.__name__)(**settings, **own)
    return made


def _ours(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that say where the server is and who we are."""
    replaced = _own()
    return {name: value for name, value in settings.items() if name not in replaced and not name.startswith(_NOT_OURS)}


def _own() -> dict[str, Any]:
    """What the store needs to be so: one protocol, and no limits or second tries but its own."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return {
        "protocol": 2,
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "retry_on_error": [],
        "health_check_interval": 0,
    }


def _place(settings: dict[str, Any]) -> str:
    """The server's name."""
    if "path" in settings:
        return str(settings["path"])
    return f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}/{settings.get('db') or 0}"
