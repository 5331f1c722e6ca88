"""What a limiter can be told."""

from dataclasses import dataclass

from tenfold.fields import setting
from tenfold.runtime.ratelimit.limits import QUOTA_MAX
from tenfold.units import HOUR, MS

MODES = ("local", "open", "closed")
LOCAL_MODE, OPEN_MODE, CLOSED_MODE = range(3)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a limiter."""

    on_store_down: int = setting(
        LOCAL_MODE,
        "Who decides while the store is down: local (this process counts for itself), open, or closed.",
        choices=MODES,
        source="never without a limit, never without service: processes x share of it at most",
    )
    share_ratio: float = setting(
        1.0,
        "Share of the limits this process grants by itself while the store is down.",
        low=0.000001,
        high=1.0,
        source="all of it: how many processes there are only you know",
    )
    leased: int = setting(
        1,
        "Units this process may take from the store at once, for a key that is hot; 1: it asks for every hit.",
        low=1,
        high=QUOTA_MAX,
        source="1: exact",
    )
    lease_for_ns: int = setting(
        1_000_000_000,
        "How long units taken may be granted.",
        low=MS,
        high=HOUR,
        source="1 s: what is counted and what passes are apart by no more",
    )
