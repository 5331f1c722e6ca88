"""The tour's last table and its commands; the run itself is the shipped system's own test."""

import pytest

from runs import RECOVERED, STOPPED, STUCK, design_of, recovers, scenario_of
from tenfold.api import Judged
from tenfold.cli import tour
from tenfold.report.style import Style
from tenfold.results.run import Run
from tenfold.verdict import judge


def _judged(run: Run) -> Judged:
    flows = {tour.READS: run.flows["read"]}
    components = {tour.CACHE: run.components["cache"], tour.DATABASE: run.components["db"]}
    renamed = Run(**{name: getattr(run, name) for name in run.__slots__} | {"flows": flows, "components": components})
    return Judged(renamed, judge(design_of(), scenario_of(recovers(60)), renamed))


def test_the_last_table_is_understood_without_a_manual() -> None:
    assert tour.comparison_lines(_judged(STUCK), _judged(RECOVERED), Style()) == [
        "                                     as it was   lock + jitter",
        "──────────────────────────────────────────────────────────────",
        "reads that failed                       43.6 %          2.57 %   1/17",
        "reads that failed, worst moment           61 %            60 %   =",
        "99 of 100 reads answered within          3.8 s           1.6 s   1/2.4",
        "database calls per second, at most    1,030 /s          350 /s   1/2.9",
        "does it recover?                            no      after 12 s",
    ]


def test_an_incident_that_was_stopped_has_no_moral(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for run in (STOPPED, RECOVERED):
        monkeypatch.setattr(tour, "_run", lambda *_, run=run: _judged(run))
        tour._incident(tour.Guide(Style()), None, 1)  # type: ignore[arg-type]
        told.append("It got over it" in capsys.readouterr().out)
    assert told == [False, True]


def test_a_long_command_is_folded_where_a_shell_goes_on() -> None:
    folded = tour.folded("tenfold simulate timeline -s stampede --set components.a.b=c", 40)
    assert folded == ["tenfold simulate timeline -s stampede \\", "--set components.a.b=c"]
    assert max(map(len, folded)) <= 40
