"""Reads how long a step takes: a distribution over nanoseconds.

| written | means |
|---|---|
| `3 ms`, `2 ms..5 ms` | exponential with this mean: work of very different sizes |
| `{p50: 8 ms, p99: 45 ms}` | lognormal: mu = ln p50, sigma = (ln p99 - ln p50) / z, z = 2.3263 the normal p99 |
| `{constant: 5 ms}` | always the same |
| `{exponential: 5 ms}` | the bare duration, said aloud |
| `{uniform: 1 ms..5 ms}` | all equally likely |
| `{lognormal: {mean: 5 ms, cv: 1.5}}` | cv = sd / mean: sigma^2 = ln(1 + cv^2), mu = ln mean - sigma^2 / 2 |
| `{pareto: {mean: 5 ms, alpha: 2.1}}` | heavy tail: scale = mean (alpha - 1) / alpha |
| `{empirical: samples.csv}` | drawn from samples: one per line, a duration or a number of ms |

The mean of a lognormal is exp(mu + sigma^2 / 2).
"""

import math
from collections.abc import Mapping

from tenfold.design.read import Reader, child, is_blank
from tenfold.design.requirements import positive
from tenfold.design.samples import read_samples
from tenfold.design.schema import Range, Timing
from tenfold.design.tree import Entry, Map, Node
from tenfold.units import DURATION_MAX_NS, UnitError, parse_duration, parse_number, parse_range, quoted

Z99 = 2.3263478740408408
"""The 99 % quantile of the standard normal distribution."""

SPREAD_MAX = 10_000.0  # p99 / p50; the mean would be 2,500 times the median
CV_MAX = 100.0
NOTHING = Timing("constant", Range.exactly(0.0))

SHAPES = ("p50", "p99", "constant", "exponential", "uniform", "lognormal", "pareto", "empirical")
_EXAMPLE = "a duration (3 ms), {p50: 8 ms, p99: 45 ms} or {constant: 5 ms}"


def read_timing(reader: Reader, node: Node | None, what: str) -> Timing | None:
    """How long something takes; None when the file does not say.

    Args:
        reader: notes what is wrong.
        node: a duration, a range of them, or a named distribution.
        what: how messages name it ("takes of query tweets_db").
    """
    if node is None:
        return None
    if not isinstance(node, Map):
        return _read_mean(reader, node, what)
    entries = node.entries
    reader.refuse_unknown(entries, SHAPES, what)
    named = [key for key in entries if key in SHAPES]
    if set(named) == {"p50", "p99"}:
        return _read_percentiles(reader, node, what)
    if entries and not named:
        return NOTHING  # every key is unknown, and that is told
    if len(named) != 1 or named[0] in ("p50", "p99"):
        reader.complain(node, f"{what} is no distribution", f"write {_EXAMPLE}")
        return NOTHING
    return _read_named(reader, named[0], entries[named[0]].value, what)


def exponential(mean_ns: Range) -> Timing:
    """Exponential with this mean; nothing at all when the mean is 0."""
    return Timing("exponential", mean_ns) if mean_ns.likely > 0 else Timing("constant", mean_ns)


def lognormal(mean_ns: Range, mu: float, sigma: float) -> Timing:
    """Lognormal; a constant when nothing varies."""
    return Timing("lognormal", mean_ns, (mu, sigma)) if sigma > 0 else Timing("constant", mean_ns)


def _read_mean(reader: Reader, node: Node, what: str) -> Timing:
    """A bare duration."""
    if not is_blank(node) and not hasattr(node, "text"):
        reader.complain(node, f"{what} should be a duration", f"write {_EXAMPLE}")
        return NOTHING
    return exponential(reader.range(node, what, parse_duration) or Range.exactly(0.0))


def _read_percentiles(reader: Reader, node: Map, what: str) -> Timing:
    """{p50, p99}: the lognormal through both. The ends of ranges give the ends of the mean."""
    low_ns = reader.range(child(node.entries, "p50"), f"p50 of {what}", positive(parse_duration, "time"))
    high_ns = reader.range(child(node.entries, "p99"), f"p99 of {what}", positive(parse_duration, "time"))
    if low_ns is None or high_ns is None:
        return NOTHING
    pairs = list(
        zip((low_ns.low, low_ns.likely, low_ns.high), (high_ns.low, high_ns.likely, high_ns.high), strict=True)
    )
    if any(p50 > p99 for p50, p99 in pairs):
        reader.complain(node, f"{what}: p50 is more than p99", "swap them: half of the values lie below p50")
        return NOTHING
    if any(p99 > SPREAD_MAX * p50 for p50, p99 in pairs):
        reader.complain(node, f"{what}: p99 is more than {SPREAD_MAX:,.0f} times p50", "use {empirical: samples.csv}")
        return NOTHING
    means = sorted(math.exp(math.log(p50) + _sigma(p50, p99) ** 2 / 2) for p50, p99 in pairs)
    if means[-1] > DURATION_MAX_NS:
        reader.complain(node, f"{what}: the mean is more than 100 years", "write shorter times")
        return NOTHING
    return lognormal(Range(*means), math.log(low_ns.likely), _sigma(low_ns.likely, high_ns.likely))


def _sigma(p50: float, p99: float) -> float:
    """Sigma of the lognormal with these percentiles."""
    return (math.log(p99) - math.log(p50)) / Z99


def _read_named(reader: Reader, shape: str, node: Node, what: str) -> Timing:
    """{shape: ...}."""
    what = f"{shape} of {what}"
    if shape in ("constant", "exponential"):
        mean_ns = reader.range(node, what, parse_duration) or Range.exactly(0.0)
        return exponential(mean_ns) if shape == "exponential" else Timing("constant", mean_ns)
    if shape == "uniform":
        low, high = reader.value(node, what, _low_and_high, (0.0, 0.0))
        return Timing("uniform", Range.exactly(low + (high - low) / 2), (low, high))
    if shape == "empirical":
        return _read_empirical(reader, node, what)
    second = "cv" if shape == "lognormal" else "alpha"
    entries = reader.entries(node, what, f"{shape}: {{mean: 5 ms, {second}: 2}}")
    reader.refuse_unknown(entries, ("mean", second), what)
    return _read_with_mean(reader, shape, second, entries, node, what)


def _low_and_high(text: str) -> tuple[float, float]:
    """The ends of a uniform distribution."""
    low, _, high = parse_range(text, parse_duration)
    if low == high:
        raise UnitError(f"{quoted(text)} is no range", "write uniform: 1 ms..5 ms, or constant: 5 ms")
    return low, high


def _read_with_mean(
    reader: Reader, shape: str, second: str, entries: Mapping[str, Entry], node: Node, what: str
) -> Timing:
    """A lognormal by mean and cv, or a pareto by mean and alpha."""
    mean_ns = reader.range(child(entries, "mean"), f"mean of {what}", positive(parse_duration, "time"))
    value = reader.value(child(entries, second), f"{second} of {what}", _cv if second == "cv" else _alpha, None)
    for key in ("mean", second):
        if isinstance(node, Map) and key not in entries:
            reader.complain(node, f"{what} has no {key}", f"write {shape}: {{mean: 5 ms, {second}: 2}}")
    if mean_ns is None or value is None:
        return NOTHING
    if second == "alpha":
        return Timing("pareto", mean_ns, (mean_ns.likely * (value - 1) / value, value))
    variance = math.log1p(value * value)
    return lognormal(mean_ns, math.log(mean_ns.likely) - variance / 2, math.sqrt(variance))


def _cv(text: str) -> float | None:
    """Standard deviation / mean."""
    value = parse_number(text)
    if value > CV_MAX:
        raise UnitError(f"{quoted(text)} is more than {CV_MAX:g}", "write standard deviation / mean, such as 1.5")
    return value


def _alpha(text: str) -> float | None:
    """Tail index of a pareto; at 1 and below it has no mean."""
    value = parse_number(text)
    if not 1.01 <= value <= 100:
        raise UnitError(f"{quoted(text)} is not between 1.01 and 100", "write a tail index such as 2.1")
    return value


def _read_empirical(reader: Reader, node: Node, what: str) -> Timing:
    """A file of samples."""
    name = reader.text(node, what)
    samples = read_samples(reader, node, name) if name else ()
    if not samples:
        return NOTHING
    return Timing("empirical", Range.exactly(math.fsum(samples) / len(samples)), samples)
