"""What can be set: freshness as in a design file, and what only a running cache has."""

from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict

from tenfold.errors import UsageError
from tenfold.fields import key_of, setting
from tenfold.policies.cache.freshness import Config
from tenfold.policies.call import circuit_breaker
from tenfold.policies.verbs import LONGEST_NS
from tenfold.settings import configured

BYPASS, STALE, FAIL = 0, 1, 2
"""Limits.on_store_down."""

MS, S = 1_000_000, 1_000_000_000

BREAKER = circuit_breaker.Config(failures=3, open_ns=500 * MS, probes=1, lease_ns=5 * S)
"""Around the store. Open for half a second: it is back in use within a second of its return."""


class Freshness(TypedDict, total=False):
    """The keys of `freshness.Config`, written as in a design file: "5 min", "10 %", True."""

    ttl: str
    ttl_jitter: str | float
    lock: bool | str
    lease: str
    early_refresh: str | float
    stale_while_revalidate: str
    fail_safe: str
    negative_ttl: str
    load_backoff: str
    late_fill: str


@dataclass(frozen=True, slots=True)
class Local:
    """Settings of the layer in the process's own memory."""

    ttl_ns: int = setting(
        1_000_000_000,
        "How long a copy is served without asking the store, should a change not be heard of.",
        low=1,
        high=LONGEST_NS,
        main=True,
        source="nginx microcaching: 1 s",
    )
    entries: int = setting(10_000, "How many copies at most.", low=1, high=10**9, source="10 MB at 1 KB a value")


@dataclass(frozen=True, slots=True)
class Limits:
    """Settings of a running cache beyond freshness."""

    soft_timeout_ns: int = setting(
        0,
        "How long a caller waits for a load when there is an old value to serve; 0: to its end.",
        low=0,
        high=LONGEST_NS,
        source="off",
    )
    hard_timeout_ns: int = setting(
        0,
        "How long a load may take, its wait for a turn included; 0: as long as it takes.",
        low=0,
        high=LONGEST_NS,
        source="off: the loader has time limits of its own",
    )
    loads_in_flight: int = setting(
        64,
        "Loads at once in this process; the others wait for their turn.",
        low=1,
        high=10**9,
        source="a database pool of a process has tens of connections",
    )
    on_store_down: int = setting(
        BYPASS,
        "What a caller gets while the store is down.",
        choices=("bypass", "stale", "fail"),
        source="bypass: what a get, miss, load does when the get fails",
    )


def freshness_of(config: Config | None, given: Freshness) -> Config:
    """The policy: a Config as it is, or settings; these lock unless they say otherwise.

    Raises:
        UsageError: when settings cannot be read, or both are given.
    """
    if config is None:
        return _config({"lock": True, **given})
    if given:
        raise UsageError(f"config and {', '.join(given)} are both given", "give one of them")
    return config


def overridden(config: Config, given: Freshness) -> Config:
    """The policy with some settings changed.

    Raises:
        UsageError: when settings cannot be read.
    """
    changed = _config(dict(given))
    names = [field.name for field in fields(Config) if key_of(field.name) in given]
    return replace(config, **{name: getattr(changed, name) for name in names})


def _config(given: dict[str, Any]) -> Config:
    read: Config = configured(Config, given, "cache")
    return read
