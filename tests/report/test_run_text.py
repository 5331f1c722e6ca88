"""Texts as people see them. `TENFOLD_WRITE_GOLDEN=1 pytest tests/report` writes them anew; read the diff."""

import os
from dataclasses import fields, replace
from pathlib import Path

import pytest

from runs import LATE, MS, RECOVERED, SLO, STOPPED, STUCK, UNTOUCHED, design_of, metric, recovers, scenario_of
from tenfold.report.compare_text import compare_text
from tenfold.report.replications_text import replications_text
from tenfold.report.run_text import Circumstances, run_text
from tenfold.report.style import Style
from tenfold.results.run import ArrowRun, Run
from tenfold.verdict import Verdict, compare, judge, replications

GOLDEN = Path(__file__).parent / "golden"
SCENARIO = scenario_of(recovers(60), metric("read.p99 < 500 ms", "read", "p99", "<", 500 * MS))
AROUND = Circumstances("tenfold simulate reads.yaml -s stampede --seed 7", 3.2, (("db", 1.6), ("cache", 3.1)))


def judged(run: Run) -> Verdict:
    return judge(design_of(SLO), SCENARIO, run)


def texts() -> dict[str, str]:
    many = [(seed, judged(run)) for seed, run in enumerate((STUCK, RECOVERED, LATE, STOPPED, STUCK))]
    return {
        "metastable": run_text(STUCK, judged(STUCK), Style(), AROUND),
        "metastable_plain_80": run_text(STUCK, judged(STUCK), Style(unicode=False, width=80), AROUND),
        "recovered": run_text(RECOVERED, judged(RECOVERED), Style(), AROUND),
        "untouched": run_text(UNTOUCHED, judged(UNTOUCHED), Style()),
        "stopped": run_text(STOPPED, judged(STOPPED), Style()),
        "compare": compare_text(
            compare(STUCK, judged(STUCK), RECOVERED, judged(RECOVERED)), "reads.yaml", "reads.yaml with lock", Style()
        ),
        "replications": replications_text(replications(many, 40), "stampede", AROUND.command, Style()),
    }


@pytest.mark.parametrize("name", texts())
def test_the_text_is_as_it_was_agreed(name: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("TENFOLD_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(texts()[name], encoding="utf-8")
    assert texts()[name] == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("run", [STUCK, RECOVERED, STOPPED])
def test_no_line_is_wider_than_the_terminal(width: int, run: Run) -> None:
    lines = run_text(run, judged(run), Style(width=width)).splitlines()[1:]
    assert max(len(line) for line in lines) <= max(width, 80)


def test_every_counter_of_an_arrow_is_told_when_there_is_something_to_tell() -> None:
    counters = {field.name: 1000 + number for number, field in enumerate(fields(ArrowRun))}
    run = replace(RECOVERED, arrows={"client -> cache": ArrowRun(**counters)})
    text = run_text(run, judged(run), Style(width=400))
    assert all(f"{value:,}" in text for name, value in counters.items() if name != "attempts")


def test_plain_text_is_ascii() -> None:
    assert run_text(STUCK, judged(STUCK), Style(unicode=False), AROUND).isascii()


def test_colour_comes_only_when_asked_for_and_changes_no_character() -> None:
    plain = run_text(STUCK, judged(STUCK), Style(), AROUND)
    coloured = run_text(STUCK, judged(STUCK), Style(colour=True), AROUND)
    assert "\033" not in plain
    assert "\033[1;31mMETASTABLE" in coloured
    for code in ("0", "1", "2", "31", "32", "33", "36", "1;31"):
        coloured = coloured.replace(f"\033[{code}m", "")
    assert coloured == plain
