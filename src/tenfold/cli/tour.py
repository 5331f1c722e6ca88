"""`tenfold tour`: the shipped timeline in four steps: its numbers, an incident, the fix, both side by side."""

import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from tenfold import api
from tenfold.cli import options
from tenfold.cli.progress import Bar
from tenfold.cli.terminal import note, out, style_of
from tenfold.cli.trouble import FINE, STOPPED
from tenfold.report.layout import columns, wrapped
from tenfold.report.style import Style
from tenfold.verdict.verdict import DEGRADED, METASTABLE

if TYPE_CHECKING:
    from tenfold.design.schema import Design
    from tenfold.sizing import Plan

SYSTEM = "timeline"
SCENARIO = "stampede"
READS, CACHE, DATABASE = "read_timeline", "timeline_cache", "tweets_db"
FIX = (f"components.{CACHE}.lock=true", f"components.{CACHE}.ttl_jitter=10%")
_WIDTH = 96
_MORALS = {
    METASTABLE: "METASTABLE: what set it off was over in a moment, and the outage stays all the same. Late answers are "
    "thrown away and asked for again: the servers work at full speed for nobody.",
    DEGRADED: "What set it off was over in a moment; the damage took much longer, as every failed read is asked again.",
}


@dataclass(frozen=True, slots=True)
class Guide:
    """Says things, in the style of the terminal."""

    style: Style

    def step(self, number: int, title: str, command: str) -> None:
        """A heading and the command that does the step."""
        first, *more = folded(command, self.style.width - 5)
        shown = [f"$ {first}", *(f"    {line}" for line in more)]
        out(f"{self.style.paint(f'{number}. {title}', 'bold')}\n")
        out("".join(f"   {self.style.paint(line, 'cyan')}\n" for line in shown) + "\n")

    def say(self, text: str) -> None:
        """A paragraph."""
        out("\n".join(wrapped("   ", text, self.style.width)) + "\n\n")

    def show(self, lines: list[str]) -> None:
        """Lines as they are, set in."""
        out("\n".join(f"   {line}".rstrip() for line in lines) + "\n\n")


@click.command("tour")
@options.seed_option
def command(seed: int) -> int:
    """Walk through a shipped design in four steps.

    Its numbers, an incident with everyday settings, the fix in two words, and both side by side. Nothing is written;
    Ctrl-C ends it at any time.
    """
    style = style_of(sys.stdout)
    guide = Guide(Style(style.unicode, style.colour, min(style.width, _WIDTH)))
    naive, fixed = api.load(SYSTEM), api.load(SYSTEM, FIX)
    _welcome(guide, naive)
    _numbers(guide, naive)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            # The second run begins with the first where there is a core for it: it is ready when the reader is.
            early = pool.submit(_fixed_run, fixed, seed, stop) if api.cores() > 1 else None
            before = _incident(guide, naive, seed)
            after = _fix(guide, fixed, early, seed) if before.run.is_complete else None
        finally:
            stop.set()
    if after is None or not after.run.is_complete:
        note("stopped; the tour ends here")
        return STOPPED
    _side_by_side(guide, before, after)
    return FINE


def _welcome(guide: Guide, design: "Design") -> None:
    title = guide.style.paint("Tenfold tour", "bold")
    out(f"{title}   {design.title}: the design stands in\n{design.source.path}\n\n")


def _numbers(guide: Guide, design: "Design") -> None:
    """Step 1: what the static plan says."""
    plan = api.size(design)
    guide.step(1, "What does it have to carry?", options.command_line("size", SYSTEM))
    guide.say("The file says how many people use it and what one request does. The rest is arithmetic:")
    guide.show(columns(_number_rows(plan)))
    calls = plan.components[DATABASE].peak.value.likely / plan.flows[READS].peak.value.likely
    guide.say(
        f"Thanks to {CACHE}, {DATABASE} gets {calls:.0%} of what the readers ask for. Remember that share: it holds "
        "only while the cache is full."
    )


def _number_rows(plan: "Plan") -> list[list[str]]:
    """The few lines of the plan the story needs."""
    from tenfold.report.plan_text import value_text

    flow = plan.flows[READS]
    lines = [("reads, average", flow.average), ("reads, busiest second", flow.peak)]
    lines += [("of them, answered by the cache", cache.hit_ratio) for cache in plan.caches if cache.component == CACHE]
    lines.append((f"calls that reach {DATABASE}, busiest second", plan.components[DATABASE].peak))
    rows = [[name, value_text(line.value, line.unit), line.formula] for name, line in lines]
    return [[name, value, formula if len(formula) <= 44 else ""] for name, value, formula in rows]


def _incident(guide: Guide, design: "Design", seed: int) -> api.Judged:
    """Step 2: the cache expires all at once."""
    guide.step(
        2, "What happens when the cache expires all at once?", options.command_line("simulate", SYSTEM, s=SCENARIO)
    )
    guide.say(
        "That happens after a deploy, a flush or a restart: entries written together reach their time to live "
        f"together. Every request of {SCENARIO} is now simulated, with its timeouts and retries."
    )
    judged = _run(design, seed)
    _outcome(guide, judged)
    if judged.run.is_complete:
        guide.say(_MORALS.get(judged.verdict.state, "It got over it, but see how many calls reached the database."))
    return judged


def _fix(guide: Guide, design: "Design", early: "Future[api.Judged] | None", seed: int) -> api.Judged:
    """Step 3: two settings changed."""
    change = options.command_line("simulate", SYSTEM, s=SCENARIO, set=FIX)
    guide.step(3, "Change two words: lock: true, ttl_jitter: 10%", change)
    guide.say(
        "lock: of all the requests that miss the same entry, one asks the database and the others wait for it. "
        "ttl_jitter: entries written together expire at slightly different times. The same people arrive at the same "
        "moments as before; only these two settings differ."
    )
    judged = early.result() if early else _run(design, seed)
    _outcome(guide, judged)
    return judged


def _fixed_run(design: "Design", seed: int, stop: threading.Event) -> api.Judged:
    """The second run, in its own thread."""
    return api.simulate(design, SCENARIO, seed=seed, settings=_settings(), stop=stop)


def _settings() -> dict[str, str]:
    return dict(text.split("=", 1) for text in FIX)


def _run(design: "Design", seed: int) -> api.Judged:
    bar = Bar(SCENARIO, sys.stderr, style_of(sys.stderr))
    try:
        return api.simulate(design, SCENARIO, seed=seed, progress=bar)
    finally:
        bar.close()


def _outcome(guide: Guide, judged: api.Judged) -> None:
    """Verdict and the reads over time."""
    from tenfold.report.run_text import flow_lines, header, verdict_lines

    run, style = judged.run, replace(guide.style, width=guide.style.width - 3)
    lines = [header(run, None, style), *verdict_lines(judged.verdict, run, style)]
    lines += flow_lines((READS,), run, style)
    guide.show(lines)


def _side_by_side(guide: Guide, before: api.Judged, after: api.Judged) -> None:
    """Step 4: what anyone understands."""
    line = options.command_line("compare", SYSTEM, SYSTEM, s=SCENARIO, set_b=FIX)
    guide.step(4, "Side by side", line)
    guide.show(comparison_lines(before, after, guide.style))
    many = options.command_line("simulate", SYSTEM, s=SCENARIO, seeds="40")
    guide.show(
        [
            f"How sure is this?   {guide.style.paint(many, 'cyan')}",
            f"Your own system:    {guide.style.paint('tenfold new shop', 'cyan')}",
        ]
    )


def comparison_lines(before: api.Judged, after: api.Judged, style: Style) -> list[str]:
    """The last table: plain words, two columns."""
    comparison = api.compare(before, after)
    from tenfold.report.compare_text import change
    from tenfold.verdict.words import value

    rows = {(row.subject, row.name): row for row in comparison.rows}
    asked = (
        ("reads that failed", rows[READS, "errors"]),
        ("reads that failed, worst moment", rows["", "errors, worst moment"]),
        ("99 of 100 reads answered within", rows[READS, "p99"]),
        ("database calls per second, at most", rows[DATABASE, "calls, busiest second"]),
    )
    cells = [["", "as it was", "lock + jitter", ""]]
    cells += [[name, value(row.a, row.unit), value(row.b, row.unit), change(row)] for name, row in asked]
    cells.append(["does it recover?", _recovered(before), _recovered(after), ""])
    head, *lines = columns(cells, right=(1, 2), gap="   ")
    return [style.paint(head, "dim"), style.rule(len(head)), *lines]


def folded(command: str, width: int) -> list[str]:
    """A command in lines a shell takes as one, broken before its options."""
    lines = [""]
    for word in command.replace(" -", "\n-").split("\n"):
        if lines[-1] and len(lines[-1]) + len(word) + 3 > width:
            lines[-1] += " \\"
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _recovered(judged: api.Judged) -> str:
    """The answer to "does it recover?" in a word or two."""
    from tenfold.verdict.words import duration

    found = judged.verdict
    if found.recovery_ns is None or found.relapse_ns is not None:
        return "no" if found.state == METASTABLE else found.state
    return "at once" if found.recovery_ns == 0 else f"after {duration(found.recovery_ns)}"
