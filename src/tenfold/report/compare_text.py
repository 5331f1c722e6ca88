"""Two runs side by side, as text."""

from collections.abc import Iterable

from tenfold.report.layout import columns, wrapped
from tenfold.report.style import Style
from tenfold.results.run import Run
from tenfold.verdict.compare import Comparison, Row, same_arrivals
from tenfold.verdict.verdict import Verdict
from tenfold.verdict.words import duration, factor, value

_NOTABLE = 0.05
"""Changes of less than this share are not marked better or worse."""


def compare_text(comparison: Comparison, label_a: str, label_b: str, style: Style) -> str:
    """A header, both verdicts, then a table of every figure that says something, with its change."""
    a, b = comparison.a, comparison.b
    lines = [f"{style.paint(a.scenario, 'bold')}   {duration(a.lasts_ns)} {a.source}, {_origin(a, b)}"]
    lines += [f"  {style.paint('note', 'yellow')}  {warning}" for warning in comparison.warnings]
    for name, label, verdict in (("A", label_a, comparison.verdict_a), ("B", label_b, comparison.verdict_b)):
        lines += ["", f"  {style.paint(name, 'bold')}  {label}", *_verdict_lines(verdict, style)]
    lines += ["", *table_lines(comparison.rows, ("A", "B"), style)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _origin(a: Run, b: Run) -> str:
    """Seeds, and whether the arrivals were the same."""
    if a.seed != b.seed:
        return f"seeds {a.seed} and {b.seed}"
    return f"seed {a.seed}" + (" (same arrivals in both)" if same_arrivals(a, b) else "")


def _verdict_lines(verdict: Verdict, style: Style) -> list[str]:
    lead = f"     {verdict.state}  "
    lines = wrapped(lead, verdict.why, style.width)
    lines[0] = f"     {style.state(verdict.state)}  {lines[0][len(lead) :]}"
    missed = ", ".join(check.text for check in verdict.missed)
    return lines + (wrapped("     missed: ", missed, style.width) if missed else [])


def table_lines(rows: Iterable[Row], names: tuple[str, str], style: Style) -> list[str]:
    """The rows as a table: subject, question, both answers, how B differs from A."""
    shown = [row for row in rows if row.a is not None or row.b is not None]
    cells = [["", "", *names, ""]]
    previous = None
    for row in shown:
        cells.append([row.subject if row.subject != previous else "", row.name, *_values(row), change(row)])
        previous = row.subject
    heads, *lines = columns(cells, right=(2, 3))
    tinted = [_tinted(line, row, style) for line, row in zip(lines, shown, strict=True)]
    return [f"  {style.paint(heads, 'dim')}", *(f"  {line}" for line in tinted)]


def _values(row: Row) -> tuple[str, str]:
    never = "never" if row.name.startswith("back to baseline") else "-"
    a, b = (never if x is None else value(x, row.unit) for x in (row.a, row.b))
    return a, b


def change(row: Row) -> str:
    """`3.1x`, `1/27` or `=`; empty where a multiple says nothing."""
    if not row.factor:
        return ""
    if abs(row.factor - 1) < _NOTABLE:
        return "="
    if row.factor > 1:
        return factor(row.factor)
    return f"1/{factor(1 / row.factor).removesuffix('x').removesuffix('.0')}"


def _tinted(line: str, row: Row, style: Style) -> str:
    """The line in green or red when B is clearly better or worse."""
    if row.a is None or row.b is None or row.better == 0:
        return line
    gain = (row.b - row.a) * row.better
    if abs(gain) <= _NOTABLE * max(abs(row.a), abs(row.b)):
        return line
    return style.paint(line, "green" if gain > 0 else "red")
