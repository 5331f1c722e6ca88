"""One Run schema, whether simulated or drilled: what happened, second by second, and where it came from.

Series are tuples with one number per bin of `bin_ns`. Percentiles are of successful requests, from the intended start
to the answer the client sees, retries included; `NO_SAMPLE` where a bin has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

NO_SAMPLE = -1

CAUSES = (
    *("timeout", "deadline", "refused", "overload"),
    *("throttled", "circuit_open", "rate_limited", "limited", "bulkhead_full"),
    *("no_answer", "error"),
)
"""Why a request failed in the end: its last attempt's cause.

timeout: no answer in time; deadline: the call's whole time was used up; refused: nobody listens (killed);
overload: a queue was full; throttled, circuit_open, rate_limited, limited, bulkhead_full: a policy refused;
no_answer: lost on the way (drop, partition) and no timeout was set; error: the component answered with an error.
"""


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of latencies after warm-up, in ns; percentiles have at most 1 % relative error."""

    count: int
    mean_ns: float
    p50_ns: int
    p95_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int
    sd_ns: float = 0.0


@dataclass(frozen=True, slots=True)
class FlowRun:
    """One flow: what the clients saw."""

    offered: tuple[int, ...]  # requests that started (not counting retries), per bin
    attempts: tuple[int, ...]  # tries that left the client, retries and hedges included
    good: tuple[int, ...]  # requests that ended in success, by the bin of their end
    failed: Mapping[str, tuple[int, ...]]  # cause -> requests that ended in failure, by the bin of their end
    p50_ns: tuple[int, ...]
    p95_ns: tuple[int, ...]
    p99_ns: tuple[int, ...]
    latency: Latency  # of successes after warm-up
    unfinished: int  # still under way at the end
    is_triggered: bool = False  # messages of a log start it, not clients


@dataclass(frozen=True, slots=True)
class ComponentRun:
    """One component: how busy it was."""

    calls: tuple[int, ...]  # visits that arrived, per bin ("database calls" of a postgres)
    failed: tuple[int, ...]  # visits refused or failed
    utilisation: Mapping[str, tuple[float, ...]]  # resource ("cpu", "workers", "connections") -> busy share, 0..1
    queue: tuple[float, ...]  # mean number waiting
    wait_ns: tuple[int, ...]  # time spent waiting in the bin / visits that arrived: the mean wait (Little's law)
    hits: tuple[int, ...] = ()  # caches: served from the cache (stale included)
    misses: tuple[int, ...] = ()
    loads: tuple[int, ...] = ()  # caches: loads started (background refreshes included)
    backlog: tuple[int, ...] = ()  # logs: messages waiting at the end of the bin


@dataclass(frozen=True, slots=True)
class ArrowRun:
    """One named arrow: what its policies did."""

    calls: int
    attempts: int
    retries: int
    timeouts: int
    rejected_by_breaker: int
    rejected_by_bulkhead: int
    breaker_opened: int
    budget_exhausted: int
    deadlines: int = 0  # calls whose whole time was used up
    rejected_by_throttle: int = 0
    rejected_by_rate_limit: int = 0
    rejected_by_limit: int = 0
    hedges: int = 0  # extra calls, beside the attempts
    hedges_won: int = 0  # those that answered first


@dataclass(frozen=True, slots=True)
class Trigger:
    """A fault or load step of the scenario, as it happened: text for people, and when it was there."""

    text: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run. Two runs with equal `seed`, `design`, `scenario` and `fingerprint` are equal byte for byte."""

    title: str
    design_path: str
    design: str  # fingerprint of the design text
    scenario: str
    source: str  # "simulated" or "drilled"
    seed: int
    version: str
    fingerprint: str  # of the sources that decide a run
    lasts_ns: int  # simulated so far (less than asked for when interrupted)
    asked_ns: int
    bin_ns: int
    warmup_ns: int
    load_factor: float
    flows: Mapping[str, FlowRun]
    components: Mapping[str, ComponentRun]
    arrows: Mapping[str, ArrowRun]  # "api -> tweets_db"
    triggers: tuple[Trigger, ...]
    requests: int  # offered over all flows
    events: int
    settings: Mapping[str, str] = field(default_factory=dict)  # --set overrides in force

    @property
    def is_complete(self) -> bool:
        """Whether the run reached its end."""
        return self.lasts_ns >= self.asked_ns
