"""What a cache raises of its own. An error of a loader reaches the callers as it is."""

from tenfold.errors import CallRejected, TenfoldError


class CacheUnavailable(TenfoldError):
    """The store is down, and the cache was told to fail then, or has too many invalidations to remember."""


class CacheClosed(TenfoldError):
    """The cache was closed before there was an answer."""


class LoadCancelled(TenfoldError):
    """The loader was cancelled by somebody else than its callers."""


class LoadBackedOff(CallRejected):
    """The last load of the key failed, it is too early for another, and there is nothing old to serve.

    Its cause is the loader's last error, when that happened in this process.
    """

    def __init__(self, key: str, retry_after_ns: int) -> None:
        super().__init__("cache", f"the last load of {key!r} failed", retry_after_ns)
        self.key = key
