"""Settings: how long keys are held and kept, and what is done when the outcome is not known."""

from dataclasses import dataclass
from typing import Any

from tenfold.errors import UsageError
from tenfold.fields import setting
from tenfold.settings import configured

MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """Settings of keys."""

    lease_ns: int = setting(
        30_000_000_000,
        "How long a process may be silent before the outcome of its work counts as unknown.",
        low=100 * MS,
        source="extended three times in that time, so it need not cover the work; 30 s outlasts pauses of a process",
    )
    keep_ns: int = setting(
        86_400_000_000_000,
        "How long a key and its answer are kept.",
        low=100 * MS,
        source="Stripe keeps keys for at least 24 h",
    )
    wait_ns: int = setting(
        0, "How long a repetition waits for the first request's answer.", low=0, source="the draft answers 409 at once"
    )
    on_unknown: str = setting(
        "refuse", "What to do when the outcome is unknown.", choices=("refuse", "run"), source="never twice in silence"
    )


@dataclass(frozen=True, slots=True)
class Sizes:
    """Settings of a middleware: what it holds in memory."""

    body_max_bytes: int = setting(
        1_048_576, "The largest body of a request with a key.", low=1, source="it is read before the application runs"
    )
    response_max_bytes: int = setting(
        1_048_576, "The largest answer that is kept.", low=1, source="a MiB for each key of a day"
    )


def terms_of(settings: dict[str, Any], what: str) -> Terms:
    """The terms of a mapping.

    Raises:
        UsageError: a setting cannot be read, or a key would be forgotten before its lease is over.
    """
    terms: Terms = configured(Terms, settings, what)
    if terms.keep_ns < terms.lease_ns:
        raise UsageError(f"{what} keeps keys for less than a lease", "make keep at least as long as lease")
    return terms
