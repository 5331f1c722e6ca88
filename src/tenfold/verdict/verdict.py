"""What a verdict is: values only. How it is reached stands in `judge.py`."""

from dataclasses import dataclass, field

STEADY, RECOVERED, DEGRADED, METASTABLE, UNDECIDED = "steady", "recovered", "degraded", "METASTABLE", "undecided"
"""States of a system after its triggers. METASTABLE shouts, in every format, because it does not end by itself."""


@dataclass(frozen=True, slots=True)
class Tolerances:
    """What "back to baseline" means, in numbers. They are Tenfold's own choice: the papers define the state in words.

    success_drop: the success ratio may be this much lower (in points of one).
    goodput_drop: good answers per offered request may be lower by this share.
    p95_factor, p95_slack_ns: p95 may be this many times the baseline's, or this much longer, whichever is more; without
        the slack a cache whose hit ratio moves from 95.1 to 94.9 % would count as broken.
    window_ns, requests_min: each moment is judged over a window this long, longer when fewer requests would be in it,
        so that one unlucky request is not a relapse.
    lasting_ns: the baseline must hold for so long before it counts as reached.
    within_ns: time to recover when the scenario does not state one.
    partly_ratio: with at least this share of the baseline's goodput at the end, a system is degraded, not metastable:
        Bronson et al. speak of "ultra-low goodput", and a backlog being worked off is none.
    """

    success_drop: float = 0.01
    goodput_drop: float = 0.05
    p95_factor: float = 2.0
    p95_slack_ns: int = 20_000_000
    window_ns: int = 5_000_000_000
    requests_min: int = 500
    lasting_ns: int = 30_000_000_000
    within_ns: int = 60_000_000_000
    partly_ratio: float = 0.9


@dataclass(frozen=True, slots=True)
class Check:
    """One `expect` or one limit of an SLO, with what was measured.

    kind: "expect" or "slo". passed: None when the run cannot tell (interrupted, nothing measured).
    unit: ns, ratio, per_s or "" of `measured` and `limit`. remark: what the number alone does not say.
    """

    kind: str
    text: str
    passed: bool | None
    measured: float | None
    limit: float
    unit: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """One flow over a stretch of time: share of requests that succeeded, good answers per offered request, p95."""

    success_ratio: float
    goodput_ratio: float
    p95_ns: float  # median over the bins; NO_SAMPLE when nothing succeeded
    offered_per_s: float


@dataclass(frozen=True, slots=True)
class Saturation:
    """A resource that ran out: from when on, how busy it was and how many waited."""

    component: str
    resource: str
    at_ns: int
    utilisation: float
    queue: float


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst moment: share of the requests that ended in that bin with a failure."""

    flow: str
    errors_ratio: float
    at_ns: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of `judge`.

    recovery_ns: from the end of the last trigger (from its start when it stays) to the baseline; None: not reached.
    gone_ns: when the last trigger was gone; None: no trigger, or one that stays to the end.
    relapse_ns: when a system that had recovered left its baseline again; None: it did not.
    saturated: what ran out, first things first. why: one sentence with the numbers.
    """

    state: str
    why: str
    checks: tuple[Check, ...]
    recovery_ns: int | None = None
    gone_ns: int | None = None
    relapse_ns: int | None = None
    worst: Worst | None = None
    saturated: tuple[Saturation, ...] = ()
    baseline: dict[str, Level] = field(default_factory=dict)
    ending: dict[str, Level] = field(default_factory=dict)

    @property
    def missed(self) -> tuple[Check, ...]:
        """The checks that failed: the reason for exit code 1."""
        return tuple(check for check in self.checks if check.passed is False)
