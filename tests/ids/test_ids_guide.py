"""The guide's Python blocks run, in a folder of their own, one after the other in one module."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
try:
    from shown import blocks
finally:
    sys.path.pop(0)

GUIDE = ROOT / "docs" / "guides" / "ids.md"


def test_the_python_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = [block for block in blocks(GUIDE.read_text(encoding="utf-8")) if block.language == "python"]
    assert len(found) > 3
    space: dict[str, object] = {"__name__": "guide"}
    for block in found:
        exec(compile(block.body, str(GUIDE), "exec"), space)  # noqa: S102 - our own page
