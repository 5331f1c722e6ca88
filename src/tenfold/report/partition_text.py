"""Partitioning as text: shares as bars beside what is fair, and plans as tables."""

from collections.abc import Sequence

from tenfold.report.layout import columns, wrapped
from tenfold.report.style import Style
from tenfold.runtime.partition.hashing import Key
from tenfold.runtime.partition.plan import Plan
from tenfold.runtime.partition.ring import Ring
from tenfold.runtime.partition.skew import BY_CHANCE, CLOSE, NodeLoad, Skew
from tenfold.runtime.partition.slots import SlotTable
from tenfold.runtime.partition.spread import Newcomer
from tenfold.units import format_count

NODES_SHOWN = 20
_FULLEST, _EMPTIEST = 12, 5
_STANDS_OUT = 2.0  # times the mean key
_BAR_MAX, _BAR_MIN = 40, 10
_EIGHTHS = "▏▎▍▌▋▊▉█"


def skew_text(found: Skew, of: Ring | SlotTable, style: Style) -> str:
    """The report: verdict, bars, spread, hottest keys.

    Args:
        found: what was measured.
        of: the map it was measured on.
        style: how the text may look.
    """
    head = f"{map_name(of)}, {format_count(found.key_count)} keys, load {format_count(found.load)}"
    lines = [head, "", *_verdict(found, style), "", *_bars(found, style), "", *_spread(found), "", *_hottest(found)]
    return "\n".join(lines) + "\n"


def map_name(of: Ring | SlotTable) -> str:
    """`10 nodes x 150 points`."""
    nodes = f"{len(of.nodes)} node{'s' if len(of.nodes) > 1 else ''}"
    is_weighted = len({node.weight for node in of.nodes}) > 1
    if isinstance(of, SlotTable):
        return f"{nodes}, {of.slots:,} slots"
    return f"{nodes}, {of.points} points per weight of 1" if is_weighted else f"{nodes} x {of.points} points"


def chosen(nodes: Sequence[NodeLoad]) -> tuple[tuple[NodeLoad, ...], int]:
    """The nodes worth a line, fullest first, and after how many of them the others are left out (0: none is)."""
    ordered = tuple(sorted(nodes, key=lambda node: (-node.times_fair, node.name)))
    if len(ordered) <= NODES_SHOWN:
        return ordered, 0
    return (*ordered[:_FULLEST], *ordered[-_EMPTIEST:]), _FULLEST


def key_text(key: Key) -> str:
    """A key fit for a line."""
    text = key if isinstance(key, str) else repr(key)
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def _verdict(found: Skew, style: Style) -> list[str]:
    looks = ("green",) if found.verdict == BY_CHANCE else ("bold", "red")
    title = {BY_CHANCE: "as uneven as chance makes it" if found.max_over_fair > CLOSE else "even"}.get(
        found.verdict, found.verdict
    )
    lines = [style.paint(title, *looks), *wrapped("  ", found.reason, style.width)]
    return lines + (wrapped("  remedy: ", found.remedy, style.width) if found.remedy else [])


def _bars(found: Skew, style: Style) -> list[str]:
    nodes, cut = chosen(found.nodes)
    room = style.width - max(len(node.name) for node in nodes) - 46
    width = max(_BAR_MIN, min(_BAR_MAX, room))
    full = max(node.times_fair for node in nodes)
    rows = [["node", "load / its part", "", "load", "of all hashes", "keys"]]
    for node in nodes:
        bar = _bar(node.times_fair / full * width, style)
        percent, owned = f"{node.share:.2%}", f"{node.owned:.2%}"
        rows.append([node.name, bar.ljust(width), f"{node.times_fair:.3f}", percent, owned, f"{node.key_count:,}"])
    lines = columns(rows, right=(2, 3, 4, 5))
    if cut:
        lines.insert(1 + cut, f"... {len(found.nodes) - len(nodes)} nodes between")
    return lines


def _bar(length: float, style: Style) -> str:
    """A bar to an eighth of a character."""
    if not style.unicode:
        return "#" * max(1 if length > 0 else 0, round(length))
    eighths = round(length * 8)
    eighths = max(eighths, 1 if length > 0 else 0)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")


def _spread(found: Skew) -> list[str]:
    alone, keys = found.map_alone, found.with_keys
    rows = [
        ["", "measured", "by chance", "with these keys", "19 of 20 below"],
        [
            "fullest / its part",
            f"{found.max_over_fair:.3f}",
            f"{alone.max_mean:.3f}",
            f"{keys.max_mean:.3f}",
            f"{keys.max_p95:.3f}",
        ],
        ["spread (CV)", f"{found.cv:.2%}", f"{alone.cv:.2%}", f"{keys.cv:.2%}", ""],
    ]
    return columns(rows, right=(1, 2, 3, 4))


def _hottest(found: Skew) -> list[str]:
    if found.hottest[0].share < _STANDS_OUT / found.key_count:
        return [f"no key stands out: the hottest has {format_count(found.hottest[0].load)}"]
    rows = [["hottest keys", "load", "share"]]
    rows += [[key_text(hot.key), format_count(hot.load), f"{hot.share:.2%}"] for hot in found.hottest]
    return columns(rows, right=(1, 2))


def plan_text(
    moves: Plan, old: Ring | SlotTable, new: Ring | SlotTable, expected: Newcomer | None, style: Style
) -> str:
    """What moves, by pair of nodes.

    Args:
        moves: the plan.
        old, new: its two maps.
        expected: what chance would move; None when that cannot be said.
        style: how the text may look.
    """
    head = f"{map_name(old)} -> {map_name(new)}"
    said = f"{moves.share:.2%} of all keys move, in {len(moves.moves):,} range{'s' if len(moves.moves) != 1 else ''}"
    lines = [head, "", style.paint(said, "bold")]
    if expected is not None:
        text = f"by chance {expected.mean:.2%}, 19 of 20 times {expected.low:.2%} to {expected.high:.2%}"
        lines += wrapped("  ", text, style.width)
    if not moves.moves:
        return "\n".join(lines) + "\n"
    rows = [["from", "to", "of all keys", "ranges"]]
    rows += [[flow.source, flow.destination, f"{flow.share:.3%}", f"{flow.range_count:,}"] for flow in moves.flows()]
    return "\n".join([*lines, "", *columns(rows, right=(2, 3))]) + "\n"
