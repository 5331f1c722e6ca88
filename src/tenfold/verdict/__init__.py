"""Design + Run -> verdict: expectations, SLOs, recovered or metastable."""

from tenfold.verdict.compare import Comparison, Row, compare
from tenfold.verdict.judge import judge
from tenfold.verdict.replications import Interval, Replications, replications, wilson
from tenfold.verdict.verdict import Check, Saturation, Tolerances, Verdict

__all__ = [
    "Check",
    "Comparison",
    "Interval",
    "Replications",
    "Row",
    "Saturation",
    "Tolerances",
    "Verdict",
    "compare",
    "judge",
    "replications",
    "wilson",
]
