"""Mistakes of a design file as text: what, where, the line with a caret under the value, and the remedy."""

from collections.abc import Sequence

from tenfold.errors import Mistake

_WIDTH_MAX = 160  # columns of a source line; a file may have lines of a megabyte
_BEFORE = 60  # columns kept before the caret of a line that is cut


def render_mistakes(mistakes: Sequence[Mistake]) -> str:
    """All mistakes, one block each, ending with how many there are.

    Args:
        mistakes: as `DesignError` carries them.
    """
    blocks = [render_mistake(mistake) for mistake in mistakes]
    count = f"{len(mistakes)} mistake{'' if len(mistakes) == 1 else 's'}"
    return "\n\n".join([*blocks, count]) + "\n"


def render_mistake(mistake: Mistake) -> str:
    """One mistake: message, place, source line with carets, remedy."""
    if not mistake.line:
        lines = [mistake.message, f" --> {mistake.path}"]
        return "\n".join(lines + ([f" help: {mistake.remedy}"] if mistake.remedy else []))
    place = "" if mistake.path.startswith("--") else f":{mistake.line}:{mistake.column}"
    number = str(mistake.line) if place else " "
    gutter = " " * len(number)
    source, carets = _marked(mistake)
    lines = [
        mistake.message,
        f"{gutter}--> {mistake.path}{place}",
        f"{gutter} |",
        f"{number} | {source}".rstrip(),
        f"{gutter} | {carets}",
    ]
    return "\n".join(lines + ([f"{gutter} |", f" help: {mistake.remedy}"] if mistake.remedy else []))


def _marked(mistake: Mistake) -> tuple[str, str]:
    """The source line and the carets under it, both cut to what matters; tabs and escape sequences become spaces."""
    line = "".join(char if char.isprintable() else " " for char in mistake.source_line).rstrip()
    start, end = mistake.column - 1, max(mistake.column_end - 1, mistake.column)
    if len(line) > _WIDTH_MAX:
        cut = max(0, start - _BEFORE)
        left = "..." if cut else ""
        right = "..." if cut + _WIDTH_MAX < len(line) else ""
        line = left + line[cut : cut + _WIDTH_MAX] + right
        start, end = start - cut + len(left), end - cut + len(left)
    width = max(1, min(end, len(line)) - start)
    return line, " " * start + "^" * width
