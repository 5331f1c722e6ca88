"""The command line without an engine: verbs, troubles, exit codes, saved runs."""

import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from runs import RECOVERED, STEADY, STOPPED, STUCK, Phase, S, design_of, recovers, run_of, scenario_of
from tenfold import api
from tenfold.api import Judged
from tenfold.cli import main
from tenfold.cli.group import VERBS
from tenfold.cli.progress import COMPILING, Bar
from tenfold.engine.run import Progress
from tenfold.report.run_json import runs_json
from tenfold.report.style import Style
from tenfold.results.run import Run
from tenfold.verdict import judge

SOURCES = str(Path(__file__).parents[2] / "src")


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command, in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    seen = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    assert "Traceback" not in seen.err
    return ended.value.code, seen.out, seen.err


def started(arguments: Sequence[str], **more: object) -> subprocess.CompletedProcess[str]:
    """A real process."""
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "tenfold", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )


@pytest.fixture
def saved(tmp_path: Path) -> tuple[str, str]:
    """Two files of saved runs."""

    def save(name: str, run: Run) -> str:
        path = tmp_path / name
        path.write_text(runs_json([(run, judge(design_of(), scenario_of(recovers(60)), run))]), encoding="utf-8")
        return str(path)

    return save("stuck.json", STUCK), save("recovered.json", RECOVERED)


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(capsys, "--help")
    assert code == 0
    assert all(f"  {verb} " in out for verb in VERBS)


def test_no_argument_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(capsys)
    assert (code, "Commands:" in out) == (0, True)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    code, out, _ = called(capsys, verb, "--help")
    assert (code, out.startswith(f"Usage: tenfold {verb}")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "reason", "remedy"),
    [
        (["simulat"], "there is no command 'simulat'", "did you mean 'simulate'?"),
        (["frobnicate"], "there is no command 'frobnicate'", "the commands are: tour"),
        (["simulate"], "missing argument 'DESIGN'", "tenfold simulate"),
        (["simulate", "--bogus", "x"], "no such option '--bogus'", "--help"),
        (["simulate", "x", "--seed", "-3"], "--seed", "--help"),
        (["simulate", "x", "--load", "10y"], "is not a factor", "--help"),
        (["simulate", "x", "--load", "0"], "is not above 0", "--help"),
        (["simulate", "x", "--seeds", "1"], "--seeds", "--help"),
        (["simulate", "no/such.yaml"], "there is no file no/such.yaml", "tenfold new such"),
        (["size", "tmeline"], "neither a file nor a shipped system 'tmeline'", "here are"),
        (["size", "pyproject.toml"], "not YAML", "--> pyproject.toml:2:1"),
        (["compare", "a.json", "b.json"], "a.json cannot be read: No such file", "saved run"),
        (["compare", "same", "same"], "A and B are the same", "--set-b"),
    ],
)
def test_bad_usage_is_answered_by_reason_and_remedy(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str, remedy: str
) -> None:
    code, out, err = called(capsys, *arguments)
    assert (code, out) == (2, "")
    assert reason in err
    assert remedy in err


def test_saved_runs_are_compared(capsys: pytest.CaptureFixture[str], saved: tuple[str, str]) -> None:
    code, out, _ = called(capsys, "compare", *saved)
    assert code == 0
    assert "METASTABLE" in out
    assert "same arrivals in both" in out
    assert "never" in out


def test_a_comparison_is_written_to_a_file_by_its_name(
    capsys: pytest.CaptureFixture[str], saved: tuple[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "compared.json"
    code, out, err = called(capsys, "compare", *saved, "--output", str(target))
    assert (code, out, err) == (0, "", f"wrote {target}\n")
    assert json.loads(target.read_text())["comparisons"][0]["verdict_a"]["state"] == "METASTABLE"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compared.json", "recovered.json", "stuck.json"]


def test_a_scenario_the_runs_do_not_have_is_refused(capsys: pytest.CaptureFixture[str], saved: tuple[str, str]) -> None:
    code, _, err = called(capsys, "compare", *saved, "-s", "stamped")
    assert (code, "did you mean 'stampede'?" in err) == (2, True)


def test_nothing_of_a_saved_run_can_be_set(capsys: pytest.CaptureFixture[str], saved: tuple[str, str]) -> None:
    code, _, err = called(capsys, "compare", *saved, "--set-b", "a.b=1")
    assert (code, "is a saved run" in err) == (2, True)


def test_an_output_that_cannot_be_written_is_no_traceback(
    capsys: pytest.CaptureFixture[str], saved: tuple[str, str]
) -> None:
    code, _, err = called(capsys, "compare", *saved, "-o", "/no/such/folder/x.txt")
    assert (code, "/no/such/folder/x.txt: No such file or directory" in err) == (2, True)


def test_a_comparison_whose_second_side_misses_something_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], saved: tuple[str, str]
) -> None:
    code, out, _ = called(capsys, "compare", *reversed(saved))
    assert (code, "missed: recovers within 60 s" in out) == (1, True)


def test_a_comparison_stopped_on_its_first_side_does_not_begin_the_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def stopped(design: object, scenario: str, **_: object) -> Judged:
        asked.append(scenario)
        return Judged(STOPPED, judge(design_of(), scenario_of(), STOPPED))

    monkeypatch.setattr(api, "simulate", stopped)
    code, out, err = called(capsys, "compare", "timeline", "timeline", "--set-b", "components.api.replicas=30")
    assert (code, out, len(asked)) == (130, "", 1)
    assert "stopped: there is nothing to compare timeline with" in err
    assert "2 min of 5 min simulated" in err


def test_runs_with_other_flows_loads_or_lengths_have_no_arrivals_in_common(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    quicker = run_of(Phase(0, rate=2000), trigger=None)
    shorter = run_of(Phase(0), trigger=None, lasts_s=200)
    other = replace(STEADY, flows={"write": STEADY.flows["read"]})
    paths = [_saved(tmp_path / f"{i}.json", run) for i, run in enumerate((STEADY, quicker, shorter, other))]
    for path, note in (
        (paths[1], "different arrivals of read"),
        (paths[2], "different lengths: 5 min and 200 s"),
        (paths[3], "different arrivals of read, write"),
    ):
        _, out, _ = called(capsys, "compare", paths[0], path)
        assert note in out
        assert ("same arrivals in both" in out) == (path == paths[2])


def test_flows_that_messages_start_do_not_make_arrivals_differ(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    runs = []
    for number, rate in enumerate((10, 20)):
        delivered = replace(run_of(Phase(0, rate=rate), trigger=None).flows["read"], is_triggered=True)
        runs.append(_saved(tmp_path / f"{number}.json", replace(STEADY, flows={**STEADY.flows, "deliver": delivered})))
    _, out, _ = called(capsys, "compare", *runs)
    assert "same arrivals in both" in out
    assert "note" not in out


def _saved(path: Path, run: Run) -> str:
    path.write_text(runs_json([(run, judge(design_of(), scenario_of(), run))]), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["", ".", "..", "shop/", ".yaml", " "])
def test_a_design_without_a_name_is_not_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = called(capsys, "new", name)
    assert (code, "is no name for a file" in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_same_name_does_not_hide_a_shipped_system(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "timeline").mkdir()
    code, out, _ = called(capsys, "size", "timeline")
    assert (code, out.startswith("Home timeline")) == (0, True)


def test_a_run_in_which_nothing_has_happened_yet_is_not_taken_for_compiling() -> None:
    stream = io.StringIO()
    bar = Bar("s", stream, Style())
    bar(Progress(0, 60 * S, 0, 0, wall_s=60.0, is_compiled=True))
    assert stream.getvalue() == ""
    bar(Progress(0, 60 * S, 0, 0, wall_s=60.0, is_compiled=False))
    assert stream.getvalue() == f"{COMPILING}\n"


def test_a_fault_of_our_own_is_one_line_and_its_own_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenfold.api.saved", lambda path: 1 / 0)
    code, _, err = called(capsys, "compare", "a.json", "b.json")
    assert (code, "ZeroDivisionError" in err, "please report" in err) == (3, True, True)


def test_ctrl_c_before_there_is_anything_to_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tenfold.api.saved", interrupted)
    code, out, err = called(capsys, "compare", "a.json", "b.json")
    assert (code, out, err.strip()) == (130, "", "stopped")


def test_a_terminal_without_unicode_gets_plain_characters(
    monkeypatch: pytest.MonkeyPatch, saved: tuple[str, str]
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit):
        main(["compare", *saved])
    stream.seek(0)
    assert "METASTABLE" in stream.read()


def test_exit_codes_of_a_real_process(saved: tuple[str, str]) -> None:
    assert started(["compare", *saved]).returncode == 0
    refused = started(["compare", "x.json", "y.json"])
    assert (refused.returncode, refused.stdout) == (2, "")


def test_a_reader_that_leaves_is_no_trouble(saved: tuple[str, str]) -> None:
    command = f"{sys.executable} -m tenfold compare {saved[0]} {saved[1]} --format json | head -c 10"
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) == 10


def test_help_costs_less_than_a_fifth_of_a_second_of_cpu() -> None:
    # 0.09 s on the machine this was written on; the bound leaves room for slow ones and is also given as a ratio.
    def cpu_s(arguments: list[str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(arguments, env={**os.environ, "PYTHONPATH": SOURCES}, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare = min(cpu_s([sys.executable, "-c", "import click"]) for _ in range(3))
    ours = min(cpu_s([sys.executable, "-m", "tenfold", "--help"]) for _ in range(3))
    assert ours < max(0.15, 2 * bare)


def test_help_imports_no_verb_and_nothing_heavy() -> None:
    code = (
        "import sys; from tenfold.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sys.modules, sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"numpy", "numba", "yaml", "tenfold.api", "tenfold.cli.simulate", "json"}


def test_importing_the_package_imports_nothing() -> None:
    code = "import sys; before = set(sys.modules); import tenfold; print(*sorted(set(sys.modules) - before))"
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["tenfold"]
