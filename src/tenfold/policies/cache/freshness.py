"""Freshness: when a cached value may be served, who may load it, and who may store what was loaded.

Theory
- Time to live, spread by jitter: keys loaded together expire over 2 j ttl instead of in one instant.
- Lease with a fencing token: one caller loads, the others wait or are served what is stale; a lease lapses, so a
  holder killed in mid-load delays the others by at most the lease; only the token's owner stores, so a load that
  outlived its lease cannot overwrite newer data (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, 3.2.1).
- Early refresh: each hit refreshes with probability exp(-time to expiry / (beta x load time)), independently of all
  others (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015: XFetch).
- Stale while revalidate: for a while after expiry the old value is served while one caller loads (RFC 5861, 3).
- Fail safe: when the load fails the old value is served for longer (RFC 5861, 4, stale-if-error), and the next load
  waits for the back-off, so that a broken source is not asked by every caller.
- A write or an invalidation makes every load in flight worthless: its token no longer fits.
- A token is a version and the number of the lease within it. The version changes with every write, invalidation and
  (with a lock) store; the number with every lease. A token fits when it is the owner's; with `late_fill: always` any
  token of the version in force fits, because nothing newer has been stored. Without that, a lock over a source that has
  become slower than the load's timeout never gets a value: every load is given up, and its late answer belongs to a
  lease that has passed on.

An entry is a handful of numbers; all zero is an entry never seen. `blocked_until_ns` is the end of a lease or of a
back-off, whichever is in force: nobody may start a load before it.

Transitions of lookup, first line that fits ("may load": not blocked; granting a load starts a lease when config.lock)

    fresh, negative                                     -> NEGATIVE
    fresh, early refresh drawn, may load                -> STALE_LOAD   background refresh of a value still fresh
    fresh                                               -> HIT
    stale within stale_while_revalidate, may load       -> STALE_LOAD
    stale within stale_while_revalidate                 -> STALE
    may load                                            -> LOAD
    blocked by back-off, stale within fail_safe         -> STALE
    blocked by back-off                                 -> FAIL         with the time left
    blocked by a lease                                  -> WAIT         with the time left; ask again when woken or then

    store         token fits       -> STORED    fresh for a ttl, lease given up; otherwise DROPPED, nothing moves
    store_absent  token fits       -> STORED    known to be absent for negative_ttl; otherwise DROPPED
    give_up       token is owner's       -> lease given up, no back-off: a cancelled load says nothing
    fail          token is owner's       -> lease given up, back-off begins
                  then, either way -> HIT, STALE (serve what is there) or FAIL
    release       token is owner's       -> lease given up: the load ended and stored nothing
    put           -> fresh, new token (loads in flight are dropped when they come to store)
    invalidate    -> empty, new token
    preload       -> as if stored at that time

Without lock every miss may load, and every load's token fits until a write or an invalidation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenfold.fields import setting
from tenfold.policies.verbs import LONGEST_NS

# What lookup() answers.
HIT = 0  # serve it
STALE = 1  # serve it though it is old
STALE_LOAD = 2  # serve it, and load in the background with the token
LOAD = 3  # load with the token
WAIT = 4  # another one loads: wait until woken, at most wait_ns, then look up again
FAIL = 5  # the last load failed, it is too early for another, and there is nothing to serve
NEGATIVE = 6  # known to be absent

ANSWERS = ("hit", "stale", "stale_load", "load", "wait", "fail", "negative")
"""Words for people, by number."""

# What store() and its like answer.
STORED = 7
DROPPED = 8

# Entry.flags.
VALUE = 1  # there is a value
ABSENT = 2  # there is the knowledge that there is none
FAILED = 4  # blocked_until_ns is the end of a back-off, not of a lease

# Config.late_fill.
WITH_LOCK, ALWAYS, NEVER_LATE = 0, 1, 2

LEASE_BITS = 20  # of a token; the rest is the version

RAREST_LOG = 36.8  # -log(2**-53), rounded up: a draw has 53 bits
LONGEST_AHEAD_NS = 4e18  # keeps the difference of two times within an int64
MS = 1_000_000

BACKOFF_JITTER = 0.2  # keys that failed together are not retried together


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of freshness."""

    ttl_ns: int = setting(
        300_000_000_000, "How long a value is fresh.", low=1, high=LONGEST_NS, source="5 min: Django's cache TIMEOUT"
    )
    ttl_jitter_ratio: float = setting(
        0.0, "How far the ttl strays either way.", low=0.0, high=1.0, source="none, as SETEX"
    )
    lock: bool = setting(
        False, "One caller loads, the others wait.", source="off: get, miss, load, set is what most code does"
    )
    lease_ns: int = setting(
        10_000_000_000,
        "How long a load may keep the others waiting.",
        low=1,
        high=LONGEST_NS,
        source="Facebook's leases (NSDI 2013): a token every 10 s",
    )
    early_refresh_factor: float = setting(
        0.0,
        "XFetch's beta: refresh before expiry, earlier the larger; 1 is optimal, 0 is off.",
        low=0.0,
        high=100.0,
        source="off; VLDB 2015 recommends 1",
    )
    stale_while_revalidate_ns: int = setting(
        0,
        "After expiry, serve the old value this long while one loads.",
        low=0,
        high=LONGEST_NS,
        source="RFC 5861: off",
    )
    fail_safe_ns: int = setting(
        0, "When a load fails, serve the old value until this long after expiry.", low=0, high=LONGEST_NS, source="off"
    )
    negative_ttl_ns: int = setting(
        0, "How long to remember that the source has no value; 0: do not.", low=0, high=LONGEST_NS, source="off"
    )
    load_backoff_ns: int = setting(
        0, "After a failed load, start no other for this long (up to 20 % more).", low=0, high=LONGEST_NS, source="off"
    )
    late_fill: int = setting(
        WITH_LOCK,
        "Whether a load that answers after its caller gave up still fills the cache.",
        choices=("with_lock", "always", "never"),
        source="with a lock others wait for it; without, the code that would store is gone with its caller",
    )


@dataclass(slots=True)
class Entry:
    """One key. Tables hold millions of them: every field counts."""

    fresh_until_ns: int = 0
    blocked_until_ns: int = 0
    token: int = 0
    load_ns: int = 0  # how long the last load took
    flags: int = 0


def fills_late(config: Config) -> bool:
    """Whether a load whose caller has given up still stores."""
    return config.late_fill == ALWAYS or (config.late_fill == WITH_LOCK and config.lock)


def next_version(token: int) -> int:
    """The first token after a write: no token handed out before fits it."""
    return ((token >> LEASE_BITS) + 1) << LEASE_BITS


def first_token(now_ns: int) -> int:
    """The token of an entry that comes into being now: none of an earlier entry of the key, since forgotten, fits it.

    Versions count up by one per write, lease end or invalidation, so they stay behind a clock of milliseconds.
    """
    return (now_ns // MS) << LEASE_BITS


def fits(config: Config, entry: Entry, token: int) -> bool:
    """Whether what was loaded with this token may be stored."""
    if token == entry.token:
        return True
    return config.late_fill == ALWAYS and token >> LEASE_BITS == entry.token >> LEASE_BITS


def holds(entry: Entry, now_ns: int) -> bool:
    """Whether there is a fresh value (what SET XX asks)."""
    return (entry.flags & VALUE) != 0 and now_ns < entry.fresh_until_ns


def serves_stale(config: Config, entry: Entry, now_ns: int) -> bool:
    """Whether the old value may stand in for a load that failed."""
    return (entry.flags & VALUE) != 0 and now_ns < entry.fresh_until_ns + config.fail_safe_ns


def is_early(config: Config, entry: Entry, now_ns: int, draw: float) -> bool:
    """XFetch: whether this hit is the one that refreshes before expiry."""
    if config.early_refresh_factor <= 0.0:
        return False
    # 1 - draw is in (0, 1]. Floats on both sides: comparing an int with a float is exact in Python, rounded in C.
    ahead_ns = float(entry.load_ns) * config.early_refresh_factor * -math.log(1.0 - draw)
    return float(entry.fresh_until_ns - now_ns) <= ahead_ns and entry.load_ns > 0


def certain_until(config: Config, entry: Entry) -> int:
    """Until when a lookup answers HIT or NEGATIVE whatever the dice show, as long as the entry stays as it is.

    A copy may be served until then without asking.
    """
    if entry.flags == 0:
        return 0
    if config.early_refresh_factor <= 0.0 or (entry.flags & ABSENT) != 0:
        return entry.fresh_until_ns
    ahead_ns = float(entry.load_ns) * config.early_refresh_factor * RAREST_LOG
    return entry.fresh_until_ns - int(min(ahead_ns, LONGEST_AHEAD_NS))


def grant(config: Config, entry: Entry, now_ns: int) -> int:
    """Let one load start; the token it must show to store."""
    if config.lock:
        entry.token += 1
        entry.blocked_until_ns = now_ns + config.lease_ns
        entry.flags &= VALUE | ABSENT
    return entry.token


def lookup_fresh(config: Config, entry: Entry, now_ns: int, draw: float) -> tuple[int, int, int]:
    """The answer while the entry is fresh."""
    if (entry.flags & ABSENT) != 0:
        return NEGATIVE, 0, 0
    if now_ns >= entry.blocked_until_ns and is_early(config, entry, now_ns, draw):
        return STALE_LOAD, 0, grant(config, entry, now_ns)
    return HIT, 0, 0


def lookup(config: Config, entry: Entry, now_ns: int, draw: float) -> tuple[int, int, int]:
    """Ask for a key.

    Returns:
        The answer, how long it holds (WAIT: wait at most so long; FAIL: no load before), and the token of a load.
    """
    if entry.flags != 0 and now_ns < entry.fresh_until_ns:
        return lookup_fresh(config, entry, now_ns, draw)
    may_load = now_ns >= entry.blocked_until_ns
    if (entry.flags & VALUE) != 0 and now_ns < entry.fresh_until_ns + config.stale_while_revalidate_ns:
        if may_load:
            return STALE_LOAD, 0, grant(config, entry, now_ns)
        return STALE, 0, 0
    if may_load:
        return LOAD, 0, grant(config, entry, now_ns)
    if (entry.flags & FAILED) == 0:
        return WAIT, entry.blocked_until_ns - now_ns, 0
    if serves_stale(config, entry, now_ns):
        return STALE, 0, 0
    return FAIL, entry.blocked_until_ns - now_ns, 0


def fill(config: Config, entry: Entry, written_ns: int, draw: float) -> None:
    """Make the entry a value written at that time."""
    spread = 1.0 + config.ttl_jitter_ratio * (2.0 * draw - 1.0)
    entry.fresh_until_ns = written_ns + int(config.ttl_ns * spread)
    entry.blocked_until_ns = 0
    entry.flags = VALUE


def store(config: Config, entry: Entry, token: int, now_ns: int, load_ns: int, draw: float) -> int:
    """Store what was loaded with this token; `load_ns` is how long the load took. STORED or DROPPED."""
    if not fits(config, entry, token):
        return DROPPED
    fill(config, entry, now_ns, draw)
    entry.load_ns = load_ns
    if config.lock:
        entry.token = next_version(entry.token)
    return STORED


def store_absent(config: Config, entry: Entry, token: int, now_ns: int, load_ns: int) -> int:
    """Store that the source has no value. STORED or DROPPED."""
    if not fits(config, entry, token):
        return DROPPED
    entry.fresh_until_ns = now_ns + config.negative_ttl_ns
    entry.blocked_until_ns = 0
    entry.load_ns = load_ns
    entry.flags = ABSENT
    if config.lock:
        entry.token = next_version(entry.token)
    return STORED


def give_up(entry: Entry, token: int) -> int:
    """The load with this token was cancelled: its lease, if it still holds it, is free. STORED or DROPPED."""
    if token != entry.token or (entry.flags & FAILED) != 0:
        return DROPPED
    entry.blocked_until_ns = 0
    return STORED


def fail(config: Config, entry: Entry, token: int, now_ns: int, draw: float) -> int:
    """The load with this token failed. HIT or STALE: serve what is there; FAIL: nothing to serve."""
    if token == entry.token:
        entry.blocked_until_ns = now_ns + int(config.load_backoff_ns * (1.0 + BACKOFF_JITTER * draw))
        entry.flags |= FAILED
    if holds(entry, now_ns):
        return HIT
    if serves_stale(config, entry, now_ns):
        return STALE
    return FAIL


def release(entry: Entry, token: int) -> None:
    """The load with this token ended well; if it stored nothing, its lease is given up: the next may load at once."""
    if token == entry.token and (entry.flags & FAILED) == 0:
        entry.blocked_until_ns = 0


def put(config: Config, entry: Entry, now_ns: int, draw: float) -> int:
    """A writer writes the value; loads in flight are dropped when they come to store. STORED."""
    entry.token = next_version(entry.token)
    fill(config, entry, now_ns, draw)
    return STORED


def invalidate(config: Config, entry: Entry, now_ns: int) -> None:
    """The value is no longer true; loads in flight are dropped when they come to store."""
    entry.token = next_version(entry.token)
    entry.fresh_until_ns = 0
    entry.blocked_until_ns = 0
    entry.flags = 0


def preload(config: Config, entry: Entry, written_ns: int, draw: float) -> None:
    """A value that was written at `written_ns`, which may lie in the past, even before time 0."""
    fill(config, entry, written_ns, draw)


KERNELS: tuple[Callable[..., Any], ...] = (
    fills_late,
    next_version,
    first_token,
    fits,
    holds,
    serves_stale,
    is_early,
    certain_until,
    grant,
    lookup_fresh,
    lookup,
    fill,
    store,
    store_absent,
    give_up,
    fail,
    release,
    put,
    invalidate,
    preload,
)
