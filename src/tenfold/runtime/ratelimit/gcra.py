"""GCRA, which is the token bucket: the same machine read in time or in tokens, proven equal where it was defined.

Theory. The generic cell rate algorithm (ITU-T I.371, annex A: virtual scheduling and continuous-state leaky bucket
are the same). One number is kept, the theoretical arrival time TAT of the next unit if units came evenly spaced, T =
period / quota apart. A hit of c units passes when max(TAT, now) + cT <= now + BT, with B the burst, and moves TAT
there. Read in tokens: the bucket holds B, a unit comes back every T, and (TAT - now) / T are missing. In any window of
length W at most B + W/T units pass.

T is kept in 2^-20 ns, rounded up: never faster than said. It is the arithmetic of the call policy `rate_limit`, which
the simulator runs, with a cost and with its constants computed once; a test compares the two.

A refund gives back c units less what came back since anyway, elapsed/T. More would be wrong: a bucket that was full in
the meantime has lost nothing. With that rule TAT is never earlier than it would be had the hits taken back not been
made (by induction: the lead over that machine shrinks by at most the time elapsed), so the bound holds for what stays.
"""

import struct

from tenfold.policies.verbs import NEVER
from tenfold.runtime.ratelimit.limits import Limit
from tenfold.runtime.ratelimit.meters import Numbers, up_to_us
from tenfold.units import S

PART_BITS = 20
PART = 1 << PART_BITS
SECOND_PARTS = S << PART_BITS
_PACKED = struct.Struct("<dd")


def split(parts: int) -> tuple[float, float]:
    """Seconds, and parts of a second: each exact in a double."""
    seconds, rest = divmod(parts, SECOND_PARTS)
    return float(seconds), float(rest)


class Gcra:
    """See `Meter`; the state is TAT in parts of a ns, 2^20 to one.

    Args:
        limit: with a burst.
    """

    __slots__ = ("full", "limit", "step")

    letter = "g"

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.step = -(-(limit.period_ns << PART_BITS) // limit.quota)
        self.full = limit.burst * self.step

    def fresh(self) -> int:
        """A time long ago."""
        return 0

    def copied(self, state: int) -> int:
        """It is a number."""
        return state

    def current(self, state: int, now_ns: int) -> int:
        """No later than an empty bucket has it: only a clock set back can have done that."""
        latest = (now_ns << PART_BITS) + self.full
        return latest if state > latest else state

    def fits(self, state: int, now_ns: int, cost: int) -> bool:
        """Whether so many tokens are there."""
        now = now_ns << PART_BITS
        return (state if state > now else now) + cost * self.step <= now + self.full

    def take(self, state: int, now_ns: int, cost: int) -> int:
        """TAT moves by T for each unit."""
        now = now_ns << PART_BITS
        return (state if state > now else now) + cost * self.step

    def give(self, state: int, now_ns: int, cost: int, at_ns: int) -> int:
        """TAT moves back, less the time elapsed."""
        back = cost * self.step - ((now_ns - at_ns) << PART_BITS)
        if back <= 0:
            return state
        return state - back if state - back > now_ns << PART_BITS else 0

    def is_full(self, state: int, now_ns: int) -> bool:
        """Whether no token is missing."""
        return state <= now_ns << PART_BITS

    def summary(self, state: int, now_ns: int, cost: int) -> int:
        """The state."""
        return state

    def numbers(self, summary: int, now_ns: int, cost: int) -> Numbers:
        """From the time by which TAT is ahead."""
        ahead = min(max(0, summary - (now_ns << PART_BITS)), self.full)
        left = (self.full - ahead) // self.step
        more = ahead + (left + 1) * self.step - self.full if left < self.limit.burst else 0
        wait = ahead + cost * self.step - self.full
        wait_ns = NEVER if cost > self.limit.burst else _up(wait)
        return left, _up(more), _up(ahead), wait_ns

    def constants(self) -> tuple[float, float]:
        """BT."""
        return split(self.full)

    def amounts(self, cost: int) -> tuple[float, float]:
        """cT."""
        return split(cost * self.step)

    def read(self, raw: bytes, at: int) -> tuple[int, int]:
        """TAT."""
        seconds, rest = _PACKED.unpack_from(raw, at)
        return int(seconds) * SECOND_PARTS + int(rest), at + _PACKED.size


def _up(parts: int) -> int:
    """Whole us in ns, rounded up."""
    return up_to_us(-(-parts >> PART_BITS))
