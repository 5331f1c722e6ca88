"""Runs a design in a process of its own: for what could bring the process down, and for comparing processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_CHILD = """
import json, sys
from small_runs import run_of, totals
told = json.load(sys.stdin)
print(json.dumps(totals(run_of(told.pop("body"), **told))))
"""


def python(code: str, stdin: str = "", timeout_s: float = 300) -> "subprocess.CompletedProcess[str]":
    """Run a piece of Python that can import this folder and the package."""
    path = os.pathsep.join([str(Path(__file__).parent), *(p for p in sys.path if p)])
    return subprocess.run(
        [sys.executable, "-c", code],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )


def totals_of(body: str, **how: Any) -> dict[str, Any]:
    """Sums of a run made in another process; fails with what that process had to say."""
    done = python(_CHILD, json.dumps({"body": body, **how}), timeout_s=90)
    assert done.returncode == 0, f"the engine brought its process down ({done.returncode}): {done.stderr[:400]}"
    return dict(json.loads(done.stdout))
