"""Reads `slo`, what the flows promise, and `ignore`, the findings the author lives with."""

import re
from collections.abc import Collection

from tenfold.design.read import Reader, child, lacks
from tenfold.design.requirements import positive
from tenfold.design.schema import Ignore, Slo
from tenfold.design.steps import parse_share
from tenfold.design.tree import Entry, Map, Node
from tenfold.units import parse_duration, quoted

PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
IGNORE_KEYS = ("rule", "at", "because")

_RULE = re.compile(r"[A-Z]{2,10}[0-9]{1,4}")


def read_slos(reader: Reader, node: Node | None, flows: Collection[str]) -> dict[str, Slo]:
    """The section `slo`: flow -> its promise."""
    found = {}
    for flow, entry in reader.entries(node, "slo", "slo: {read: {p99: 200 ms, availability: 99.9%}}").items():
        if reader.known(entry.key, flow, flows, f"unknown flow {quoted(flow)}", "flows"):
            found[flow] = _read_slo(reader, flow, entry)
    return found


def _read_slo(reader: Reader, flow: str, entry: Entry) -> Slo:
    """One flow's promise."""
    entries = reader.entries(entry.value, f"the SLO of {flow}", f"{flow}: {{p99: 200 ms, availability: 99.9%}}")
    reader.refuse_unknown(entries, (*PERCENTILES, "availability"), f"the SLO of {flow}")
    if isinstance(entry.value, Map) and not entries:
        reader.complain(entry.value, f"the SLO of {flow} promises nothing", "write p99: 200 ms or availability: 99.9%")
    latency_ns: dict[float, int] = {}
    for key, percentile in PERCENTILES.items():
        limit = reader.value(child(entries, key), f"{key} of {flow}", positive(parse_duration, "time"), 0)
        if limit and latency_ns and limit < max(latency_ns.values()):
            message = f"{key} of {flow} is less than a lower percentile's limit"
            reader.complain(entries[key].value, message, "limits grow with the percentile")
        if limit:
            latency_ns[percentile] = int(limit)
    availability = reader.value(child(entries, "availability"), f"availability of {flow}", _share, None)
    return Slo(flow, latency_ns, availability, entry.value.path)


def _share(text: str) -> float | None:
    """A ratio of at most 1."""
    return parse_share(text)


def read_ignores(reader: Reader, node: Node | None) -> tuple[Ignore, ...]:
    """The section `ignore`."""
    example = "- {rule: CAP004, at: lb, because: managed by the cloud provider}"
    return tuple(_read_ignore(reader, item, example) for item in reader.nodes(node, "ignore", example))


def _read_ignore(reader: Reader, node: Node, example: str) -> Ignore:
    """One finding the author lives with; a reason is required, whoever reads the file next will ask."""
    entries = reader.entries(node, "an item of ignore", example)
    if isinstance(node, Map):
        reader.refuse_unknown(entries, IGNORE_KEYS, "an item of ignore")
        missing = [key for key in IGNORE_KEYS if lacks(entries, key, IGNORE_KEYS)]
        if missing:
            reader.complain(node, f"this item does not say {' or '.join(missing)}", f"write {example}")
    rule, at, because = (reader.text(child(entries, key), key) for key in IGNORE_KEYS)
    if rule and not _RULE.fullmatch(rule):
        reader.complain(entries["rule"].value, f"{quoted(rule)} is no rule's code", "codes look like CAP004")
    return Ignore(rule, at, because, node.path)
