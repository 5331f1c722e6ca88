"""P(stuck) and its interval."""

import pytest

from runs import LATE, RECOVERED, STOPPED, STUCK, design_of, recovers, scenario_of
from tenfold.results.run import Run
from tenfold.verdict import Verdict, judge, replications, wilson


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Stat. Med. 17 (1998), table I,
        # method 3 (Wilson score without continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_matches_published_values(hits: int, trials: int, low: float, high: float) -> None:
    found = wilson(hits, trials)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_wilson_is_symmetric() -> None:
    some, others = wilson(3, 40), wilson(37, 40)
    assert some.low == pytest.approx(1 - others.high)


def _judged(run: Run) -> Verdict:
    return judge(design_of(), scenario_of(recovers(60)), run)


def test_undecided_runs_count_for_nothing() -> None:
    found = replications([(3, _judged(STOPPED)), (2, _judged(STUCK)), (1, _judged(RECOVERED))], planned=40)
    assert found.stuck == wilson(1, 2)
    assert found.states == ((1, "recovered"), (2, "METASTABLE"), (3, "undecided"))
    assert (found.decided, found.planned) == (2, 40)


def test_missed_expectations_are_counted() -> None:
    found = replications([(1, _judged(LATE)), (2, _judged(RECOVERED))], planned=2)
    assert found.missed == {"recovers within 60 s": 1}
    assert (found.fastest_ns, found.slowest_ns) == (12_000_000_000, 90_000_000_000)


def test_no_decided_run_gives_no_share() -> None:
    assert replications([], planned=3).stuck is None
