"""A run and its verdict as text: the verdict first, then what clients saw, what ran out, how to see it again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tenfold.report.layout import clipped, columns, wrapped
from tenfold.report.sparkline import sparkline
from tenfold.report.style import Style
from tenfold.results.run import ArrowRun, ComponentRun, FlowRun, Run
from tenfold.verdict.checks import hit_ratio, metric
from tenfold.verdict.levels import bin_count, failures
from tenfold.verdict.verdict import Check, Verdict
from tenfold.verdict.words import clock, count, duration, factor, rate, share, value

SPARK_WIDTH = 36
_SPARK_MIN = 8
_SPARK_GAP = 2
_SPARK_MARGIN = _SPARK_GAP + len("  goodput")
_FIRST_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a report may add to a run: it is not part of the run, so that equal runs stay equal.

    command: reproduces the run. took_s: wall time. multiples: (component, multiple of the peak load at which it is
    full) of the static plan, first things first.
    """

    command: str = ""
    took_s: float | None = None
    multiples: tuple[tuple[str, float], ...] = ()


def run_text(run: Run, verdict: Verdict, style: Style, around: Circumstances | None = None) -> str:
    """The whole report on one run, lines of at most `style.width` characters, ending with a line end."""
    around = around or Circumstances()
    parts: list[Iterable[str]] = [
        [header(run, around.took_s, style)],
        verdict_lines(verdict, run, style),
        [""],
        flow_lines(tuple(run.flows), run, style),
        [""],
        _first_lines(run, verdict, around.multiples, style),
        [""],
        _component_lines(run, style),
        _arrow_lines(run, style),
        [""],
        _origin_lines(run, around.command, style),
    ]
    return "\n".join(line.rstrip() for part in parts for line in part) + "\n"


def header(run: Run, took_s: float | None, style: Style) -> str:
    """`stampede   15 min simulated, 104 M requests, 41 s (22x real time), seed 7, source 3f9a1c`."""
    at_load = f" at {run.load_factor:g}x" if run.load_factor != 1 else ""
    done = duration(run.lasts_ns) if run.is_complete else f"{duration(run.lasts_ns)} of {duration(run.asked_ns)}"
    facts = [f"{done} {run.source}", f"{count(run.requests)} requests"]
    if took_s:
        facts.append(f"{duration(took_s * 1e9)} ({factor(run.lasts_ns / 1e9 / took_s)} real time)")
    facts += [f"seed {run.seed}", f"source {run.fingerprint[:6]}"]
    if not run.is_complete:
        facts.append(style.paint("stopped early", "yellow"))
    return f"{style.paint(run.scenario + at_load, 'bold')}   {', '.join(facts)}"


def verdict_lines(verdict: Verdict, run: Run, style: Style) -> list[str]:
    """The state with its reason, then every expectation and SLO with what was measured."""
    lead = f"  {verdict.state}  "
    lines = wrapped(lead, verdict.why, style.width)
    lines[0] = f"  {style.state(verdict.state)}  {lines[0][len(lead) :]}"
    width = max((len(check.text) for check in verdict.checks), default=0)
    for kind, title in (("expect", "EXPECT"), ("slo", "SLO")):
        checks = [check for check in verdict.checks if check.kind == kind]
        for number, check in enumerate(checks):
            name = (title if number == 0 else "").ljust(6)
            lines.append(f"  {name}  {style.mark(check.passed)} {check.text.ljust(width)}   {measured(check, run)}")
    return lines


def measured(check: Check, run: Run) -> str:
    """What was measured for a check, in words."""
    if not check.text.startswith("recovers"):
        return check.remark or value(check.measured, check.unit)
    if check.passed is None:
        return "cannot be told from this run"
    if check.measured is None:
        return "nothing to recover from" if check.passed else f"not back at {clock(run.lasts_ns)}"
    after = "at once" if check.measured == 0 else f"after {duration(check.measured)}"
    is_late = check.measured > check.limit
    return f"back {after}" + ("" if check.passed or is_late else ", but not to stay")


def flow_lines(names: Sequence[str], run: Run, style: Style) -> Iterable[str]:
    """Per flow: percentiles and errors, goodput, both over time; then the causes of the errors."""
    bins = bin_count(run)
    heads = {name: _percentiles(name, run) for name in names}
    feet = {name: f"    {_goodput(run.flows[name], run)}" for name in names}
    room = style.width - max(map(len, [*heads.values(), *feet.values()]), default=0) - _SPARK_MARGIN
    spark = min(SPARK_WIDTH, room) if room >= _SPARK_MIN else 0
    column = style.width - spark - _SPARK_MARGIN + _SPARK_GAP
    for name in names:
        flow = run.flows[name]
        errors = sparkline(_error_shares(flow, bins), spark, top=1.0, unicode=style.unicode)
        goodput = sparkline(flow.good[:bins], spark, pick=min, unicode=style.unicode)
        look = "red" if any(any(series) for series in flow.failed.values()) else "green"
        yield _with_spark(heads[name], errors, "errors", look, column, style)
        yield _with_spark(feet[name], goodput, "goodput", "cyan", column, style)
        causes = _causes(flow, run)
        if causes:
            yield from wrapped("    failed: ", causes, style.width)


def _percentiles(name: str, run: Run) -> str:
    """`  read_timeline   p50 1.4 ms  p95 1.9 s  p99 2.1 s   errors 61 %`."""
    latency = run.flows[name].latency
    errors, _ = metric(run, name, "errors")
    percentiles = "  ".join(
        f"{label} {duration(ns)}" if latency.count else f"{label} -"
        for label, ns in (("p50", latency.p50_ns), ("p95", latency.p95_ns), ("p99", latency.p99_ns))
    )
    return f"  {name}   {percentiles}   errors {value(errors, 'ratio')}"


def _with_spark(lead: str, drawn: str, what: str, look: str, column: int, style: Style) -> str:
    """A line with its sparkline at the common column; alone when there is no room for one."""
    return f"{lead.ljust(column)}{style.paint(drawn, look)}  {style.paint(what, 'dim')}" if drawn else lead


def _error_shares(flow: FlowRun, bins: int) -> list[float]:
    """Share of the requests that ended in each bin with a failure."""
    shares = []
    for number in range(bins):
        failed = failures(flow, number)
        ended = failed + flow.good[number]
        shares.append(failed / ended if ended else 0.0)
    return shares


def _goodput(flow: FlowRun, run: Run) -> str:
    """`57.9 k/s offered, 22 k/s good, 2.9 tries each`."""
    bins = range(min(run.warmup_ns // run.bin_ns, bin_count(run)), bin_count(run))
    seconds = max(1, len(bins)) * run.bin_ns / 1e9
    offered, good, tries = (sum(s[i] for i in bins) for s in (flow.offered, flow.good, flow.attempts))
    text = f"{rate(offered / seconds)} offered, {rate(good / seconds)} good"
    return f"{text}, {tries / offered:.1f} tries each" if offered and tries > 1.05 * offered else text


def _causes(flow: FlowRun, run: Run) -> str:
    """Share of all ended requests per cause, most frequent first: `timeout 52 %, overload 9 %`."""
    bins = range(min(run.warmup_ns // run.bin_ns, bin_count(run)), bin_count(run))
    totals = {cause: sum(series[i] for i in bins) for cause, series in flow.failed.items()}
    ended = sum(totals.values()) + sum(flow.good[i] for i in bins)
    ordered = sorted(((n, cause) for cause, n in totals.items() if n), key=lambda item: (-item[0], item[1]))
    return ", ".join(f"{cause.replace('_', ' ')} {share(n / ended)}" for n, cause in ordered)


def _first_lines(run: Run, verdict: Verdict, multiples: tuple[tuple[str, float], ...], style: Style) -> Iterable[str]:
    """What ran out in this run, and what would at a multiple of the load."""
    if verdict.saturated:
        told = [_ran_out(s.component, s.resource, s.at_ns, s.queue) for s in verdict.saturated[:_FIRST_SHOWN]]
        yield from wrapped("  ran out first   ", ", then ".join(told), style.width)
    else:
        yield "  ran out first   nothing: no resource was full, no queue took off"
    if multiples:
        (name, first), *others = multiples[:_FIRST_SHOWN]
        rest = "".join(f", {'then ' if i == 0 else ''}{other} {factor(x)}" for i, (other, x) in enumerate(others))
        yield from wrapped("  breaks first    ", f"{name} at {factor(first)} the peak load{rest}", style.width)


def _ran_out(component: str, resource: str, at_ns: int, queue: float) -> str:
    waiting = f", {count(queue)} waiting" if queue >= 1 else ""
    return f"{component} {resource} at {clock(at_ns)}{waiting}"


def _component_lines(run: Run, style: Style) -> Iterable[str]:
    """One line per component that was called: calls, queue, hits, how busy at its busiest."""
    rows = [_component_row(name, part, run) for name, part in run.components.items() if any(part.calls)]
    if rows:
        yield from _table([["component", "calls", "at most", "queue", "hits", "busiest"], *rows], (1, 2, 3, 4), style)


def _component_row(name: str, part: ComponentRun, run: Run) -> list[str]:
    bins = range(min(run.warmup_ns // run.bin_ns, bin_count(run)), bin_count(run))
    mean = fmean(part.calls[i] for i in bins) / run.bin_ns * 1e9 if bins else 0.0
    most, _ = metric(run, name, "calls")
    busy = [
        f"{resource} {share(max(series[i] for i in bins))}" for resource, series in part.utilisation.items() if bins
    ]
    waiting = max((max(part.queue[i], part.backlog[i] if part.backlog else 0) for i in bins), default=0.0)
    hits = hit_ratio(part, bins)
    queue = count(round(waiting)) if waiting >= 1 else ""
    return [name, rate(mean), rate(most or 0.0), queue, share(hits) if hits is not None else "", ", ".join(busy)]


def _arrow_lines(run: Run, style: Style) -> Iterable[str]:
    """One line per arrow with policies: what they did."""
    rows = [[name, count(arrow.calls), _arrow_facts(arrow)] for name, arrow in run.arrows.items()]
    if rows:
        yield ""
        yield from _table([["arrow", "calls", "its policies"], *rows], (1,), style)


def _table(rows: list[list[str]], right: tuple[int, ...], style: Style) -> Iterable[str]:
    """Rows under their headings."""
    heads, *lines = columns(rows, right=right)
    yield "  " + style.paint(heads, "dim")
    for line in lines:
        yield clipped("  " + line, style.width)


def _arrow_facts(arrow: ArrowRun) -> str:
    told = (
        (arrow.retries, "retries"),
        (arrow.timeouts, "timeouts"),
        (arrow.deadlines, "deadlines passed"),
        (arrow.budget_exhausted, "retries refused by the budget"),
        (arrow.hedges, "extra calls"),
        (arrow.hedges_won, "of them answered first"),
        (arrow.rejected_by_throttle, "refused by throttle"),
        (arrow.breaker_opened, "times breaker opened"),
        (arrow.rejected_by_breaker, "refused by breaker"),
        (arrow.rejected_by_rate_limit, "refused by rate limit"),
        (arrow.rejected_by_limit, "refused by adaptive limit"),
        (arrow.rejected_by_bulkhead, "refused by bulkhead"),
    )
    return ", ".join(f"{count(n)} {what}" for n, what in told if n) or "nothing to do"


def _origin_lines(run: Run, command: str, style: Style) -> Iterable[str]:
    """What reproduces the run."""
    if command:
        yield f"  {style.paint('again', 'dim')}    {command}"
    facts = f"seed {run.seed}, design {run.design}, source {run.fingerprint}, tenfold {run.version}"
    yield f"  {style.paint('origin', 'dim')}   {facts}"
