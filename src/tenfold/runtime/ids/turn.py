"""Which millisecond the next ids carry. Told the time; it neither reads a clock nor waits.

`last_ms` is the time in the newest id, `ahead = last_ms - wall_ms`, full says whether its sequence is used up:

| ahead | full | answer |
|---|---|---|
| below 0 | | TICK wall_ms: time has passed |
| 0 to drift | no | TICK last_ms: the clock stands, or went back a little |
| 0 to drift - 1 | yes | TICK last_ms + 1: borrowed from the future |
| drift | yes | WAIT for the next millisecond: back pressure |
| above drift, clock back by at most the drift | | WAIT until ahead is the drift |
| above drift, clock back by more | | BACK by so much |

So `last_ms` never falls, and a time is at most `drift_ms` ahead of the clock it was taken from. RFC 9562, 6.2 names
both remedies, keeping the time and borrowing from the future; the bound is ours.
"""

from dataclasses import dataclass

TICK, WAIT, BACK = range(3)


@dataclass(slots=True)
class Progress:
    """What a generator remembers of time, in Unix ms."""

    last_ms: int = -1  # in the newest id
    seen_ms: int = -1  # the latest the wall clock has shown


def turn(progress: Progress, wall_ms: int, drift_ms: int, tolerated_ms: int, is_full: bool) -> tuple[int, int]:
    """The answer to what the wall clock shows; a BACK changes nothing.

    Args:
        progress: of the generator; changed.
        wall_ms: the wall clock, Unix ms.
        drift_ms: how far ids may be ahead of it.
        tolerated_ms: a clock further back than this is a BACK.
        is_full: whether the sequence of `last_ms` is used up.

    Returns:
        TICK and the Unix ms to use, WAIT and the ms to wait, or BACK and by how many ms.
    """
    ahead_ms = progress.last_ms - wall_ms
    if ahead_ms > drift_ms:
        back_ms = progress.seen_ms - wall_ms
        return (BACK, back_ms) if back_ms > tolerated_ms else (WAIT, ahead_ms - drift_ms)
    progress.seen_ms = max(progress.seen_ms, wall_ms)
    if ahead_ms < 0:
        progress.last_ms = wall_ms
    elif is_full:
        if ahead_ms == drift_ms:
            return WAIT, 1
        progress.last_ms += 1
    return TICK, progress.last_ms
