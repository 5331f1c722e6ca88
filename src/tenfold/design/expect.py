"""Reads one line of `expect`: `recovers within 60 s`, `read_timeline.p99 < 500 ms`, `tweets_db.utilisation < 80%`."""

import re
from collections.abc import Callable, Mapping

from tenfold.design.read import Reader
from tenfold.design.schema import CLIENT, Component, Expectation, Flow
from tenfold.design.tree import Node
from tenfold.units import UnitError, parse_duration, parse_number, parse_rate_per_s, parse_ratio, quoted

FLOW_METRICS: Mapping[str, Callable[[str], float]] = {
    "p50": parse_duration,
    "p95": parse_duration,
    "p99": parse_duration,
    "p99.9": parse_duration,
    "mean": parse_duration,
    "errors": parse_ratio,
    "availability": parse_ratio,
    "goodput": parse_rate_per_s,
}
"""What can be expected of a flow, and how the limit is written."""

COMPONENT_METRICS: Mapping[str, Callable[[str], float]] = {
    "utilisation": parse_ratio,
    "hit_ratio": parse_ratio,
    "calls": parse_rate_per_s,
    "queue": parse_number,
}
"""What can be expected of a component."""

_COMPARISON = re.compile(r"([^<>=]+?)\s*(<=|>=|<|>|==|=)\s*([^<>=]+)")
_TURNED = str.maketrans("<>", "><")
_EXAMPLES = "write recovers within 60 s, read.p99 < 500 ms, or db.utilisation < 80%"


def read_expectation(
    reader: Reader, node: Node, flows: Mapping[str, Flow], components: Mapping[str, Component]
) -> Expectation:
    """One expectation; nonsense is noted and stands for nothing."""
    text = reader.text(node, "an expectation")
    nothing = Expectation(text, "recovers", 0.0, path=node.path)
    if not text:
        return nothing
    if text.startswith("recover"):
        limit_text = text.removeprefix("recovers").strip().removeprefix("within").strip()
        if not text.startswith("recovers within "):
            reader.complain(node, f"{quoted(text)} is no expectation", "write recovers within 60 s")
            return nothing
        return Expectation(text, "recovers", _limit(reader, node, text, limit_text, parse_duration), path=node.path)
    match = _COMPARISON.fullmatch(text) if len(text) < 500 else None
    if not match or match.group(2) in ("=", "=="):
        reader.complain(node, f"{quoted(text)} is no expectation", _EXAMPLES)
        return nothing
    return _read_comparison(reader, node, text, match, flows, components)


def _read_comparison(
    reader: Reader,
    node: Node,
    text: str,
    match: re.Match[str],
    flows: Mapping[str, Flow],
    components: Mapping[str, Component],
) -> Expectation:
    """`subject.metric < limit`."""
    left, comparison, limit_text = match.groups()
    subject, _, metric = left.partition(".")
    found = Expectation(text, "metric", 0.0, subject, metric, comparison, node.path)
    if left[0].isdigit():
        remedy = f"write {limit_text} {comparison.translate(_TURNED)} {left}"
        reader.complain(node, f"{quoted(text)} has its limit on the left", remedy)
        return found
    if not metric:
        remedy = f"write it with its flow or component: {next(iter(flows), 'read')}.{left} {comparison} {limit_text}"
        reader.complain(node, f"{quoted(text)} does not say of what", remedy)
        return found
    if subject not in flows and (subject not in components or subject == CLIENT):
        names = [*flows, *(name for name in components if name != CLIENT)]
        reader.mistakes.unknown(node.spot, f"unknown flow or component {quoted(subject)}", subject, names, "names")
        return found
    metrics = metrics_of(subject, flows, components)
    if not reader.known(node, metric, metrics, f"{subject} has no {quoted(metric)}", "metrics"):
        return found
    limit = _limit(reader, node, text, limit_text, metrics[metric])
    return Expectation(text, "metric", limit, subject, metric, comparison, node.path)


def metrics_of(
    subject: str, flows: Mapping[str, Flow], components: Mapping[str, Component]
) -> dict[str, Callable[[str], float]]:
    """What can be expected of a name: of a flow, a component, or both when they share it."""
    metrics = dict(FLOW_METRICS) if subject in flows else {}
    if subject in components:
        has_hits = "get" in components[subject].kind.VERBS
        metrics |= {name: parse for name, parse in COMPONENT_METRICS.items() if has_hits or name != "hit_ratio"}
    return metrics


def _limit(reader: Reader, node: Node, text: str, limit_text: str, parse: Callable[[str], float]) -> float:
    """The limit; 0 after a mistake."""
    try:
        return float(parse(limit_text))
    except UnitError as error:
        reader.complain(node, f"{quoted(text)}: {error.message}", error.remedy)
        return 0.0
