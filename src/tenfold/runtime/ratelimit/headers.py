"""A decision as response headers: draft-ietf-httpapi-ratelimit-headers-11, structured fields (RFC 9651).

    RateLimit-Policy: "100/min";q=200;w=60;tenfold-burst=100
    RateLimit: "100/min";r=99;t=1

- `q` is what passes at most within any `w` seconds: the quota, or with a bucket burst and rate together.
  `tenfold-burst` is what a bucket passes at once; (q - burst) / w is the rate to stay under.
- `r` is what is left, `t` the time until there is more, in seconds, rounded up.
- A refusal tells `t` of the limits that refused only. The draft wants Retry-After not to be earlier than any `t`, and a
  limit with units left that gets more tomorrow is no reason to stay away until tomorrow.
"""

from tenfold.policies.verbs import NEVER
from tenfold.runtime.ratelimit.decision import Decision, Standing
from tenfold.runtime.ratelimit.limits import Limit
from tenfold.units import S

POLICY, CURRENT, RETRY_AFTER = "ratelimit-policy", "ratelimit", "retry-after"
REQUESTS = "requests"
"""The draft's unit when none is given."""


def seconds(ns: int) -> int:
    """Whole seconds, rounded up."""
    return -(-ns // S)


def fields(decision: Decision, unit: str = REQUESTS) -> list[tuple[str, str]]:
    """The headers of a response to a hit; none about limits when nobody counted.

    Args:
        decision: about the hit.
        unit: what is counted: "requests", "content-bytes", or another the draft's registry has.
    """
    found = []
    standings = decision.standings
    if standings:
        found.append((POLICY, ", ".join(_policy(each.limit, unit) for each in standings)))
        found.append((CURRENT, ", ".join(_current(each, is_denied=not decision.allowed) for each in standings)))
    wait_ns = decision.retry_after_ns
    if 0 < wait_ns < NEVER:
        found.append((RETRY_AFTER, str(seconds(wait_ns))))
    return found


def _policy(limit: Limit, unit: str) -> str:
    """An item of RateLimit-Policy."""
    window_s = limit.window_s()
    item = f'"{limit.name}";q={limit.bound(window_s * S)}'
    if unit != REQUESTS:
        item += f';qu="{unit}"'
    return f"{item};w={window_s}" + (f";tenfold-burst={limit.burst}" if limit.burst else "")


def _current(standing: Standing, *, is_denied: bool) -> str:
    """An item of RateLimit."""
    item = f'"{standing.limit.name}";r={standing.remaining}'
    if is_denied and not standing.is_violated:
        return item
    return f"{item};t={seconds(standing.more_ns)}"
