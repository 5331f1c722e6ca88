"""The guide's examples run, in their order and in one folder, as a reader would."""

import sys
from pathlib import Path

import pytest

from tenfold.cli import main

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guides" / "partitioning.md"
sys.path.insert(0, str(ROOT / "tools"))
try:
    from shown import blocks
finally:
    sys.path.pop(0)


def test_every_example_of_the_guide_runs_and_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "guide"}
    for block in blocks(GUIDE.read_text(encoding="utf-8")):
        if block.language == "csv":
            Path(block.words[0]).write_text(block.body, encoding="utf-8")
        if block.language == "python":
            exec(compile(block.body, GUIDE.name, "exec"), names)  # noqa: S102 - our own page
            capsys.readouterr()
        for command in block.commands:
            with pytest.raises(SystemExit) as ended:
                main(command.removeprefix("tenfold ").split())
            assert ended.value.code == 0
            printed = [line.rstrip() for line in capsys.readouterr().out.rstrip("\n").split("\n")]
            assert block.body == "\n".join([f"$ {command}", *printed]) + "\n"
