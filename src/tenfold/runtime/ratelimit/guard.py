"""A store that may be down: a circuit breaker in front of it, and who decides instead.

While the breaker is open nobody waits for the store: the mode answers. After `open` one request tries the store again;
when that answers, all go to it. Nothing has to be started anew.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from tenfold.policies.call import circuit_breaker
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import FAILURE, IGNORED, REJECT, SUCCESS
from tenfold.runtime.ratelimit.decision import CLOSED, LOCAL, OPEN, Decision, uncounted
from tenfold.runtime.ratelimit.limits import scaled
from tenfold.runtime.ratelimit.meters import Meter, meters
from tenfold.runtime.ratelimit.settings import CLOSED_MODE, LOCAL_MODE, Settings
from tenfold.runtime.ratelimit.store import HIT, Ask, StoreUnavailable, Tally
from tenfold.runtime.ratelimit.table import table

BREAKER = circuit_breaker.Config(failures=3, open_ns=1_000_000_000)
"""Three timeouts in a row are waited for, then one a second."""

LOCAL_ENTRIES_MAX = 10_000


class Guard:
    """Asks the store, or answers without it.

    Args:
        tally: of the store.
        counted: the limits' meters.
        settings: of the limiter.
        breaker: when to stop asking.
        clock_ns: monotonic time of this process.
    """

    def __init__(
        self,
        tally: Tally,
        counted: tuple[Meter[Any], ...],
        settings: Settings,
        breaker: circuit_breaker.Config = BREAKER,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._tally = tally
        self._mode = settings.on_store_down
        self._config = breaker
        self._state = circuit_breaker.State()
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        shares = meters(tuple(scaled(meter.limit, settings.share_ratio) for meter in counted))
        self._local = table(shares, LOCAL_ENTRIES_MAX, clock_ns)
        self.last_error: StoreUnavailable | None = None

    @property
    def is_open(self) -> bool:
        """Whether the store is left alone for the time being."""
        return self._state.phase == circuit_breaker.OPEN

    async def attempt(self, verb: str, asks: Sequence[Ask]) -> list[Decision] | None:
        """The store's decisions; None: it is down."""
        call, outcome = self._begun(), IGNORED
        if call is None:
            return None
        try:
            answers = await self._tally.ask(verb, asks)
            outcome = SUCCESS
        except StoreUnavailable as error:
            outcome, self.last_error = FAILURE, error
            return None
        finally:
            self._ended(call, outcome)
        return answers

    def attempt_blocking(self, verb: str, asks: Sequence[Ask]) -> list[Decision] | None:
        """The same, blocking the caller's thread."""
        call, outcome = self._begun(), IGNORED
        if call is None:
            return None
        try:
            answers = self._tally.ask_blocking(verb, asks)
            outcome = SUCCESS
        except StoreUnavailable as error:
            outcome, self.last_error = FAILURE, error
            return None
        finally:
            self._ended(call, outcome)
        return answers

    def _begun(self) -> Call | None:
        """Whether the breaker lets a call pass."""
        call = Call()
        with self._lock:
            verb, _ = circuit_breaker.acquire(self._config, self._state, call, self._clock_ns(), 0.0)
        return None if verb == REJECT else call

    def _ended(self, call: Call, outcome: int) -> None:
        """Tell it what became of that."""
        with self._lock:
            circuit_breaker.record(self._config, self._state, call, self._clock_ns(), outcome, 0.0)

    def instead(self, verb: str, asks: Sequence[Ask]) -> list[Decision]:
        """Decisions without the store. What is to be taken back from it stays counted."""
        return [self._decided(verb, key, cost) for key, cost, _ in asks]

    def _decided(self, verb: str, key: str, cost: int) -> Decision:
        if self._mode != LOCAL_MODE:
            is_closed = self._mode == CLOSED_MODE
            wait_ns = max(1, self._state.open_until_ns - self._clock_ns()) if is_closed else 0
            return uncounted(not is_closed, key, cost, CLOSED if is_closed else OPEN, wait_ns)
        # A hit that costs more than a share would never pass: it takes the whole share.
        units = min(cost, *(meter.limit.capacity for meter in self._local.meters))
        decision = self._local.hit(key, units) if verb == HIT else self._local.peek(key, units)
        decision.by = LOCAL
        return decision

    def take_back(self, decision: Decision) -> None:
        """Take back what the local share has granted."""
        self._local.refund(decision.key, decision.cost, decision.at_ns)
