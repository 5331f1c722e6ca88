"""What a generator asks of a store: a worker number of its own for a while, and never twice the same time.

A *node* is datacenter and worker as one number. For every node the store keeps

    epoch        counts its leases; a renewal or release with an older one is refused (fencing)
    holder       whose lease it is: a store that has forgotten everything counts from 1 again, the holder still differs
    expires_ms   the lease holds until then; 0 after a release
    mark_ms      no id of any lease so far carries a later time (the high-water mark)

A lease may put the times in (mark before it, its limit] into ids. Granting or renewing it lifts the mark to the limit,
releasing it puts the mark down to the last time it used. The next lease starts above the mark. So the times of two
holders of one node never overlap, whatever their clocks say: clocks decide when ids come, not whether they are unique.

Times are Unix ms of the *store's* clock. Every method is atomic, may be called from any thread and after a fork, and
raises LeaseStoreUnavailable when the store does not answer.
"""

from dataclasses import dataclass
from typing import Protocol

from tenfold.errors import TenfoldError
from tenfold.runtime.ids.refusals import NoWorkerLeft
from tenfold.units import format_count, format_duration


class LeaseStoreUnavailable(TenfoldError):
    """The store did not answer: it is down, unreachable, or too slow."""


class LeaseLost(TenfoldError):
    """The node has a newer lease, or the store has forgotten this one."""

    def __init__(self, lease: "Lease") -> None:
        super().__init__(f"lease {lease.epoch} on node {lease.node} of {lease.name!r} is no longer in force")


@dataclass(frozen=True, slots=True)
class Ask:
    """Which node is wanted: any free one of `count` from `first` on, among the leases called `name`."""

    name: str
    first: int
    count: int
    ttl_ms: int
    holder: str  # who asks, different at every asking: host, pid and a random word

    @property
    def last(self) -> int:
        """The last node that would do."""
        return self.first + self.count - 1


@dataclass(frozen=True, slots=True)
class Lease:
    """A node for a while: ids may carry times above `mark_ms`, up to `limit_ms`."""

    name: str
    node: int
    epoch: int
    mark_ms: int
    limit_ms: int
    ttl_ms: int
    holder: str


class LeaseStore(Protocol):
    """Keeps the leases of nodes."""

    def acquire(self, ask: Ask) -> Lease:
        """Lease a free node: one whose mark has passed, else one never used, else the one with the lowest mark.

        Raises:
            NoWorkerLeft: all are leased.
        """

    def renew(self, lease: Lease) -> Lease:
        """The same lease for another `ttl_ms` from now, with a later limit; also after it expired, if nobody took it.

        Raises:
            LeaseLost: epoch or holder are not the node's, or the lease was released.
        """

    def release(self, lease: Lease, mark_ms: int) -> None:
        """Give the node back; no id of this lease carries a time after `mark_ms`. Nothing happens to a lost lease."""

    def close(self) -> None:
        """Give back every connection and file."""


def none_left(ask: Ask, free_in_ms: int) -> NoWorkerLeft:
    """The refusal of a store whose nodes are all leased; the first lease ends in so many ms."""
    wait_ns = max(0, free_in_ms) * 1_000_000
    what = f"all {format_count(ask.count)} workers" if ask.count > 1 else f"worker (node {ask.first})"
    return NoWorkerLeft(
        f"{what} of {ask.name!r} {'are' if ask.count > 1 else 'is'} leased",
        f"the first lease ends in {format_duration(wait_ns)} unless it is renewed; stop a holder, ask for other "
        "workers, or give them more bits",
        wait_ns,
    )
