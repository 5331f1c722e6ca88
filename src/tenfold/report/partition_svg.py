"""The shares of a map as a picture: the circle with every node's ranges, and bars beside what is fair.

Only presentation attributes, no style sheet; colours about as far from white as from black, so that the picture reads
on either. The fullest node has a colour of its own, in the circle and in the bars.
"""

import math
from collections.abc import Iterable, Iterator
from html import escape

from tenfold.report.partition_text import chosen, map_name
from tenfold.runtime.partition.hashing import SPACE
from tenfold.runtime.partition.ring import Ring
from tenfold.runtime.partition.skew import BY_CHANCE, CLOSE, Skew
from tenfold.runtime.partition.slots import SlotTable
from tenfold.units import format_count

WIDTH, TOP, ROW = 840, 78, 22
RADIUS, THICK, CENTRE_X = 118, 44, 150
BAR_LEFT, BAR_WIDTH = 440, 260
CELLS = 720
GREY, FAINT, CALM, OVER = "#757c85", "#8b929b", "#0f8f83", "#dd3f49"
SHADES = ("#5d7f9e", "#8aa4bc", "#6f93a6", "#9db2c1", "#7d8fb0")
FONT = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"


def shares_svg(found: Skew, of: Ring | SlotTable) -> str:
    """The picture as SVG text.

    Args:
        found: what was measured.
        of: the map it was measured on.
    """
    nodes, cut = chosen(found.nodes)
    rows = len(nodes) + bool(cut)
    height = max(TOP + 2 * RADIUS + 50, TOP + rows * ROW + 62)
    colours = _colours(found)
    said = ("slots", "by node") if isinstance(of, SlotTable) else ("the circle", "of hashes")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>{escape(map_name(of))}: {escape(found.reason)}</title>",
        _text(24, 30, map_name(of), size=17, weight="bold"),
        _text(24, 52, f"{format_count(found.key_count)} keys; {_short(found)}"),
        *_circle(_arcs(of, found), colours, TOP + RADIUS + 16, said),
        *_bars(found, colours),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _short(found: Skew) -> str:
    """The verdict in one line."""
    top = found.fullest
    more = f"{top.name} has {top.times_fair:.2f} times its part"
    if found.verdict == BY_CHANCE:
        return f"{more}; 19 of 20 such maps stay below {found.with_keys.max_p95:.2f}"
    return f"{more}: {found.verdict}"


def _colours(found: Skew) -> dict[str, str]:
    """Shades by node, and one colour for the fullest: alarming when it is more than chance makes it."""
    colours = {node.name: SHADES[number % len(SHADES)] for number, node in enumerate(found.nodes)}
    is_fine = found.verdict == BY_CHANCE and found.max_over_fair <= max(CLOSE, found.with_keys.max_p95)
    return {**colours, found.fullest.name: CALM if is_fine else OVER}


def _arcs(of: Ring | SlotTable, found: Skew) -> Iterator[tuple[float, float, str]]:
    """(from, to, node) in parts of the circle: a ring's own ranges, a table's slots gathered by node."""
    if isinstance(of, SlotTable):
        pieces = [(node.owned, node.name) for node in found.nodes]
    else:
        ranges = of.ranges()
        pieces = [(1 / CELLS, ranges.owner(int((cell + 0.5) * SPACE / CELLS))) for cell in range(CELLS)]
    begun = done = 0.0
    for number, (share, name) in enumerate(pieces):
        done += share
        if number + 1 == len(pieces) or pieces[number + 1][1] != name:
            yield begun, done, name
            begun = done


def _circle(
    arcs: Iterable[tuple[float, float, str]], colours: dict[str, str], centre_y: float, said: tuple[str, str]
) -> Iterator[str]:
    for begun, done, name in arcs:
        yield _arc(begun, min(done, begun + 0.99999), colours[name], centre_y, name)
    for number, words in enumerate(said):
        yield _text(CENTRE_X, centre_y - 2 + 18 * number, words, GREY, "middle")


def _arc(begun: float, done: float, colour: str, centre_y: float, name: str) -> str:
    """A piece of the circle, clockwise from the top."""
    inner = RADIUS - THICK
    (x1, y1), (x2, y2) = (_at(part, RADIUS, centre_y) for part in (begun, done))
    (x3, y3), (x4, y4) = (_at(part, inner, centre_y) for part in (done, begun))
    large = int(done - begun > 0.5)
    path = (
        f"M{x1:.2f} {y1:.2f}A{RADIUS} {RADIUS} 0 {large} 1 {x2:.2f} {y2:.2f}"
        f"L{x3:.2f} {y3:.2f}A{inner} {inner} 0 {large} 0 {x4:.2f} {y4:.2f}Z"
    )
    return f'<path d="{path}" fill="{colour}"><title>{escape(name)}</title></path>'


def _at(part: float, radius: float, centre_y: float) -> tuple[float, float]:
    angle = 2 * math.pi * part - math.pi / 2
    return CENTRE_X + radius * math.cos(angle), centre_y + radius * math.sin(angle)


def _bars(found: Skew, colours: dict[str, str]) -> Iterator[str]:
    """One bar per node, and lines for what is fair and what 19 of 20 maps stay below."""
    nodes, cut = chosen(found.nodes)
    bound = found.with_keys.max_p95
    scale = BAR_WIDTH / max(found.max_over_fair, min(bound, 2 * found.max_over_fair), 1.0)
    bottom = TOP + (len(nodes) + bool(cut)) * ROW
    for number, node in enumerate(nodes):
        y = TOP + (number + bool(cut and number >= cut)) * ROW
        yield _text(BAR_LEFT - 10, y + 14, _clipped(node.name), anchor="end")
        width = max(1.0, node.times_fair * scale)
        yield f'<rect x="{BAR_LEFT}" y="{y + 3}" width="{width:.1f}" height="{ROW - 7}" fill="{colours[node.name]}"/>'
        yield _text(BAR_LEFT + BAR_WIDTH + 14, y + 14, f"{node.share:.1%}  ({node.times_fair:.2f})")
    if cut:
        yield _text(BAR_LEFT - 10, TOP + cut * ROW + 14, f"{len(found.nodes) - len(nodes)} between", FAINT, "end")
    yield from _mark(BAR_LEFT + scale, bottom, "its part", 14, "end")
    if bound > 1 and bound * scale <= BAR_WIDTH + 1:
        yield from _mark(BAR_LEFT + bound * scale, bottom, "19 of 20 below", 32, "middle")


def _mark(x: float, bottom: float, words: str, drop: int, anchor: str) -> Iterator[str]:
    yield (
        f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom + drop - 12}" stroke="{GREY}" stroke-width="1" '
        f'stroke-dasharray="4 3"/>'
    )
    yield _text(x - 4 if anchor == "end" else x, bottom + drop, words, GREY, anchor)


def _clipped(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:15]}..."


def _text(
    x: float, y: float, words: str, colour: str = GREY, anchor: str = "start", size: int = 13, weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-family="{FONT}" '
        f'font-size="{size}" font-weight="{weight}">{escape(words)}</text>'
    )
