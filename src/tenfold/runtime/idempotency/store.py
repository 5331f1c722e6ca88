"""What idempotency asks of a store: a claim on a key, and the answer that is kept under it.

A key is in one of four states:

    absent  -> running   begin: one caller of any number; it holds a token and a lease
    running -> running   extend, by the token
    running -> done      complete, by the token: the answer is kept
    running -> absent    release, by the token: nothing has happened, or it was undone
    running -> unknown   the lease is over and nobody said what became of it: the effect may have happened
    unknown -> done      complete, by the token: late, but now it is known
    unknown -> running   begin by who accepts that it may run twice
    any     -> absent    after the time to keep it

The token fences (Kleppmann, "How to do distributed locking", 2016): who lost the key to another changes nothing more.
Time is the store's: leases of all processes are measured by one clock.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from tenfold.runtime.cache.store import StoreUnavailable

__all__ = ["CLAIMED", "DONE", "MISMATCH", "RUNNING", "UNKNOWN", "Answer", "Ask", "Store", "StoreUnavailable"]

CLAIMED = "claimed"
"""The key is the asker's: run."""
RUNNING = "running"
"""Somebody else's, at work."""
DONE = "done"
"""The answer is there."""
MISMATCH = "mismatch"
"""The key stands for another request."""
UNKNOWN = "unknown"
"""Somebody had it and was not heard of again."""


class Ask(NamedTuple):
    """A claim somebody wants, or has."""

    key: str
    fingerprint: bytes  # of the request the key stands for
    token: int  # the asker's own: 1 .. 2**62
    lease_ns: int  # how long it holds without being extended
    keep_ns: int  # how long the key is remembered, from its claim or the last extension
    runs_unknown: bool = False  # claim a key whose outcome is unknown


class Answer(NamedTuple):
    """What became of a key."""

    state: str
    response: bytes = b""  # of DONE


class Store(Protocol):
    """Keys and answers. Every method may raise StoreUnavailable; none raises anything else on the server's account.

    It connects when it is first used. An operation whose caller was cancelled is over, in the server too, before a
    later one on the same key begins.
    """

    async def begin(self, ask: Ask) -> Answer:
        """Claim the key, atomically, unless somebody has it."""

    async def extend(self, ask: Ask) -> bool:
        """Lengthen the lease to `lease_ns` from now; False: the key is not the token's any more."""

    async def complete(self, ask: Ask, response: bytes) -> bool:
        """Keep the answer as long as the key; False: the key is not the token's any more, nothing was changed."""

    async def release(self, ask: Ask) -> None:
        """Forget the key, if it is the token's and not done."""

    async def sweep(self, limit: int) -> int:
        """Delete up to `limit` keys whose time is over; how many. It looks at these only."""

    async def close(self) -> None:
        """Give back every connection and thread. Using the store again opens it again."""


class Claim(Protocol):
    """A key that is held, until it is completed or released: by a lease, or by a transaction."""

    connection: Any
    """The transaction's connection, for the work that belongs to it; None with a lease."""

    async def complete(self, response: bytes) -> bool:
        """Keep the answer, and with a transaction the work; False: the key was lost to another."""

    async def release(self) -> None:
        """Give the key back; with a transaction the work is undone."""


@runtime_checkable
class TransactionalStore(Store, Protocol):
    """A store whose claim, the work done on its connection, and the answer commit together or not at all."""

    async def begin_transaction(self, ask: Ask) -> tuple[Answer, "Claim | None"]:
        """Claim the key in a transaction; with CLAIMED, the claim."""
