"""Sliding counter: eleven counters of a tenth of the period each, of which ten whole ones and the current one count.

Theory. The period is cut into ten; hits are counted per cut. A hit passes when the cuts that may hold hits of the last
period hold few enough. The oldest of them is counted in full though only a part of it is within the period, so nothing
is guessed: in any period at most the quota passes, and what is refused would fit at most a tenth of a period later.

The common form, two counters of a whole period with the older one weighted by its overlap, needs less memory but
assumes that hits came evenly. After a burst at the end of a period it lets the quota pass a second time before the
burst is a period old: 199 of 100. Narrower cuts with the same weighting do not help against that.
"""

import struct

from tenfold.policies.verbs import NEVER
from tenfold.runtime.ratelimit.limits import Limit
from tenfold.runtime.ratelimit.meters import US, Numbers

CUTS = 10
COUNTED = CUTS + 1
_PACKED = struct.Struct(f"<d{COUNTED}I")


class Sliding:
    """See `Meter`; the state is the number of the current cut and the counts, the current cut's first.

    Args:
        limit: without a burst.
    """

    __slots__ = ("cut_us", "limit", "quota")

    letter = "s"

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.quota = limit.quota
        self.cut_us = -(-limit.period_ns // (CUTS * US))

    def fresh(self) -> list[int]:
        """No counts."""
        return [0] * (1 + COUNTED)

    def copied(self, state: list[int]) -> list[int]:
        """A list of its own."""
        return state.copy()

    def current(self, state: list[int], now_ns: int) -> list[int]:
        """As it is; after a clock was set back the newest counts are of now."""
        state[0] = min(state[0], now_ns // US // self.cut_us)
        return state

    def fits(self, state: list[int], now_ns: int, cost: int) -> bool:
        """Whether the counts leave room."""
        age = now_ns // US // self.cut_us - state[0]
        return sum(state[1 : max(1, 1 + COUNTED - age)]) + cost <= self.quota

    def take(self, state: list[int], now_ns: int, cost: int) -> list[int]:
        """Count it now."""
        state = self._moved(state, now_ns)
        state[1] += cost
        return state

    def give(self, state: list[int], now_ns: int, cost: int, at_ns: int) -> list[int]:
        """Take it from the cut it was counted in, while that counts."""
        age = now_ns // US // self.cut_us - at_ns // US // self.cut_us
        if not 0 <= age < COUNTED:
            return state
        state = self._moved(state, now_ns)
        state[1 + age] = max(0, state[1 + age] - cost)
        return state

    def _moved(self, state: list[int], now_ns: int) -> list[int]:
        """The counts where they are now."""
        cut = now_ns // US // self.cut_us
        age = min(cut - state[0], COUNTED)
        return [cut, *[0] * age, *state[1 : 1 + COUNTED - age]]

    def is_full(self, state: list[int], now_ns: int) -> bool:
        """Whether every cut with a count is over."""
        age = now_ns // US // self.cut_us - state[0]
        return age >= COUNTED or not any(state[1 : 1 + COUNTED - max(0, age)])

    def summary(self, state: list[int], now_ns: int, cost: int) -> tuple[int, ...]:
        """The counts where they are now."""
        return tuple(self._moved(state, now_ns))

    def numbers(self, summary: tuple[int, ...], now_ns: int, cost: int) -> Numbers:
        """From the oldest count to the newest: each ends when its cut is a period old."""
        now_us = now_ns // US
        left = self.quota - sum(summary[1:])
        more_us = wait_us = all_us = 0
        short = cost - left
        for age in range(COUNTED - 1, -1, -1):
            count = summary[1 + age]
            if not count:
                continue
            all_us = (summary[0] - age + COUNTED) * self.cut_us - now_us
            more_us = more_us or all_us
            if short > 0:
                short -= count
                wait_us = all_us
        wait_ns = NEVER if cost > self.quota else wait_us * US
        return max(0, left), more_us * US, all_us * US, wait_ns

    def constants(self) -> tuple[float, float]:
        """Length of a cut in us, and the quota."""
        return float(self.cut_us), float(self.quota)

    def amounts(self, cost: int) -> tuple[float, float]:
        """The cost is told anyway."""
        return 0.0, 0.0

    def read(self, raw: bytes, at: int) -> tuple[tuple[int, ...], int]:
        """The cut and its counts."""
        cut, *counts = _PACKED.unpack_from(raw, at)
        return (int(cut), *counts), at + _PACKED.size
