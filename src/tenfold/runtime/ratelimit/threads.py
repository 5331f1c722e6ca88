"""The limiter for threads: the same walks, carried out by blocking the caller's thread."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from tenfold.runtime.ratelimit.core import Core, Walk
from tenfold.runtime.ratelimit.decision import Decision
from tenfold.runtime.ratelimit.guard import BREAKER
from tenfold.runtime.ratelimit.limits import Limit
from tenfold.runtime.ratelimit.store import LimitStore


class ThreadLimiter(Core):
    """Decides whether a hit may pass, for threads. Arguments and methods as for `Limiter`, without `await`."""

    def __init__(
        self,
        store: LimitStore,
        *limits: str | Limit,
        algorithm: str = "gcra",
        name: str = "default",
        breaker: Any = BREAKER,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        **settings: Any,
    ) -> None:
        super().__init__(store, limits, algorithm, name, breaker, clock_ns, threading.Event, settings)

    def hit(self, key: str, cost: int = 1) -> Decision:
        """Count a hit, if all limits have room for it."""
        return self._here(key, cost) or self._carried_out(self._hit(key, cost))[0]

    def hit_many(self, hits: Sequence[tuple[str, int]]) -> list[Decision]:
        """Count many hits in one round trip, each by itself, in their order."""
        return self._carried_out(self._hit_many(hits))

    def peek(self, key: str, cost: int = 1) -> Decision:
        """Whether a hit would be allowed; nothing is counted."""
        return self._carried_out(self._peek(key, cost))[0]

    def refund(self, decision: Decision) -> None:
        """Take back a hit that was allowed and then did not happen."""
        self._carried_out(self._refund(decision))

    def close(self) -> None:
        """Give leased units back to the store."""
        self._carried_out(self._close())

    def __enter__(self) -> "ThreadLimiter":
        return self

    def __exit__(self, *trouble: object) -> None:
        self.close()

    def _carried_out(self, walk: Walk) -> list[Decision]:
        """Ask and wait as a walk says."""
        try:
            effect = next(walk)
            while True:
                if isinstance(effect, tuple):
                    effect = walk.send(self._guard.attempt_blocking(*effect))
                else:
                    effect.wait()
                    effect = next(walk)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            walk.close()
