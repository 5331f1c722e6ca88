"""The Retry-After header. It may hold a date: the one place of the runtime that has to know what time of day it is.

The date is made a duration at once; nothing is compared with a wall clock later on.
"""

import time
from datetime import UTC
from email.utils import parsedate_to_datetime

from tenfold.policies.verbs import LONGEST_NS
from tenfold.runtime.headers import is_number

RETRY_AFTER = "retry-after"
SECOND = 1_000_000_000

wall_clock_s = time.time


def retry_after_ns(value: str, wall_s: float) -> int:
    """How long a Retry-After asks to wait (RFC 9110, 10.2.3); 0: not at all, or it cannot be read.

    Args:
        value: of the header: seconds, or an HTTP-date.
        wall_s: the wall clock, in s since 1970.

    Returns:
        In ns, at most LONGEST_NS.
    """
    text = value.strip()
    if is_number(text):
        return min(int(text) * SECOND, LONGEST_NS)
    try:
        at = parsedate_to_datetime(text)
        at_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return 0
    return max(0, min(int((at_s - wall_s) * SECOND), LONGEST_NS))
