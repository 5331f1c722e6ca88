"""Types of the public door, as mypy sees them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.mark.parametrize("path", sorted(HERE.glob("[!t]*.py")), ids=lambda path: path.stem)
def test_types_are_inferred(path: Path) -> None:
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    arguments = ["--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("", 0), done.stdout + done.stderr
