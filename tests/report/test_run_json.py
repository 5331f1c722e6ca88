"""Saved runs come back as they were; equal runs are equal bytes."""

import json
from dataclasses import replace

import pytest

from runs import RECOVERED, SLO, STOPPED, STUCK, design_of, recovers, scenario_of
from tenfold.errors import UsageError
from tenfold.report.run_json import read_runs, runs_json
from tenfold.results.run import Run
from tenfold.verdict import Verdict, judge


def judged(run: Run) -> tuple[Run, Verdict]:
    return run, judge(design_of(SLO), scenario_of(recovers(60)), run)


def test_runs_come_back_as_they_were() -> None:
    written = tuple(judged(run) for run in (STUCK, RECOVERED, STOPPED))
    assert read_runs(runs_json(written), "run.json") == written


def test_equal_runs_are_equal_bytes_whatever_the_order_of_their_parts() -> None:
    turned = replace(STUCK, components=dict(reversed(STUCK.components.items())))
    assert turned == STUCK
    assert runs_json([judged(turned)]) == runs_json([judged(STUCK)])


def test_the_full_series_is_there() -> None:
    document = json.loads(runs_json([judged(STUCK)]))
    assert len(document["runs"][0]["run"]["flows"]["read"]["p99_ns"]) == 300
    assert document["runs"][0]["verdict"]["state"] == "METASTABLE"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no saved runs"),
        ("[1, 2]", "holds no saved runs"),
        ('{"a": 1}', "holds no saved runs"),
        ("[" * 100_000, "holds no saved runs"),
        ('{"tenfold_runs": 2, "runs": []}', "was written in format 2"),
        ('{"tenfold_runs": 1, "runs": [{"run": {}, "verdict": {}}]}', "damaged"),
        ('{"tenfold_runs": 1, "runs": 3}', "damaged"),
        ('{"tenfold_runs": 1}', "damaged"),
    ],
)
def test_other_files_are_refused_with_a_reason(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as refused:
        read_runs(text, "run.json")
    assert "tenfold simulate" in refused.value.remedy


def test_counters_an_earlier_version_did_not_know_are_zero() -> None:
    document = json.loads(runs_json([judged(STUCK)]))
    for arrow in document["runs"][0]["run"]["arrows"].values():
        del arrow["hedges"], arrow["rejected_by_throttle"]
    assert read_runs(json.dumps(document), "run.json") == (judged(STUCK),)


def test_a_value_of_another_type_is_refused() -> None:
    text = runs_json([judged(STUCK)]).replace('"seed":7', '"seed":"7"')
    with pytest.raises(UsageError, match="int expected, found str"):
        read_runs(text, "run.json")
