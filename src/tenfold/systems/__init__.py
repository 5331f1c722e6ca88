"""Reference systems: one folder each, found by listing."""

from pathlib import Path

_HERE = Path(__file__).parent
_DESIGN = "design.yaml"


def names() -> tuple[str, ...]:
    """The names of the reference systems, in alphabetical order."""
    return tuple(sorted(folder.name for folder in _HERE.iterdir() if (folder / _DESIGN).is_file()))


def design_path(name: str) -> Path:
    """The design file of a reference system.

    Args:
        name: one of `names()`.

    Raises:
        KeyError: when there is no such system.
    """
    if name not in names():
        raise KeyError(f"no reference system {name!r}: there are {', '.join(names())}")
    return _HERE / name / _DESIGN
