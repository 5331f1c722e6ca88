"""The command line end to end: a small design, the real engine. The engine is compiled once and cached on disk."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_commands import SOURCES, called, started

from tenfold import api

DESIGN = """\
tenfold: 1
title: Reads
components:
  web: {kind: service, replicas: 2, cores: 2, workers: 32}
  db:  {kind: postgres, cores: 4, pool: 20}
flows:
  read:
    rate: 100/s
    steps:
      - run: web
        cpu: 1 ms
      - query: db
        takes: 4 ms
policies:
  client -> web: {timeout: 500 ms, retry: {attempts: 2, backoff: 50 ms}}
slo:
  read: {p99: 200 ms, availability: 90%}
requirements: {peak: 1x}
scenarios:
  slow_db:
    lasts: 3 min
    faults: [{at: 60 s, slow: db, by: 100x, for: 10 s}]
    expect: [recovers within 30 s]
  calm:
    lasts: 1 min
    expect: [read.p99 < 1 ms]
  long:
    lasts: 365 day
"""


@pytest.fixture
def design(tmp_path: Path) -> str:
    path = tmp_path / "reads.yaml"
    path.write_text(DESIGN, encoding="utf-8")
    return str(path)


def test_the_verdict_comes_first_and_the_last_lines_reproduce_it(
    capsys: pytest.CaptureFixture[str], design: str
) -> None:
    code, out, _ = called(capsys, "simulate", design, "-s", "slow_db", "--seed", "7")
    lines = out.splitlines()
    assert lines[0].startswith("slow_db   3 min simulated, ")
    assert lines[1].startswith("  recovered  ")
    assert f"again    tenfold simulate {design} -s slow_db --seed 7" in lines[-2]
    assert "seed 7" in lines[-1]
    assert code == int("✗" in out)


def test_all_scenarios_run_when_none_is_named_and_a_missed_expectation_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    short = tmp_path / "short.yaml"
    short.write_text(DESIGN.split("  long:")[0], encoding="utf-8")
    code, out, _ = called(capsys, "simulate", str(short))
    assert code == 1
    assert "\nslow_db   " in "\n" + out
    assert "\ncalm   " in out
    assert "✗ read.p99 < 1 ms" in out


def test_the_same_seed_gives_the_same_bytes(capsys: pytest.CaptureFixture[str], design: str, tmp_path: Path) -> None:
    first, second, other = (str(tmp_path / name) for name in ("1.json", "2.json", "3.json"))
    for target, seed in ((first, "3"), (second, "3"), (other, "4")):
        called(capsys, "simulate", design, "-s", "calm", "--seed", seed, "-o", target)
    assert Path(first).read_bytes() == Path(second).read_bytes()
    assert Path(first).read_bytes() != Path(other).read_bytes()
    assert api.saved(first)[0].run.seed == 3


def test_overrides_and_load_are_in_the_report(capsys: pytest.CaptureFixture[str], design: str) -> None:
    override = "components.db.pool=30"
    _, out, _ = called(capsys, "simulate", design, "-s", "calm", "--load", "0.5x", "--set", override)
    assert out.startswith("calm at 0.5x   ")
    assert f"-s calm --load 0.5x --set {override} --seed 1" in out


def test_a_scenario_that_is_not_there_is_refused_before_anything_runs(
    capsys: pytest.CaptureFixture[str], design: str
) -> None:
    code, out, err = called(capsys, "simulate", design, "-s", "slow_bd")
    assert (code, out) == (2, "")
    assert "did you mean 'slow_db'?" in err


def test_replications_answer_with_an_interval(capsys: pytest.CaptureFixture[str], design: str) -> None:
    code, out, _ = called(capsys, "simulate", design, "-s", "slow_db", "--seeds", "4", "--seed", "10")
    assert code in (0, 1)
    assert out.startswith("slow_db   4 runs, seeds 10..13\n")
    assert "P(stuck)  0 %   95 % interval 0 % to 49 % (Wilson)" in out


def test_replications_do_not_depend_on_the_number_of_workers(design: str) -> None:
    loaded = api.load(design)
    one, two = (api.simulate_many(loaded, "slow_db", range(3), workers=workers) for workers in (1, 2))
    assert one == two


def test_a_design_is_compared_with_and_without_a_change(capsys: pytest.CaptureFixture[str], design: str) -> None:
    code, out, _ = called(capsys, "compare", design, design, "-s", "slow_db", "--set-b", "components.db.pool=2")
    assert code == 0
    assert "seed 1 (same arrivals in both)" in out
    assert f"B  {design} with components.db.pool=2" in out


def test_a_saved_run_is_compared_under_its_own_seed(
    capsys: pytest.CaptureFixture[str], design: str, tmp_path: Path
) -> None:
    saved = str(tmp_path / "run.json")
    called(capsys, "simulate", design, "-s", "calm", "--seed", "9", "-o", saved)
    code, out, _ = called(capsys, "compare", saved, design)
    assert (code, "seed 9 (same arrivals in both)" in out) == (1, True)  # `calm` expects too much


def test_a_design_with_mistakes_is_answered_by_all_of_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(DESIGN.replace("pool: 20", "pool: many").replace("cpu: 1 ms", "cpu: 1m"), encoding="utf-8")
    code, out, err = called(capsys, "simulate", str(broken))
    assert (code, out) == (2, "")
    assert f"{broken}:5:" in err
    assert "2 mistakes" in err


@pytest.mark.parametrize("verb", ["size", "explain", "simulate", "compare"])
def test_a_folder_is_no_design(capsys: pytest.CaptureFixture[str], verb: str, tmp_path: Path) -> None:
    arguments = [verb, str(tmp_path)] + (["other"] if verb == "compare" else [])
    code, out, _ = called(capsys, *arguments)
    assert (code, out) == (2, "")


def test_defaults_are_explained_with_their_source(capsys: pytest.CaptureFixture[str], design: str) -> None:
    code, out, _ = called(capsys, "explain", design)
    assert code == 0
    assert "pool_queue: " in out
    assert "  pool: " not in out
    assert "policies.client -> web.retry" in out


def test_a_new_file_loads_and_is_not_overwritten(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert called(capsys, "new", "shop")[0] == 0
    assert called(capsys, "size", "shop.yaml")[0] == 0
    assert json.loads(Path(".tenfold/schema.json").read_text())["properties"]["tenfold"]
    assert called(capsys, "new", "shop")[0] == 2
    assert called(capsys, "new", "shop", "--force")[0] == 0


def test_ctrl_c_reports_what_was_simulated(design: str) -> None:
    command = [sys.executable, "-m", "tenfold", "simulate", design, "-s", "long"]
    ours, theirs = pty.openpty()  # a progress bar is drawn on terminals only; it says that simulating has begun
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": SOURCES}, stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    shown = read_until(ours, "real time")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    shown += read_until(ours, "")
    os.close(ours)
    assert process.returncode == 130
    assert "stopped early" in out
    assert "Traceback" not in shown


def read_until(terminal: int, words: str) -> str:
    """What a terminal shows until the words are there; to its end when there are none."""
    shown = ""
    while not words or words not in shown:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # what a closed terminal answers
            read = b""
        if not read:
            assert not words, f"ended without {words!r}: {shown}"
            break
        shown += read.decode(errors="replace")
    return shown


def test_exit_codes_of_real_runs(design: str) -> None:
    assert started(["simulate", design, "-s", "slow_db"]).returncode in (0, 1)
    assert started(["simulate", design, "-s", "calm"]).returncode == 1
    assert started(["simulate", design, "-s", "nowhere"]).returncode == 2
