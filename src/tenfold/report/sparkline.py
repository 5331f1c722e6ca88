"""A series in one line of text."""

from collections.abc import Callable, Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*#@"


def sparkline(
    values: Sequence[float],
    width: int,
    *,
    top: float | None = None,
    pick: Callable[[Sequence[float]], float] = max,
    unicode: bool = True,
) -> str:
    """Draw a series as at most `width` characters.

    Args:
        values: the series, none negative.
        width: characters at most; shorter series are drawn one character per value.
        top: the value drawn at full height; None takes the largest.
        pick: what a character shows of the values it stands for: `max` keeps short spikes, `min` short dips.
        unicode: blocks, or plain characters for terminals without them.

    Returns:
        The line; a value above zero is never drawn as zero.
    """
    if not values or width < 1:
        return ""
    cells = _cells(values, min(width, len(values)), pick)
    full = max(cells) if top is None else top
    ramp = _BLOCKS if unicode else _ASCII
    return "".join(ramp[_level(value, full, len(ramp) - 1)] for value in cells)


def _cells(values: Sequence[float], width: int, pick: Callable[[Sequence[float]], float]) -> list[float]:
    """The series in `width` pieces of nearly equal length, one value each."""
    ends = [len(values) * (i + 1) // width for i in range(width)]
    starts = [0, *ends[:-1]]
    return [pick(values[start:end]) for start, end in zip(starts, ends, strict=True)]


def _level(value: float, full: float, highest: int) -> int:
    if value <= 0 or full <= 0:
        return 0
    return max(1, min(highest, round(value / full * highest)))
