"""Where a number comes from: the lines of the design file that state its inputs."""

from tenfold.design.schema import Path, Source


def where(source: Source, *paths: Path) -> str:
    """`design.yaml:9,32`: the lines of these values, without repetition, in order; of what is not stated, nothing.

    Args:
        source: the text of the design.
        paths: values that went into a formula.
    """
    lines = sorted({_line(source, path) for path in paths} - {0})
    name = source.path.rsplit("/", 1)[-1]
    return f"{name}:{','.join(str(line) for line in lines)}" if lines else ""


def _line(source: Source, path: Path) -> int:
    """The line of a value, or of its key, or 0."""
    place = source.keys.get(path) or source.values.get(path)
    return place.line if place else 0
