"""Counters of pipelines and caches for prometheus-client (extra `prometheus`), read when they are scraped.

    REGISTRY.register(PrometheusCollector(payments, tweets, cache=[timeline_cache]))

    tenfold_retries_total{arrow="api -> payments"} 17.0
    tenfold_breaker_phase{arrow="api -> payments",phase="open"} 1.0
    tenfold_cache_hits_total{cache="timeline_cache"} 90210.0

Names are those of a simulated run, so a dashboard drawn for one fits the other. Nothing is counted twice and nothing is
added to a call: the numbers are the pipeline's own.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tenfold.runtime.observe.reading import Counted, by_name, levels, phases, totals
from tenfold.runtime.shell import Shell

__all__ = ["PrometheusCollector"]


class PrometheusCollector(Collector):
    """Reads pipelines and others at every scrape.

    Args:
        pipelines: of either kind; label `arrow` is their name.
        others: whatever has a name and counts, by its kind, which becomes prefix and label: `cache=[timeline_cache]`.

    Raises:
        UsageError: a source without a name, or two with the same.
    """

    def __init__(self, *pipelines: Shell, **others: Iterable[Counted]) -> None:
        by_name("pipeline", pipelines)
        self._pipelines = pipelines
        self._others = {kind: by_name(kind, sources) for kind, sources in others.items()}

    def collect(self) -> Iterator[Metric]:
        """The families of metrics as they are now."""
        families: dict[str, Metric] = {}
        for pipeline in self._pipelines:
            _count(families, "tenfold", "arrow", pipeline)
            for name, value in levels(pipeline):
                metric = f"tenfold_{name.replace('.', '_')}"
                family = families.setdefault(metric, GaugeMetricFamily(metric, f"Level: {name}.", labels=["arrow"]))
                family.add_metric([pipeline.name], value)  # type: ignore[attr-defined]
            for phase, is_in in phases(pipeline):
                _phase(families).add_metric([pipeline.name, phase], is_in)
        for kind, sources in self._others.items():
            for source in sources.values():
                _count(families, f"tenfold_{kind}", kind, source)
        yield from families.values()

    def describe(self) -> Iterator[Metric]:
        """The same: a registry asks for names, to find clashes when a collector is registered."""
        return self.collect()


def _count(families: dict[str, Metric], prefix: str, label: str, source: Counted) -> None:
    """Add the totals of one source."""
    for name, value in totals(source):
        metric = f"{prefix}_{name}"
        family = families.setdefault(metric, CounterMetricFamily(metric, f"Total: {name}.", labels=[label]))
        family.add_metric([source.name], value)  # type: ignore[attr-defined]


def _phase(families: dict[str, Metric]) -> GaugeMetricFamily:
    name, says = "tenfold_breaker_phase", "1 for the phase the circuit breaker is in."
    family = families.setdefault(name, GaugeMetricFamily(name, says, labels=["arrow", "phase"]))
    assert isinstance(family, GaugeMetricFamily)
    return family
