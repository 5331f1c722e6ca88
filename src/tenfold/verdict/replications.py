"""How often does it get stuck? A share with its interval, over many seeds.

Recovery is bimodal: a run is back after seconds or never. A mean of recovery times averages numbers with infinities and
describes no run at all, so there is none here: the answer is P(stuck) and how sure it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tenfold.verdict.verdict import METASTABLE, UNDECIDED, Verdict

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: two-sided 95 %."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A share and the interval it lies in with 95 % confidence."""

    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Replications:
    """Many runs of one scenario.

    states: (seed, state) of every run that was judged. stuck: None when no run could be decided.
    fastest_ns, slowest_ns: recovery of the runs that got back; None when none did.
    missed: expectation or SLO -> runs that missed it. planned: runs asked for.
    """

    states: tuple[tuple[int, str], ...]
    stuck: Interval | None
    fastest_ns: int | None
    slowest_ns: int | None
    missed: dict[str, int]
    planned: int

    @property
    def decided(self) -> int:
        """Runs that count: those that went on long enough to tell."""
        return sum(state != UNDECIDED for _, state in self.states)

    def count(self, state: str) -> int:
        """Runs that ended in this state."""
        return sum(found == state for _, found in self.states)


def wilson(hits: int, trials: int, z: float = Z_95) -> Interval:
    """The score interval of a share: (p + z2/2n +- z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n).

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927). Unlike
    p +- z sqrt(p(1-p)/n) it stays within 0..1 and says something sensible when no run, or every run, is stuck.

    Args:
        hits: how many of the trials, 0 <= hits <= trials.
        trials: how many there were, at least 1.
        z: quantile of the normal distribution for the wanted confidence.
    """
    assert 0 <= hits <= trials, (hits, trials)
    assert trials > 0
    share = hits / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low = 0.0 if hits == 0 else (centre - spread) / scale
    high = 1.0 if hits == trials else (centre + spread) / scale
    return Interval(share, low, high)


def replications(verdicts: Sequence[tuple[int, Verdict]], planned: int) -> Replications:
    """Put the verdicts of (seed, verdict) together; runs that could not be decided count for nothing."""
    ordered = sorted(verdicts, key=lambda item: item[0])
    decided = [verdict for _, verdict in ordered if verdict.state != UNDECIDED]
    stuck = sum(verdict.state == METASTABLE for verdict in decided)
    back = [v.recovery_ns for v in decided if v.recovery_ns is not None and v.relapse_ns is None]
    return Replications(
        states=tuple((seed, verdict.state) for seed, verdict in ordered),
        stuck=wilson(stuck, len(decided)) if decided else None,
        fastest_ns=min(back, default=None),
        slowest_ns=max(back, default=None),
        missed=_missed([verdict for _, verdict in ordered]),
        planned=planned,
    )


def _missed(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many runs missed each expectation or SLO, those never missed included."""
    counts: dict[str, int] = {}
    for verdict in verdicts:
        for check in verdict.checks:
            counts[check.text] = counts.get(check.text, 0) + (check.passed is False)
    return counts
