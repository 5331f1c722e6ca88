"""README and docs: designs load, shown commands are commands, cheap ones run, links lead somewhere."""

import itertools
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tenfold import DesignError, api, systems
from tenfold.cli import main
from tenfold.cli.group import VERBS, group

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
try:
    from shown import Block, blocks, pages
finally:
    sys.path.pop(0)

PAGES = pages()
CHEAP = ("size", "explain", "schema", "version", "new", "id")
PLANNED = ("review",)
SECTIONS = ("requirements:", "components:", "flows:", "policies:", "slo:", "scenarios:")
SHELL = (";", ">", "|", "2>", "&&")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def yaml_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page.read_text(encoding="utf-8")) if block.language == "yaml"]


def is_whole(block: Block) -> bool:
    return re.search(r"^tenfold:", block.body, re.MULTILINE) is not None


def is_bad(block: Block) -> bool:
    return bool(block.words) and block.words[0].startswith("bad")


def written(text: str, folder: Path) -> str:
    path = folder / "shown.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


# Designs.


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_whole_designs_load_and_bad_ones_do_not(page: Path, tmp_path: Path) -> None:
    for block in yaml_blocks(page):
        if is_bad(block):
            with pytest.raises(DesignError):
                api.load(written(block.body, tmp_path))
        elif is_whole(block):
            assert api.load(written(block.body, tmp_path)).flows


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_sections_shown_alone_fit_the_design_before_them(page: Path, tmp_path: Path) -> None:
    before = ""
    for block in yaml_blocks(page):
        if is_whole(block):
            before = "" if is_bad(block) else block.body
        elif before and block.body.startswith(SECTIONS):
            assert api.load(written(f"{before}\n{block.body}", tmp_path)).flows


def test_the_excerpt_in_the_readme_is_of_the_shipped_design() -> None:
    design = systems.design_path("timeline").read_text(encoding="utf-8").splitlines()
    excerpts = [block for block in yaml_blocks(ROOT / "README.md") if "excerpt" in block.words]
    assert excerpts
    for line in "".join(block.body for block in excerpts).splitlines():
        assert line == "..." or line in design


# Commands.


def commands(lines: list[str]) -> Iterator[list[str]]:
    """The words after `tenfold` of every simple command."""
    for line in lines:
        words = shlex.split(line.replace("\\\n", " ").replace(";", " ; "), comments=True)
        for _, simple in itertools.groupby(words, lambda word: word not in SHELL):
            called = " ".join(each := list(simple)).removeprefix("uv run ")
            if called.startswith("tenfold "):
                yield each[each.index("tenfold") + 1 :]


def of_consoles(page: Path) -> Iterator[tuple[Block, list[str]]]:
    for block in blocks(page.read_text(encoding="utf-8")):
        for words in commands(block.commands):
            yield block, words


def of_shells(page: Path) -> Iterator[list[str]]:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "sh":
            yield from commands(block.body.splitlines())


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_shown_command_is_one(page: Path) -> None:
    above = click.Context(group, **group.context_settings)
    for words in [*(words for _, words in of_consoles(page)), *of_shells(page)]:
        command = group.get_command(above, words[0])
        assert command is not None, words
        command.make_context(f"tenfold {words[0]}", words[1:], parent=above)


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_verbs_named_in_the_text_exist(page: Path) -> None:
    named = re.findall(r"`tenfold ([a-z]+)", page.read_text(encoding="utf-8"))
    assert set(named) <= {*VERBS, *PLANNED}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_cheap_commands_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "yaml" and block.words and block.words[0].endswith(".yaml"):
            Path(block.words[0]).write_text(block.body, encoding="utf-8")
        for words in commands(block.commands):
            if words[0] in CHEAP and "asis" not in block.words:
                with pytest.raises(SystemExit) as ended:
                    main(words)
                assert ended.value.code == (2 if words[-1].startswith("bad") else 0), words


def test_the_readme_has_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\npip install uv && uv run tenfold tour\n" in text
    assert "\nuv run pytest\n" in text


# Links.


def headings(page: Path) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_somewhere(page: Path) -> None:
    for found in LINK.finditer(page.read_text(encoding="utf-8")):
        target = found[1] or found[2]
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        path = Path(os.path.normpath(page.parent / name)) if name else page
        assert path.exists(), target
        assert not anchor or anchor in headings(path), target


def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = {found[1] for found in LINK.finditer(index)}
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")} - {"README.md"}
    assert there <= linked
