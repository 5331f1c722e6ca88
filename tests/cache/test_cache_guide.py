"""The guide's Python runs, block after block, as one program over a real Redis."""

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from servers import RedisServer

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "cache.md"


def test_the_guide_runs(shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", shared_redis.url)
    names: dict[str, Any] = {"__name__": "guide"}
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    with asyncio.Runner() as runner:
        for body in blocks:
            waits = eval(compile(body, str(GUIDE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)  # noqa: S307 - our own page
            if inspect.iscoroutine(waits):
                runner.run(waits)
        runner.run(asyncio.sleep(0))
