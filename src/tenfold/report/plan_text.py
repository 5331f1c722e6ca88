"""A Plan as text: the verdict, one line per component, then every number with its formula and its place."""

import math
import textwrap
from collections.abc import Iterable

from tenfold.design.schema import Range
from tenfold.sizing import words
from tenfold.sizing.answer import (
    BYTES,
    BYTES_PER_S,
    NS,
    PER_S,
    RATIO,
    CachePlan,
    ComponentPlan,
    DataPlan,
    FlowPlan,
    Line,
    Plan,
    Stampede,
)

WIDTH = 120
_GAP = "   "
_FORMULA_MIN = 22  # columns; narrower formulas are unreadable, a longer line is not
_SATURATION_MAX = 6  # components named in the verdict
_LINES_MAX = 4  # lines of the design file named beside a number

_Row = tuple[str, str, str, str]
"""label, value, formula, place"""


def render(plan: Plan, width: int = WIDTH) -> str:
    """The whole plan.

    Args:
        plan: what sizing answered.
        width: columns of the output.

    Returns:
        Text without colours, lines no longer than `width` unless a word is.
    """
    groups = _groups(plan)
    table = _Table([row for _, rows in groups for row in rows], width)
    blocks = [_verdict(plan, width), _overview(plan)]
    blocks += ["\n".join([title, *table.render(rows)]) for title, rows in groups if rows]
    blocks.append("\n".join(["assumed", *_bullets(plan.assumptions, width)]))
    return "\n\n".join(block for block in blocks if block) + "\n"


def value_text(value: Range, unit: str) -> str:
    """`57,870.37 /s`, or `40 .. 58 .. 81 nodes` where the guesses differ."""
    ends = [_one(end, unit) for end in (value.low, value.likely, value.high)]
    return ends[1] if len(set(ends)) == 1 else " .. ".join([*(_bare(end, ends[2]) for end in ends[:2]), ends[2]])


def _bare(text: str, last: str) -> str:
    """A number without its unit when the last of the row has the same."""
    number, _, unit = text.partition(" ")
    return number if last.endswith(f" {unit}") else text


def _one(number: float, unit: str) -> str:
    """One number in its unit."""
    shows = {PER_S: words.rate, BYTES: words.size, BYTES_PER_S: words.bandwidth, RATIO: words.ratio, NS: words.duration}
    if math.isinf(number):
        return "none is enough" if unit == "nodes" else "no limit"
    if unit in shows:
        return shows[unit](number)
    number_text = words.count(number) if number >= 1e6 else words.plain(number)
    return f"{number_text} {unit.removesuffix('s') if number_text == '1' else unit}"


# ---- verdict


def _verdict(plan: Plan, width: int) -> str:
    """What is wrong, worst first, and what saturates first."""
    lines = [f"{plan.title or 'Untitled'}: {_headline(plan)}"]
    for excuse in plan.excuses:
        lines += _wrapped(f"  x {excuse.component}: ", f"{excuse.bottleneck}: {excuse.reason}", width)
        lines += _wrapped("      do: ", excuse.remedy, width)
    for component in plan.short:
        needed = value_text(component.nodes_now.value, "nodes")
        lines.append(f"  ! {component.name}: declares {component.nodes_declared}, peak with headroom needs {needed}")
    return "\n".join([*lines, *_saturation(plan, width)])


def _headline(plan: Plan) -> str:
    """One sentence."""
    if plan.excuses:
        names = ", ".join(excuse.component for excuse in plan.excuses)
        return f"peak with headroom cannot be carried as designed ({names})"
    if plan.short:
        return f"peak with headroom needs more nodes ({', '.join(c.name for c in plan.short)})"
    return "what is declared carries peak with headroom"


def _saturation(plan: Plan, width: int) -> list[str]:
    """`tweets_db at 1.6x, then fanout_worker 3.1x`."""
    named = plan.saturation[:_SATURATION_MAX]
    if not named:
        return []
    first, *others = [f"{s.component} ({s.resource}) {_multiple(s.at_multiple)}" for s in named]
    more = len(plan.saturation) - len(named)
    tail = [f"and {more} more"] if more else []
    text = ", then ".join([first.replace(") ", ") at "), ", ".join([*others, *tail])]) if others else first
    return _wrapped("  saturates first: ", f"{text} the peak", width)


def _multiple(value: Range) -> str:
    """`1.6x the peak` without the words; a range where the guesses differ."""
    ends = [f"{words.factor(end)}x" for end in (value.low, value.likely, value.high)]
    return ends[1] if len(set(ends)) == 1 else "..".join(end.removesuffix("x") for end in ends) + "x"


def _overview(plan: Plan) -> str:
    """A table: one line per component."""
    head = ("component", "kind", "peak", "most used", "nodes", "needed", "at 10x")
    rows = [head, *(_overview_row(component) for component in plan.components.values())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(_GAP.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _overview_row(component: ComponentPlan) -> tuple[str, ...]:
    """A component's line of the overview: likely figures only."""
    used = component.utilisation[0] if component.utilisation else None
    nodes = [_node_text(line.value.likely) for line in (component.nodes_now, component.nodes_tenfold)]
    return (
        component.name,
        component.kind,
        words.rate(component.peak.value.likely),
        f"{used.name} {words.ratio(used.value.likely)}" if used else "",
        str(component.nodes_declared),
        *nodes,
    )


def _node_text(nodes: float) -> str:
    return "none is enough" if math.isinf(nodes) else words.plain(nodes)


# ---- all numbers


def _groups(plan: Plan) -> list[tuple[str, list[_Row]]]:
    """Titles and their rows."""
    groups = [("flows", [row for flow in plan.flows.values() for row in _flow_rows(flow)])]
    groups += [("edge (clients, at peak)", [_row("", line) for line in plan.edge])]
    groups += [(_component_title(c), _component_rows(c)) for c in plan.components.values()]
    groups += [(f"{cache.data} in {cache.component}", _cache_rows(cache)) for cache in plan.caches]
    return groups + [(_data_title(data), _data_rows(data)) for data in plan.data.values()]


def _row(subject: str, line: Line) -> _Row:
    """A line with what it is about before its name."""
    label = f"{subject}, {line.name}" if subject else line.name
    return label, value_text(line.value, line.unit), line.formula, _place(line.where)


def _place(where: str) -> str:
    """`design.yaml:9,12,15,18,...`: enough lines to find the spot."""
    lines = where.split(",")
    return where if len(lines) <= _LINES_MAX else ",".join([*lines[:_LINES_MAX], "..."])


def _flow_rows(flow: FlowPlan) -> list[_Row]:
    return [_row(flow.name, line) for line in (flow.average, flow.peak, flow.headroom, flow.time)]


def _component_title(component: ComponentPlan) -> str:
    place = f", {component.where}" if component.where else ""
    return f"{component.name} ({component.kind}{place})"


def _component_rows(component: ComponentPlan) -> list[_Row]:
    """A component's numbers, then its excuse's and kind's notes."""
    lines = [component.average, component.peak, component.headroom]
    lines += [line for line in (component.reads, component.writes) if line]
    rows = [_row("", line) for line in (*lines, component.bytes_in, component.bytes_out)]
    rows += [_row("needs", line) for line in component.needs]
    rows += [_row("used", line) for line in component.utilisation]
    rows += [_row("", line) for line in (component.nodes_now, component.nodes_tenfold)]
    notes = component.demand.notes if component.demand else ()
    return rows + [("note", "", note, "") for note in notes]


def _cache_rows(cache: CachePlan) -> list[_Row]:
    """Hit ratios, memory, and what a lost cache lets through."""
    lines = [cache.hit_ratio, cache.hit_ratio_average]
    shown = cache.expected.value
    if cache.expected.formula != cache.hit_ratio.formula:
        lines.append(cache.expected)
    lines += [line for line in (cache.expected_ample, cache.expected_plain) if line.value != shown]
    rows = [_row("", line) for line in (*lines, cache.working_set, cache.memory)]
    return rows + [_stampede_row(cache, lost) for lost in cache.if_lost]


def _stampede_row(cache: CachePlan, lost: Stampede) -> _Row:
    """`cache lost: tweets_db   7.34x   118,056 /s / 16,079 /s`."""
    text = f"{lost.overload.formula} it serves ({lost.resource})" if lost.overload.formula else lost.calls.formula
    return f"cache lost: {lost.component}", _multiple(lost.overload.value), text, _place(lost.overload.where)


def _data_title(data: DataPlan) -> str:
    kept_by = f", kept by {', '.join(data.kept_by)}" if data.kept_by else ""
    return f"{data.name} at rest{kept_by}"


def _data_rows(data: DataPlan) -> list[_Row]:
    return [_row("", line) for line in (data.items, data.copy, data.total, data.growth)]


# ---- layout


class _Table:
    """Four columns as wide as what stands in them; formulas wrap."""

    def __init__(self, rows: list[_Row], width: int) -> None:
        self.label = max((len(row[0]) for row in rows), default=0)
        self.value = max((len(row[1]) for row in rows), default=0)
        self.place = max((len(row[3]) for row in rows), default=0)
        taken = 2 + self.label + self.value + self.place + 3 * len(_GAP)
        self.formula = max(_FORMULA_MIN, width - taken)

    def render(self, rows: Iterable[_Row]) -> list[str]:
        """The rows, a long formula over several lines."""
        lines = []
        for label, value, formula, place in rows:
            parts = textwrap.wrap(formula, self.formula) or [""]
            first = _GAP.join((label.ljust(self.label), value.ljust(self.value), parts[0].ljust(self.formula), place))
            lines.append(f"  {first}".rstrip())
            indent = " " * (2 + self.label + self.value + 2 * len(_GAP))
            lines += [indent + part for part in parts[1:]]
        return lines


def _wrapped(start: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=start, subsequent_indent=" " * min(6, len(start)))


def _bullets(texts: Iterable[str], width: int) -> list[str]:
    return [line for text in texts for line in _wrapped("  - ", text, width)]
