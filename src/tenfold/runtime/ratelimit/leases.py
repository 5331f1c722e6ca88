"""Units this process has taken from the store in advance, and grants by itself: a hit costs a lookup, not a round trip.

What is promised. Units are counted in the store before they are granted, and granted within the lease's time or not at
all. So what passes in a window was counted in it, or in the lease's time before it: at most the bound of the limit plus
the units that processes held when the window began, `leased` for each process. The other way round, units held by one
process are missing to the others; what is not granted in time is lost, at most `leased` per process and lease.

How many are taken follows the key: one at first, twice as many each time a lease is used up in time, half as many when
one ran out unused, one after a refusal. A key that is asked for now and then costs one round trip each time and stays
exact. A refusal is remembered until the store would allow the hit, at most for the lease's time.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tenfold.runtime.ratelimit.decision import LEASE, Decision
from tenfold.runtime.ratelimit.keys import checked

KEYS_MAX = 10_000
"""Further keys are asked for one by one."""


class _Lease:
    """What is held for a key."""

    __slots__ = ("answer", "asked_ns", "denied_until_ns", "ends_ns", "left", "size")

    def __init__(self) -> None:
        self.size = 1
        self.left = 0
        self.asked_ns = self.ends_ns = self.denied_until_ns = 0
        self.answer: Decision | None = None


class Leases:
    """Of one limiter. Threads may share it.

    Args:
        size_max: units at once.
        lasts_ns: how long they may be granted, from before they were asked for.
        clock_ns: monotonic time of this process.
        make_event: asyncio.Event or threading.Event: what those wait for who come while another asks for their key.
    """

    def __init__(
        self, size_max: int, lasts_ns: int, clock_ns: Callable[[], int], make_event: Callable[[], Any]
    ) -> None:
        self._size_max = size_max
        self._lasts_ns = lasts_ns
        self.clock_ns = clock_ns
        self._make_event = make_event
        self._start()

    def _start(self) -> None:
        """Hold nothing: what the parent of a forked process holds is the parent's."""
        self._pid = os.getpid()
        self._leases: OrderedDict[str, _Lease] = OrderedDict()
        self._lock = threading.Lock()
        self._fills: dict[str, Any] = {}

    def take(self, key: str, cost: int) -> Decision | None:
        """Grant or refuse by what is held; None: the store has to be asked."""
        if self._pid != os.getpid():
            self._start()
        key = checked(key, cost)
        with self._lock:
            lease = self._leases.get(key)
            if lease is None or lease.answer is None:
                return None
            now_ns = self.clock_ns()
            elapsed_ns = now_ns - lease.asked_ns
            if lease.left >= cost and now_ns < lease.ends_ns:
                lease.left -= cost
                return lease.answer.aged(True, cost, elapsed_ns, LEASE, lease.left)
            if now_ns < lease.denied_until_ns and cost >= lease.answer.cost:
                return lease.answer.aged(False, cost, elapsed_ns, LEASE, 0)
            return None

    def fills(self, key: str) -> Any:
        """The event of somebody who asks for this key already; None: it is for the caller to ask, until `filled`."""
        with self._lock:
            other = self._fills.get(key)
            if other is None:
                self._fills[key] = self._make_event()
            return other

    def filled(self, key: str) -> None:
        """The caller has asked, or given up."""
        with self._lock:
            self._fills.pop(key).set()

    def wanted(self, key: str, cost: int) -> int:
        """How many units to ask the store for."""
        with self._lock:
            lease = self._leases.get(key)
            if lease is None:
                return cost
            if lease.left and self.clock_ns() >= lease.ends_ns:
                lease.size = max(1, lease.size // 2)
            elif lease.ends_ns > self.clock_ns():
                lease.size = min(self._size_max, 2 * lease.size)
            return max(cost, lease.size)

    def granted(self, answer: Decision, cost: int, asked_ns: int) -> Decision:
        """Keep what the store has granted beyond the hit; the hit's decision."""
        with self._lock:
            lease = self._place(answer.key)
            if lease is None:
                return answer
            lease.answer, lease.asked_ns, lease.denied_until_ns = answer, asked_ns, 0
            lease.left, lease.ends_ns = answer.cost - cost, asked_ns + self._lasts_ns
            return answer.aged(True, cost, 0, LEASE, lease.left) if lease.left else answer

    def denied(self, answer: Decision, asked_ns: int) -> None:
        """Remember a refusal."""
        with self._lock:
            lease = self._place(answer.key)
            if lease is not None:
                lease.answer, lease.asked_ns, lease.size, lease.left, lease.ends_ns = answer, asked_ns, 1, 0, 0
                lease.denied_until_ns = asked_ns + min(answer.retry_after_ns, self._lasts_ns)

    def take_back(self, decision: Decision) -> None:
        """A hit granted by the lease in force did not happen."""
        with self._lock:
            lease = self._leases.get(decision.key)
            if lease is not None and lease.answer is not None and lease.answer.at_ns <= decision.at_ns:
                lease.left = min(lease.left + decision.cost, self._size_max)

    def drained(self) -> list[tuple[str, int, int]]:
        """Everything held, to be taken back from the store: key, units, when they were counted."""
        with self._lock:
            now_ns = self.clock_ns()
            held = [
                (key, lease.left, lease.answer.at_ns)
                for key, lease in self._leases.items()
                if lease.answer is not None and lease.left and now_ns < lease.ends_ns
            ]
            self._leases.clear()
            return held

    def _place(self, key: str) -> _Lease | None:
        """Where a key's lease is kept; None: there are too many."""
        lease = self._leases.get(key)
        if lease is None:
            if len(self._leases) >= KEYS_MAX and not self._drop_oldest():
                return None
            lease = self._leases[key] = _Lease()
        self._leases.move_to_end(key)
        return lease

    def _drop_oldest(self) -> bool:
        """Whether the place used longest ago could be given up: nothing is held there any more."""
        key, lease = next(iter(self._leases.items()))
        if lease.left and self.clock_ns() < lease.ends_ns:
            return False
        del self._leases[key]
        return True
