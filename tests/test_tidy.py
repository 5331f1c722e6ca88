"""Reads the source text: limits of size, names, complete tables, fresh pages, who imports whom, what stays light."""

import ast
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tenfold
from tenfold import api, kinds, stores, systems
from tenfold.cli.group import VERBS
from tenfold.kinds import KINDS
from tenfold.policies import call
from tenfold.policies.call import CALL_POLICIES
from tenfold.stores import STORES, leases, limits
from tenfold.stores.leases import LEASE_STORES
from tenfold.stores.limits import LIMIT_STORES

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src"
PACKAGE = SOURCES / "tenfold"
OURS = sorted(PACKAGE.rglob("*.py"))
EVERYTHING = [*OURS, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "tools").rglob("*.py"))]
TEXTS = [*EVERYTHING, *sorted((ROOT / "docs").rglob("*.md")), *ROOT.glob("*.md"), *PACKAGE.rglob("*.yaml")]

FUNCTION_LINES, FILE_LINES = 70, 500
BANNED = {
    "manager",
    "helper",
    "helpers",
    "util",
    "utils",
    "handler",
    "handlers",
    "data",
    "info",
    "process",
    "do",
    "my",
    "new",
}
_DATA_SET = "a data set: what a system stores (`requirements.data`, a step's `data`)"
ALLOWED = {
    "data": "a key of the design file: what a system stores",
    "new": "a verb of the command line: `tenfold new`",
    "DataSet": _DATA_SET,
    "DATA_KEYS": _DATA_SET,
    "DataPlan": _DATA_SET,
    "data_of": _DATA_SET,
    "kept_data": _DATA_SET,
    "_data_plan": _DATA_SET,
    "_data_rows": _DATA_SET,
    "_data_title": _DATA_SET,
    "_read_data": _DATA_SET,
    "_read_data_set": _DATA_SET,
    "_new_row": "the row of an arrow that has none yet, beside `row`, which finds it",
    "arena:manager": "Numba hands its data models one",
}
WORKPLACES = tuple(f"/{name}/" for name in ("work", "root", "tmp"))
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def in_new_process(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


# Limits.


@pytest.mark.parametrize("path", OURS, ids=shown)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < FUNCTION_LINES, f"{shown(path)}:{node.lineno} {node.name}"


@pytest.mark.parametrize("path", EVERYTHING, ids=shown)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES


# Names.


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Everything a module names itself: functions, classes, arguments, variables, fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr


def words_of(name: str) -> list[str]:
    """`new_row` and `NewRow` both give new, row."""
    return [word.lower() for part in name.split("_") for word in re.findall(r"[A-Z]*[a-z0-9]+|[A-Z]+", part)]


@pytest.mark.parametrize("path", OURS, ids=shown)
def test_names_say_something(path: Path) -> None:
    named = [(0, path.stem), *names(parsed(path))]
    empty = [
        f"{shown(path)}:{line} {name}"
        for line, name in named
        if is_empty_of_meaning(name) and f"{path.stem}:{name}" not in ALLOWED
    ]
    assert not empty, empty


def is_empty_of_meaning(name: str) -> bool:
    return name not in ALLOWED and bool(BANNED & set(words_of(name)))


def test_every_allowed_name_is_still_there() -> None:
    there = {name for path in OURS for name in (path.stem, *(name for _, name in names(parsed(path))))}
    assert {name.partition(":")[2] or name for name in ALLOWED} <= there


def test_the_words_of_a_name() -> None:
    assert words_of("new_row") == words_of("NewRow") == ["new", "row"]
    assert words_of("HTTPServer2") == ["httpserver2"]
    assert is_empty_of_meaning("RunManager")
    assert not is_empty_of_meaning("data")


# What is not finished, and what belongs to one machine.


@pytest.mark.parametrize("path", TEXTS, ids=shown)
def test_nothing_is_marked_as_unfinished(path: Path) -> None:
    assert not UNFINISHED.search(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [path for path in TEXTS if ROOT / "tests" not in path.parents], ids=shown)
def test_no_path_of_somebodys_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not [place for place in WORKPLACES if place in text]


# Tables are complete.


def modules_of(package: object) -> set[str]:
    return {name for _, name, _ in pkgutil.iter_modules(package.__path__)}  # type: ignore[attr-defined]


def test_every_kind_is_in_its_table() -> None:
    assert modules_of(kinds) == {kind.__name__.rpartition(".")[2] for kind in KINDS.values()}
    assert all(name == kind.NAME for name, kind in KINDS.items())


def test_every_call_policy_is_in_its_table() -> None:
    shared = {"call", "counts", "ring"}  # what policies carry, what is counted, and a ring they share
    assert modules_of(call) - shared == {policy.NAME for policy in CALL_POLICIES}


def test_every_lease_store_is_in_its_table() -> None:
    named = {where.rpartition(".")[2] for where in LEASE_STORES.values()}
    assert modules_of(leases) - {"sql"} == named  # what SQLite and PostgreSQL share


def test_every_store_is_in_its_table_and_where_that_says() -> None:
    others = {"idempotency", "leases", "limits"}  # families of stores have tables of their own
    assert modules_of(stores) - others == set(STORES)
    assert all(callable(pkgutil.resolve_name(place)) for place in STORES.values())


def test_every_store_of_limits_is_in_its_table() -> None:
    assert modules_of(limits) - {"script"} == set(LIMIT_STORES)
    assert all(callable(pkgutil.resolve_name(place)) for place in LIMIT_STORES.values())


def test_every_verb_of_the_command_line_is_registered() -> None:
    from tenfold import cli

    with_command = {path.stem for path in Path(cli.__path__[0]).glob("*.py") if "@click.command" in path.read_text()}
    assert with_command == set(VERBS)


@pytest.mark.parametrize("name", systems.names())
def test_every_system_loads(name: str) -> None:
    assert api.load(name).title


def test_every_folder_of_systems_is_a_system() -> None:
    folders = {
        path.name for path in Path(systems.__path__[0]).iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert folders == set(systems.names()) == set(api.shipped())


# Generated pages are fresh.


@pytest.mark.parametrize("page", ["design-file.md", "commands.md", "program.md"])
def test_the_reference_says_what_the_code_says(page: str) -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from reference import TARGET, reference
    finally:
        sys.path.pop(0)
    assert (TARGET / page).read_text(encoding="utf-8") == reference()[page], "run: uv run python tools/reference.py"


# Who imports whom.


def test_the_floors_hold() -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    code = "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


HEAVY = {"numpy", "numba", "llvmlite", "yaml", "click", "asyncio", "redis"}


@pytest.mark.parametrize(
    ("module", "may"),
    [
        ("tenfold", set()),
        ("tenfold.api", set()),
        ("tenfold.policies.call", set()),
        ("tenfold.policies.cache.freshness", set()),
        ("tenfold.runtime", set()),
        ("tenfold.runtime.headers", set()),
        ("tenfold.runtime.pipeline", {"asyncio"}),
        ("tenfold.runtime.cache.bounded", set()),
        ("tenfold.cache", {"asyncio"}),
        ("tenfold.stores", set()),
        ("tenfold.stores.memory", set()),
        ("tenfold.stores.redis", {"asyncio"}),
        ("tenfold.runtime.adapters.asgi", {"asyncio"}),
        ("tenfold.testing", {"asyncio"}),
        ("tenfold.partition", {"asyncio"}),
        ("tenfold.ratelimit", {"asyncio"}),
        ("tenfold.stores.limits.memory", set()),
        ("tenfold.design.schema", set()),
        ("tenfold.sizing", set()),
        ("tenfold.kinds", set()),
        ("tenfold.verdict", set()),
        ("tenfold.cli", {"click"}),
        ("tenfold.design.load", {"yaml"}),
    ],
)
def test_what_is_light_stays_light(module: str, may: set[str]) -> None:
    loaded = set(in_new_process(f"import sys, {module}; print(*sys.modules, sep='\\n')").split())
    assert not (loaded & HEAVY) - may


def test_sizing_a_design_never_imports_numpy() -> None:
    code = "import sys; from tenfold import api; api.size(api.load('timeline')); print(*sys.modules, sep='\\n')"
    assert not set(in_new_process(code).split()) & {"numpy", "numba", "click"}


def test_the_version_is_the_one_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{tenfold.__version__}]" in changelog
