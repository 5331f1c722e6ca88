"""Run the commands shown in README and docs and write down what they print: `uv run python tools/shown.py [FILE ...]`.

A block that begins with ```console holds commands after `$ `; what follows is replaced by their output. The rest of
that line says how:

    asis        leave the block alone
    first=12    the first 12 lines of each output, then `...`
    last=3      ..., then the last 3 lines

A block that begins with ```yaml NAME.yaml or ```csv NAME.csv is written to that file first. Every page runs in a
folder of its own, its blocks in order.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (?P<text>(?:[^\n]*\\\n)*[^\n]+)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its text, and where that stands in the page."""

    language: str
    words: tuple[str, ...]
    body: str
    start: int
    end: int

    def number(self, name: str) -> int:
        """The value of a word such as `first=12`; 0 without it."""
        return next((int(word.partition("=")[2]) for word in self.words if word.startswith(f"{name}=")), 0)

    @property
    def commands(self) -> list[str]:
        """The commands of a console block, continued lines included."""
        return [found["text"] for found in COMMAND.finditer(self.body)] if self.language == "console" else []


def pages() -> list[Path]:
    """README and every page of the docs."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    for found in BLOCK.finditer(text):
        language, *words = found["info"].split()
        yield Block(language, tuple(words), found["body"], found.start("body"), found.end("body"))


def output(command: str, folder: Path) -> list[str]:
    """What a command prints on both streams, line by line."""
    tenfold = f'tenfold() {{ "{sys.executable}" -m tenfold "$@"; }}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(  # noqa: S603 (the commands are our own pages')
        ["bash", "-c", f"{tenfold}\n{command}"],  # noqa: S607
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    lines = [line.rstrip() for line in done.stdout.rstrip("\n").split("\n")] if done.stdout else []
    return [line for line in lines if not line.startswith("compiling the engine")]


def shortened(lines: list[str], first: int, last: int) -> list[str]:
    """The lines asked for, `...` between them."""
    if not (first or last) or len(lines) <= first + last + 1:
        return lines
    return [*lines[:first], "...", *(lines[-last:] if last else [])]


def filled(block: Block, folder: Path) -> str:
    """A console block with fresh output."""
    parts = []
    for command in block.commands:
        sys.stderr.write(f"$ {command}\n")
        lines = shortened(output(command, folder), block.number("first"), block.number("last"))
        parts.append("\n".join([f"$ {command}", *lines]))
    return "\n\n".join(parts) + "\n"


def refreshed(text: str) -> str:
    """A page with fresh output."""
    parts, done = [], 0
    with tempfile.TemporaryDirectory() as name:
        for block in blocks(text):
            if block.language in ("yaml", "csv") and block.words and block.words[0].endswith(f".{block.language}"):
                (Path(name) / block.words[0]).write_text(block.body, encoding="utf-8")
            if block.language == "console" and "asis" not in block.words:
                parts += [text[done : block.start], filled(block, Path(name))]
                done = block.end
    return "".join(parts) + text[done:]


if __name__ == "__main__":
    for page in [Path(name).resolve() for name in sys.argv[1:]] or pages():
        page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")
