"""Where a generator's worker number comes from: given by the user, or leased and kept by a thread.

Both offer `current`, read at the start of every millisecond; `obtain`, which may block; and what to do after a fork.
"""

import os
import secrets
import socket
import threading
import time
import weakref
from dataclasses import dataclass, replace
from typing import Protocol

from tenfold.errors import TenfoldError, UsageError
from tenfold.fields import setting
from tenfold.runtime.ids.clocks import Clocks
from tenfold.runtime.ids.leases import Ask, Lease, LeaseLost, LeaseStore, LeaseStoreUnavailable
from tenfold.runtime.ids.refusals import IdRefused, LeaseEnded
from tenfold.units import MS, S, format_duration

FOREVER = 2**63 - 1
_RENEWALS_PER_LEASE = 3  # two may fail before the lease is in danger
_ATTEMPTS_PER_LEASE = 30  # while the store does not answer


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to make ids as a node, until `stop_ns` on the monotonic clock, with times in (mark_ms, limit_ms]."""

    node: int
    epoch: int
    mark_ms: int
    limit_ms: int
    stop_ns: int


class Worker(Protocol):
    """Where the grant comes from."""

    current: Grant | None

    def obtain(self) -> Grant:
        """A grant, got now if there is none. May block as long as the store's timeout."""

    def ended(self, grant: Grant, now_ns: int) -> LeaseEnded:
        """Why the grant no longer serves; asks for a renewal."""

    def close(self, last_ms: int) -> None:
        """Give the number back; the newest id carries `last_ms`."""

    def forked(self) -> None:
        """This is a child now: what the parent holds is the parent's."""


class FixedWorker:
    """A number the user vouches for: no other generator has it, and clocks stay right over restarts."""

    def __init__(self, node: int, shown: str) -> None:
        self.current: Grant | None = Grant(node, 0, -1, FOREVER, FOREVER)
        self._shown = shown

    def obtain(self) -> Grant:
        """The grant; a forked child has none.

        Raises:
            UsageError: the number belongs to the parent.
        """
        if self.current is None:
            raise UsageError(
                f"this process was forked from one that makes ids as {self._shown}: both would make the same ids",
                "lease workers from a store, or make a generator with a worker of its own in the child",
            )
        return self.current

    def ended(self, grant: Grant, now_ns: int) -> LeaseEnded:
        """A fixed number does not end."""
        raise AssertionError("a fixed worker has no end")

    def close(self, last_ms: int) -> None:
        """Nothing to give back."""

    def forked(self) -> None:
        """The number stays with the parent."""
        self.current = None


@dataclass(frozen=True, slots=True)
class LeaseConfig:
    """How long a lease is, and how long before its end it is no longer used."""

    ttl_ns: int = setting(
        30 * S,
        "How long a lease holds without renewal; it is renewed after a third.",
        low=100 * MS,
        high=3600 * S,
        source="longer than a store's failover (10-20 s), shorter than a redeployment",
    )
    margin_ns: int = setting(
        3 * S,
        "So long before the end of the lease ids stop.",
        low=MS,
        high=3600 * S,
        source="a tenth of the lease: covers clocks that run at different speeds and a stopped process",
    )


class LeasedWorker:
    """A leased number: acquired when first needed, renewed by a daemon thread, replaced when it was lost.

    Args:
        store: keeps the leases.
        ask: which nodes will do.
        config: length and margin.
        clocks: the monotonic one counts.
        is_kept: whether a thread renews; without it, call `renew`.
    """

    def __init__(self, store: LeaseStore, ask: Ask, config: LeaseConfig, clocks: Clocks, is_kept: bool = True) -> None:
        self.current: Grant | None = None
        self._store, self._ask, self._config, self._clocks, self._is_kept = store, ask, config, clocks, is_kept
        self.forked()

    def forked(self) -> None:
        """Forget the parent's lease, thread and lock; the child leases a number of its own when it needs one."""
        self.current = None
        self._lease: Lease | None = None
        self._trouble: TenfoldError | None = None
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def obtain(self) -> Grant:
        """The grant there is, or a fresh one.

        Raises:
            NoWorkerLeft: all are leased.
            LeaseStoreUnavailable: the store does not answer.
        """
        with self._lock:
            if self.current is not None:
                return self.current
            if self._is_closed:
                raise UsageError("this generator is closed", "make ids before closing it, or make a generator")
            grant = self._acquire()
            if self._is_kept and self._thread is None:
                self._start()
            return grant

    def renew(self) -> None:
        """Renew the lease once, or acquire another if it was lost. Trouble is remembered for `ended`, not raised."""
        with self._lock:
            if self._lease is None or self._is_closed:
                return
            try:
                self._extend(self._lease)
                self._trouble = None
            except (LeaseStoreUnavailable, IdRefused) as error:
                self._trouble = error

    def ended(self, grant: Grant, now_ns: int) -> LeaseEnded:
        """Why the grant no longer serves: its end is near, or the clock left its limits. Wakes the renewing thread."""
        self._woken.set()
        cause = f": {self._trouble}" if self._trouble else ""
        if now_ns >= grant.stop_ns:
            gone_ns = now_ns - grant.stop_ns
            message = (
                f"the lease on node {grant.node} has been within its margin, or over, for {format_duration(gone_ns)}"
            )
        else:
            message = f"the clock is past what the lease on node {grant.node} allows (the store's time plus the lease)"
        remedy = "it goes on by itself once the lease is renewed; check the store and that both clocks agree"
        return LeaseEnded(message + cause, remedy, self._config.ttl_ns // _ATTEMPTS_PER_LEASE)

    def close(self, last_ms: int) -> None:
        """Release the lease with the time of the newest id; a store that does not answer lets it expire."""
        with self._lock:
            lease, self._lease, self.current, self._is_closed = self._lease, None, None, True
            self._woken.set()
            if lease is None:
                return
            try:
                self._store.release(lease, max(lease.mark_ms, last_ms))
            except LeaseStoreUnavailable as error:
                self._trouble = error

    def _acquire(self) -> Grant:
        """Lease a free node."""
        asked_ns = self._clocks.monotonic_ns()
        return self._granted(self._store.acquire(replace(self._ask, holder=holder())), asked_ns)

    def _extend(self, lease: Lease) -> None:
        """Renew, or take another number when somebody else has this one."""
        asked_ns = self._clocks.monotonic_ns()
        try:
            self._granted(self._store.renew(lease), asked_ns)
        except LeaseLost as lost:
            self._trouble = lost
            self._acquire()

    def _granted(self, lease: Lease, asked_ns: int) -> Grant:
        """What the store granted, on this machine's monotonic clock: counted from before the question, to be safe."""
        stop_ns = asked_ns + lease.ttl_ms * MS - self._config.margin_ns
        self._lease = lease
        self.current = Grant(lease.node, lease.epoch, lease.mark_ms, lease.limit_ms, stop_ns)
        return self.current

    def _start(self) -> None:
        """Start the thread. It holds the worker by a weak reference, so that a forgotten generator's lease expires."""
        name = f"tenfold ids {self._ask.name}"
        kept = threading.Thread(target=_keep, args=(weakref.ref(self), self._woken), name=name, daemon=True)
        self._thread = kept
        kept.start()

    @property
    def pause_ns(self) -> int:
        """Until the next renewal: a third of the lease, or a thirtieth while there is trouble."""
        return self._config.ttl_ns // (_ATTEMPTS_PER_LEASE if self._trouble else _RENEWALS_PER_LEASE)

    @property
    def is_closed(self) -> bool:
        """Whether the number was given back."""
        return self._is_closed


def _keep(worker: "weakref.ref[LeasedWorker]", woken: threading.Event) -> None:
    """Renew until the worker is closed or nobody holds it any more."""
    while (kept := worker()) is not None and not kept.is_closed:
        pause_ns, least_ns = kept.pause_ns, kept._config.ttl_ns // _ATTEMPTS_PER_LEASE
        del kept
        woken.wait(pause_ns / 1e9)
        woken.clear()
        if (kept := worker()) is None or kept.is_closed:
            return
        kept.renew()
        del kept
        time.sleep(least_ns / 1e9)  # `ended` may wake it at every id that is refused


def holder() -> str:
    """This process, as people find it, and a word that tells its leases apart: `web-3:4711:9f86d081`."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
