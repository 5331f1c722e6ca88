"""Two runs side by side: the same questions asked of both."""

from collections.abc import Iterable
from dataclasses import dataclass

from tenfold.results.run import Run
from tenfold.verdict.checks import metric
from tenfold.verdict.verdict import Verdict

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
    """Put two runs side by side. Their arrivals are the same when seed, load and flows are (common random numbers)."""
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


def _warnings(a: Run, b: Run) -> Iterable[str]:
    """What makes two runs hard to compare."""
    for name, one, other in (
        ("scenarios", a.scenario, b.scenario),
        ("seeds", str(a.seed), str(b.seed)),
        ("loads", f"{a.load_factor:g}x", f"{b.load_factor:g}x"),
        ("engine sources", a.fingerprint, b.fingerprint),
    ):
        if one != other:
            yield f"different {name}: {one} and {other}"
    for label, run in (("A", a), ("B", b)):
        if not run.is_complete:
            yield f"{label} was stopped early"
