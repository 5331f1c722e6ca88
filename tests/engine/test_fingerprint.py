"""The fingerprint of a run covers all sources that decide it; what compiled code is made of is part of its key."""

import shutil
from pathlib import Path

import pytest
from apart import python

import tenfold
from tenfold.engine import jit

PACKAGE = Path(tenfold.__file__).parent

_IMPORTED = """
import pathlib, sys
import tenfold.api
from tenfold.design.load import load
from tenfold.engine.run import simulate
from tenfold.kinds import KINDS
from tenfold.policies.call import CALL_POLICIES_BY_NAME
from tenfold.program.lower import lower
print("\\n".join(m.__file__ for n, m in sys.modules.items() if n.startswith("tenfold.")))
"""
_NOT_DECIDING = {"api.py", "results", "verdict", "report"}
"""Imported by what simulates, without a say in what happens."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGE, tmp_path / "tenfold", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "tenfold"


def edit(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")


@pytest.mark.parametrize("file", ["program/program.py", "engine/heap.py", "policies/call/retry.py", "fields.py"])
def test_an_edit_of_what_compiled_code_is_made_of_compiles_it_anew(copy: Path, file: str) -> None:
    before = jit.compiled_fingerprint("rows", copy)
    edit(copy / file)
    assert jit.compiled_fingerprint("rows", copy) != before


def test_other_declared_rows_compile_anew() -> None:
    assert jit.compiled_fingerprint("a: int64") != jit.compiled_fingerprint("a: float64")


@pytest.mark.parametrize(
    "file", ["program/lower.py", "kinds/redis.py", "design/timing.py", "units.py", "sizing/interval.py"]
)
def test_an_edit_of_what_decides_a_run_changes_its_fingerprint(copy: Path, file: str) -> None:
    before = jit.digest_of(jit.DECIDING, copy)
    edit(copy / file)
    assert jit.digest_of(jit.DECIDING, copy) != before


def test_an_edit_of_a_report_changes_nothing(copy: Path) -> None:
    before = jit.digest_of(jit.DECIDING, copy)
    edit(copy / "report" / "run_text.py")
    assert jit.digest_of(jit.DECIDING, copy) == before


def test_every_module_a_run_imports_is_covered() -> None:
    files = [Path(line).relative_to(PACKAGE) for line in python(_IMPORTED).stdout.split()]
    covered = {*jit.DECIDING, *_NOT_DECIDING}
    assert len(files) > 50
    left = [file for file in files if not any(file.is_relative_to(each) for each in covered)]
    assert sorted(str(file) for file in left if file.name != "__init__.py") == []
