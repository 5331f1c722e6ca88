"""The public door, written down to be reviewed: names, arguments, defaults, types."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_public_door_is_the_one_that_was_reviewed() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from public_api import TARGET, public_api
    finally:
        sys.path.pop(0)
    assert TARGET.read_text(encoding="utf-8") == public_api(), "reviewed? uv run python tools/public_api.py"
