"""The names of the package."""

import re
from pathlib import Path

import pytest

import tenfold


def test_every_public_name_is_there_and_documented() -> None:
    for name in tenfold.__all__:
        assert getattr(tenfold, name).__doc__


def test_type_checkers_see_the_same_names() -> None:
    stub = Path(tenfold.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    assert {*re.findall(r" as (\w+)", stub), "__version__"} == set(tenfold.__all__)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tenfold.nothing  # type: ignore[attr-defined]
