"""What a meter is: the arithmetic of one limit on what is remembered of one key. No clock, no lock, no store.

Every store decides by this arithmetic: a store in memory calls it, the script in Redis repeats its three decisions
(`current`, `fits`, `take`, and `give`) on the same numbers, and a test plays the same tapes to both. What is left, and
when there is more, is computed here for both, from the summary a store hands out.

Times are ns of the store's clock. What is answered is rounded up to whole us, the step of a server's clock.
"""

from typing import Any, Protocol, TypeVar

from tenfold.runtime.ratelimit.limits import Limit

US = 1_000
State = TypeVar("State")
Numbers = tuple[int, int, int, int]
"""Units left; ns until one more, until all are back, and until a hit of the cost asked for fits (0: now)."""


class Meter(Protocol[State]):
    """One limit's arithmetic. A state may be changed in place or replaced: what is returned counts."""

    limit: Limit
    letter: str
    """Names the algorithm in the script of a store."""

    def fresh(self) -> State:
        """Nothing remembered: everything is left."""

    def copied(self, state: State) -> State:
        """One of its own."""

    def current(self, state: State, now_ns: int) -> State:
        """Forget what is over. A clock that was set back costs at most one period, or one filling of the bucket."""

    def fits(self, state: State, now_ns: int, cost: int) -> bool:
        """Whether a hit may pass; the state is current."""

    def take(self, state: State, now_ns: int, cost: int) -> State:
        """Let it pass."""

    def give(self, state: State, now_ns: int, cost: int, at_ns: int) -> State:
        """Take back a hit that passed at `at_ns`; never more than that what would be there without it."""

    def is_full(self, state: State, now_ns: int) -> bool:
        """Whether it says no more than a fresh one."""

    def summary(self, state: State, now_ns: int, cost: int) -> Any:
        """What `numbers` needs, apart from later changes."""

    def numbers(self, summary: Any, now_ns: int, cost: int) -> Numbers:
        """What is left, and when there is more."""

    def constants(self) -> tuple[float, float]:
        """What the script of a store is told once."""

    def amounts(self, cost: int) -> tuple[float, float]:
        """What it is told of a hit."""

    def read(self, raw: bytes, at: int) -> tuple[Any, int]:
        """The summary a script answers at this place, and where the next begins."""


def up_to_us(ns: int) -> int:
    """Rounded up to whole us; 0 for what is over."""
    return -(-ns // US) * US if ns > 0 else 0


def meters(limits: tuple[Limit, ...]) -> tuple[Meter[Any], ...]:
    """The meters of limits."""
    from tenfold.runtime.ratelimit.gcra import Gcra
    from tenfold.runtime.ratelimit.log import Log
    from tenfold.runtime.ratelimit.sliding import Sliding

    kinds: dict[str, type[Gcra] | type[Sliding] | type[Log]]
    kinds = {"gcra": Gcra, "token_bucket": Gcra, "sliding": Sliding, "log": Log}
    return tuple(kinds[each.algorithm](each) for each in limits)
