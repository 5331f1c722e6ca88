"""Every Python block of README and docs runs: a page's blocks in their order, in one namespace, in a folder of its own.

    ```python           runs. It may `await`; all blocks of a page share one event loop. Its `test_...` functions are
                        called.
    ```python asis      is left alone: a fragment that is not meant to run
    ```yaml NAME.yaml   is written to that file first

A page that reads DATABASE_URL or REDIS_URL from the environment finds a real server there.
"""

import ast
import asyncio
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
try:
    from shown import Block, blocks, pages
finally:
    sys.path.pop(0)

SERVERS = {"DATABASE_URL": "postgres_url", "REDIS_URL": "redis"}
"""Environment variable -> the fixture that has its value."""


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python_blocks(text: str) -> list[Block]:
    return [block for block in blocks(text) if block.language == "python"]


PAGES = [page for page in pages() if python_blocks(page.read_text(encoding="utf-8"))]


def play(page: Path) -> dict[str, Any]:
    """Run the blocks of a page in the current folder; the names they leave."""
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": page.stem.replace("-", "_")}
    with asyncio.Runner() as runner:
        for block in blocks(text):
            if block.language == "yaml" and block.words and block.words[0].endswith(".yaml"):
                Path(block.words[0]).write_text(block.body, encoding="utf-8")
            elif block.language == "python" and "asis" not in block.words:
                run(block, page, text.count("\n", 0, block.start), names, runner)
    return names


def run(block: Block, page: Path, line: int, names: dict[str, Any], runner: asyncio.Runner) -> None:
    """Run one block, and the tests it defines; a traceback shows the page's own lines."""
    code = compile("\n" * line + block.body, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    before = dict(names)
    waits = eval(code, names)  # noqa: S307 - our own pages
    if inspect.iscoroutine(waits):
        runner.run(waits)
    for name, value in list(names.items()):
        if name.startswith("test_") and before.get(name) is not value:
            value()


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_python_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    text = page.read_text(encoding="utf-8")
    for variable, fixture in SERVERS.items():
        if variable in text:
            server = request.getfixturevalue(fixture)
            monkeypatch.setenv(variable, getattr(server, "url", server))
    monkeypatch.chdir(tmp_path)
    play(page)


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_python_blocks_say_nothing_but_asis(page: Path) -> None:
    for block in python_blocks(page.read_text(encoding="utf-8")):
        assert set(block.words) <= {"asis"}, f"{shown(page)}: unknown word after python: {block.words}"


# The blocks' own test.


def page_of(text: str, folder: Path) -> Path:
    page = folder / "a-page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_blocks_share_names_and_a_loop_and_find_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = """
```yaml answer.yaml
42
```
```python
import asyncio
lock = asyncio.Lock()
await lock.acquire()
```
```python
from pathlib import Path
lock.release()
answer = int(Path("answer.yaml").read_text())
```
```python asis
answer = ...
```
"""
    assert play(page_of(text, tmp_path))["answer"] == 42


@pytest.mark.parametrize(
    "body", ["assert 1 == 2", "await asyncio.sleep(0); assert 1 == 2", "def test_it():\n    assert 1 == 2"]
)
def test_a_block_that_fails_fails_at_its_line(body: str, tmp_path: Path) -> None:
    page = page_of(f"# Page\n\n```python\nimport asyncio\n{body}\n```\n", tmp_path)
    with pytest.raises(AssertionError) as caught:
        play(page)
    last = caught.traceback[-1]
    assert (str(last.path), last.lineno + 1) == (str(page), 5 + body.count("\n"))


def test_every_variable_a_page_reads_names_a_server() -> None:
    for page in PAGES:
        read = re.findall(r'environ\["(\w+)"\]', page.read_text(encoding="utf-8"))
        assert set(read) <= set(SERVERS), shown(page)
