"""Lines that fit: wrapped sentences and tables."""

import textwrap
from collections.abc import Sequence


def wrapped(lead: str, text: str, width: int) -> list[str]:
    """The text after its lead, following lines under its first word."""
    room = max(20, width - len(lead))
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [lead + lines[0], *(" " * len(lead) + line for line in lines[1:])]


def columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), gap: str = "  ") -> list[str]:
    """Rows of cells as aligned lines; `right` names the columns that are set flush right. Ends are trimmed."""
    if not rows:
        return []
    widths = [max(len(row[i]) if i < len(row) else 0 for row in rows) for i in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        cells = [cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths))]  # noqa: B905 short rows end early
        lines.append(gap.join(cells).rstrip())
    return lines


def clipped(line: str, width: int) -> str:
    """The line, its end cut off when it does not fit."""
    return line if len(line) <= width else line[: width - 3].rstrip() + "..."
