"""The one module that introduces the policies to Numba.

Importing it makes every kernel of `policies` callable from compiled code: the same function object the runtime
executes. Rows are derived from the same dataclasses: a field of a dataclass is a column of the table, by name.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numba.extending import register_jitable

from tenfold.fields import plain_type
from tenfold.policies.cache import freshness
from tenfold.policies.call import CALL_POLICIES

FAMILIES = (*CALL_POLICIES, freshness)
"""Every module whose kernels the engine may call."""


Small = Annotated[int, 32]
"""An int that always fits into 32 bits: rows there are many of stay narrow."""

_COLUMNS: dict[Any, type[np.generic]] = {int: np.int64, float: np.float64, bool: np.bool_, Small: np.int32}
_PACKAGE = pathlib.Path(__file__).parent.parent
_COMPILED = ("engine", "policies", "program", "fields.py")
"""What compiled code takes its functions, constants and rows from."""
DECIDING = (
    *(*_COMPILED, "design", "errors.py", "kinds", "settings.py", "sizing", "units.py"),
    "runtime/partition/spread.py",  # what chance does to shards
)
"""What decides how a design becomes a run: from the file over the program to the last event."""

# Kernels several policies share are introduced once.
for _kernel in dict.fromkeys(kernel for module in FAMILIES for kernel in module.KERNELS):
    register_jitable(_kernel)


def dtype_of(cls: type[Any]) -> np.dtype[Any]:
    """The row of a dataclass: one column per int, float or bool field."""
    return np.dtype([(field.name, _COLUMNS[plain_type(field)]) for field in dataclasses.fields(cls)], align=True)


def empty_rows(cls: type[Any], size: int) -> np.ndarray[Any, Any]:
    """A table of `size` rows, all zero: fresh States, entries never seen. Memory is claimed when touched."""
    return np.zeros(size, dtype_of(cls))


def rows_of(objects: Sequence[Any], cls: type[Any] | None = None) -> np.ndarray[Any, Any]:
    """A table with one row per object; `cls` takes the columns of a base class, or types an empty table.

    Fills whole columns, so a table of many rows costs one pass per field.
    """
    cls = cls or type(objects[0])
    rows = empty_rows(cls, len(objects))
    for field in dataclasses.fields(cls):
        rows[field.name] = [getattr(value, field.name) for value in objects]
    return rows


def digest_of(names: Sequence[str], package: pathlib.Path = _PACKAGE, also: str = "") -> int:
    """A number that changes with every source file under `names` and with the text `also`; a positive int64."""
    digest = hashlib.blake2b(also.encode(), digest_size=7)
    for name in names:
        path = package / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(package).as_posix().encode())
            digest.update(file.read_bytes())
    return int.from_bytes(digest.digest(), "big")


def compiled_fingerprint(rows: str, package: pathlib.Path = _PACKAGE) -> int:
    """What compiled code depends on: its sources and the declared `rows`.

    Numba's disk cache does not see edits in callees of other files: an entry point that closes over this number is
    compiled anew after any edit.
    """
    return digest_of(_COMPILED, package, rows)


@functools.cache
def fingerprint_text(package: pathlib.Path = _PACKAGE) -> str:
    """The fingerprint of all sources that decide a run, as people see it in results: 14 hex digits."""
    return f"{digest_of(DECIDING, package):014x}"
