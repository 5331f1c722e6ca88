"""Two runs side by side: the same questions asked of both."""

from collections.abc import Iterable
from dataclasses import dataclass

from tenfold.results.run import Run
from tenfold.verdict.checks import metric
from tenfold.verdict.levels import bin_count
from tenfold.verdict.verdict import Verdict
from tenfold.verdict.words import duration

_FLOW_ROWS = (("errors", "errors", -1), ("p50", "p50", -1), ("p99", "p99", -1), ("goodput", "goodput", 1))
_COMPONENT_ROWS = (
    ("calls, busiest second", "calls", 0),
    ("busiest resource", "utilisation", -1),
    ("longest queue", "queue", -1),
    ("hit ratio", "hit_ratio", 1),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One question and both answers. better: 1 when more is better, -1 when less is, 0 when neither."""

    subject: str
    name: str
    a: float | None
    b: float | None
    unit: str
    better: int

    @property
    def factor(self) -> float | None:
        """b as a multiple of a; None where that says nothing."""
        return self.b / self.a if self.a and self.b is not None else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs of the same scenario, or of what the user takes for it: `warnings` say what else differs."""

    a: Run
    b: Run
    verdict_a: Verdict
    verdict_b: Verdict
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]


def compare(a: Run, verdict_a: Verdict, b: Run, verdict_b: Verdict) -> Comparison:
    """Put two runs side by side. Equal seeds, loads and flows give equal arrivals (common random numbers)."""
    rows = [*_verdict_rows(verdict_a, verdict_b), *_flow_rows(a, b), *_component_rows(a, b)]
    return Comparison(a, b, verdict_a, verdict_b, tuple(rows), tuple(_warnings(a, b)))


def _verdict_rows(a: Verdict, b: Verdict) -> Iterable[Row]:
    worst_a, worst_b = (v.worst.errors_ratio if v.worst else None for v in (a, b))
    yield Row("", "errors, worst moment", worst_a, worst_b, "ratio", -1)
    yield Row("", "back to baseline after", a.recovery_ns, b.recovery_ns, "ns", -1)


def _flow_rows(a: Run, b: Run) -> Iterable[Row]:
    for flow in _in_both(a.flows, b.flows):
        for label, name, better in _FLOW_ROWS:
            yield _row(a, b, flow, label, name, better)


def _component_rows(a: Run, b: Run) -> Iterable[Row]:
    for component in _in_both(a.components, b.components):
        for label, name, better in _COMPONENT_ROWS:
            row = _row(a, b, component, label, name, better)
            if row.a is not None or row.b is not None:
                yield row


def _row(a: Run, b: Run, subject: str, label: str, name: str, better: int) -> Row:
    value_a, unit_a = metric(a, subject, name)
    value_b, unit_b = metric(b, subject, name)
    return Row(subject, label, value_a, value_b, unit_a or unit_b, better)


def _in_both(a: Iterable[str], b: Iterable[str]) -> list[str]:
    """Names of both, in the order of the first, those only the second has at the end."""
    return list(dict.fromkeys([*a, *b]))


def same_arrivals(a: Run, b: Run) -> bool:
    """Whether clients started the same requests at the same moments, as far as both runs go."""
    return a.seed == b.seed and a.bin_ns == b.bin_ns and not _differing(a, b)


def _differing(a: Run, b: Run) -> list[str]:
    """The flows clients start that only one run has, or that started otherwise in a bin both runs have."""
    shared = range(min(bin_count(a), bin_count(b)))
    return [
        name
        for name in _in_both(a.flows, b.flows)
        if not _is_triggered(name, a, b) and _offered(a, name, shared) != _offered(b, name, shared)
    ]


def _is_triggered(name: str, a: Run, b: Run) -> bool:
    """Whether messages start a flow: when they come depends on the system, as answers do."""
    return all(run.flows[name].is_triggered for run in (a, b) if name in run.flows)


def _offered(run: Run, name: str, bins: range) -> list[int] | None:
    return [run.flows[name].offered[number] for number in bins] if name in run.flows else None


def _warnings(a: Run, b: Run) -> Iterable[str]:
    """What makes two runs hard to compare."""
    for name, one, other in (
        ("scenarios", a.scenario, b.scenario),
        ("lengths", duration(a.asked_ns), duration(b.asked_ns)),
        ("seeds", str(a.seed), str(b.seed)),
        ("loads", f"{a.load_factor:g}x", f"{b.load_factor:g}x"),
        ("engine sources", a.fingerprint, b.fingerprint),
    ):
        if one != other:
            yield f"different {name}: {one} and {other}"
    if a.seed == b.seed and a.bin_ns == b.bin_ns and (differing := _differing(a, b)):
        yield f"different arrivals of {', '.join(differing)}"
    for label, run in (("A", a), ("B", b)):
        if not run.is_complete:
            yield f"{label} was stopped early"
