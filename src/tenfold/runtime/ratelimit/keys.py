"""Keys as they are counted."""

from hashlib import blake2b

from tenfold.errors import UsageError

KEY_MAX = 100
"""Longer keys are replaced by their hash: a key comes from outside, and a store keeps it."""


def short(key: str) -> str:
    """The key, or its hash."""
    if len(key) <= KEY_MAX:
        return key
    return "#" + blake2b(key.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def checked(key: str, cost: int) -> str:
    """The key, when the cost is one.

    Raises:
        UsageError: the cost is less than 1.
    """
    if cost < 1:
        raise UsageError(f"a hit that costs {cost}", "give a cost of 1 or more; refund takes a hit back")
    return short(key)
