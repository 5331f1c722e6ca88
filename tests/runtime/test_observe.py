"""What pipelines and caches show to those who watch."""

import asyncio
import subprocess
import sys
from dataclasses import dataclass, fields

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry, generate_latest

from tenfold import CallRejected, Pipeline, ThreadPipeline
from tenfold.errors import UsageError
from tenfold.policies import verbs
from tenfold.policies.call.counts import Counts
from tenfold.results.run import ArrowRun
from tenfold.runtime.adapters.asgi import PolicyMiddleware
from tenfold.runtime.adapters.httpx import PolicyTransport
from tenfold.runtime.observe import decisions
from tenfold.runtime.observe.decisions import listeners, said
from tenfold.runtime.observe.otel import observed, span_events, traced
from tenfold.runtime.observe.prometheus import PrometheusCollector
from tenfold.runtime.stages import Decision
from tenfold.testing import World

SECOND = 1_000_000_000
ARROW = "api -> payments"


@dataclass(slots=True)
class CacheCounts:
    hits: int = 0
    loads: int = 0


@dataclass
class Cache:
    name: str
    counts: CacheCounts


class Case:
    """A pipeline that has called a backend: one success, one call of two failures that opens the breaker, a refusal."""

    def __init__(self, **options):
        self.world = World(draws=[0.5] * 99)
        clock = {"clock_ns": self.world.clock_ns, "sleep_ns": self.world.pass_ns, "draw": self.world.draw}
        self.pipeline = ThreadPipeline(
            name=ARROW,
            retry={"attempts": 2, "backoff": "1 s"},
            circuit_breaker={"failures": 2},
            bulkhead={"in_flight": 5, "queue": 2},
            **clock,
            **options,
        )

    def call(self, *script, pipeline=None):
        ends = list(script)

        def backend(attempt):
            end = ends.pop(0)
            if isinstance(end, Exception):
                raise end
            return end

        return (pipeline or self.pipeline).call(backend, idempotent=True)

    def incident(self, pipeline=None):
        self.call("ok", pipeline=pipeline)
        with pytest.raises(ConnectionError):
            self.call(ConnectionError("one"), ConnectionError("two"), pipeline=pipeline)
        with pytest.raises(CallRejected):
            self.call("never", pipeline=pipeline)
        return self


# Decisions.


def test_a_decision_in_words():
    decision = Decision(5, "retry", "record", verbs.FAILURE, verbs.RETRY, SECOND)
    words = {"policy": "retry", "verb": "record", "outcome": "failure", "answer": "retry", "wait_ns": SECOND}
    assert said(decision) == words
    assert said(Decision(5, "bulkhead", "acquire", -1, verbs.PROCEED, 0)) == {
        "policy": "bulkhead",
        "verb": "acquire",
        "answer": "proceed",
    }


def test_every_word_stands_at_its_number():
    for number, word in enumerate(decisions.ANSWERS):
        assert getattr(verbs, word.upper()) == number
    for number, word in enumerate(decisions.OUTCOMES):
        assert getattr(verbs, word.upper()) == number


def test_several_listeners_hear_every_decision_in_order():
    first, second = [], []
    case = Case(on_decision=listeners(first.append, second.append))
    case.call("ok")
    assert first == second
    assert len(first) == 6


def test_no_listener_is_none_and_one_is_itself():
    assert listeners() is None
    assert listeners(print) is print


# Prometheus.


def scraped(*pipelines, **others):
    registry = CollectorRegistry()
    registry.register(PrometheusCollector(*pipelines, **others))
    lines = generate_latest(registry).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_every_count_of_a_pipeline_is_a_counter_under_the_name_of_a_simulated_run():
    case = Case().incident()
    seen = scraped(case.pipeline)
    for field in fields(Counts):
        assert seen[f'tenfold_{field.name}_total{{arrow="{ARROW}"}}'] == getattr(case.pipeline.counts, field.name)
    assert {field.name for field in fields(Counts)} <= {field.name for field in fields(ArrowRun)}
    assert seen[f'tenfold_retries_total{{arrow="{ARROW}"}}'] == 1
    assert seen[f'tenfold_rejected_by_breaker_total{{arrow="{ARROW}"}}'] == 1


def test_the_breakers_phase_is_one_of_three():
    case = Case()
    phases = {f'tenfold_breaker_phase{{arrow="{ARROW}",phase="{phase}"}}': 0.0 for phase in ("open", "half_open")}
    closed = f'tenfold_breaker_phase{{arrow="{ARROW}",phase="closed"}}'
    assert {**phases, closed: 1.0}.items() <= scraped(case.pipeline).items()
    seen = scraped(case.incident().pipeline)
    assert (seen[closed], seen[f'tenfold_breaker_phase{{arrow="{ARROW}",phase="open"}}']) == (0.0, 1.0)


def test_calls_in_flight_and_in_the_queue_are_gauges():
    world = World()
    pipeline = Pipeline(name="a", bulkhead={"in_flight": 2, "queue": 5}, clock_ns=world.clock_ns)

    async def main():
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(pipeline.call(lambda attempt: asyncio.sleep(1), idempotent=True))
            await asyncio.sleep(0.5)
            return scraped(pipeline)

    seen = world.run(main())
    assert (seen['tenfold_bulkhead_in_flight{arrow="a"}'], seen['tenfold_bulkhead_queue{arrow="a"}']) == (2, 1)
    assert scraped(pipeline)['tenfold_bulkhead_in_flight{arrow="a"}'] == 0


def test_pipelines_share_families_and_one_without_a_breaker_has_no_phase():
    seen = scraped(Pipeline(name="a"), ThreadPipeline(name="b"))
    assert {'tenfold_calls_total{arrow="a"}', 'tenfold_calls_total{arrow="b"}'} <= set(seen)
    assert not [name for name in seen if "phase" in name]


def test_whatever_has_a_name_and_counts_is_shown_under_its_kind():
    seen = scraped(cache=[Cache("timelines", CacheCounts(hits=7)), Cache("users", CacheCounts(loads=2))])
    assert seen == {
        'tenfold_cache_hits_total{cache="timelines"}': 7,
        'tenfold_cache_hits_total{cache="users"}': 0,
        'tenfold_cache_loads_total{cache="timelines"}': 0,
        'tenfold_cache_loads_total{cache="users"}': 2,
    }


def test_numbers_are_those_of_the_scrape():
    cache = Cache("timelines", CacheCounts())
    registry = CollectorRegistry()
    registry.register(PrometheusCollector(cache=[cache]))
    cache.counts.hits = 41
    assert registry.get_sample_value("tenfold_cache_hits_total", {"cache": "timelines"}) == 41


def test_a_second_collector_of_the_same_names_is_refused_by_the_registry():
    registry = CollectorRegistry()
    registry.register(PrometheusCollector(Pipeline(name="a")))
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(PrometheusCollector(Pipeline(name="b")))


@pytest.mark.parametrize("watch", [PrometheusCollector, observed])
@pytest.mark.parametrize(("names", "says"), [(("",), "without a name"), (("a", "a"), "two of kind pipeline")])
def test_what_could_not_be_told_apart_is_refused(watch, names, says):
    with pytest.raises(UsageError, match=says):
        watch(*(Pipeline(name=name) for name in names))


# OpenTelemetry: metrics.


def exported(*pipelines, **others):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    observed(*pipelines, meter_provider=provider, **others)
    found = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    found[metric.name, *sorted(point.attributes.items())] = point.value
    provider.shutdown()
    return found


def test_the_same_numbers_are_metrics_of_opentelemetry():
    case = Case().incident()
    seen = exported(case.pipeline, cache=[Cache("timelines", CacheCounts(hits=7))])
    arrow = ("tenfold.arrow", ARROW)
    for field in fields(Counts):
        assert seen[f"tenfold.{field.name}", arrow] == getattr(case.pipeline.counts, field.name)
    assert seen["tenfold.cache.hits", ("tenfold.cache.name", "timelines")] == 7
    assert seen["tenfold.bulkhead.in_flight", arrow] == 0
    assert seen["tenfold.breaker.phase", arrow, ("tenfold.breaker.phase", "open")] == 1
    assert seen["tenfold.breaker.phase", arrow, ("tenfold.breaker.phase", "closed")] == 0


# OpenTelemetry: spans.


class Spans:
    """A provider that keeps what ends."""

    def __init__(self):
        self.exporter, self.provider = InMemorySpanExporter(), TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def ended(self):
        return [(span.name, dict(span.attributes)) for span in self.exporter.get_finished_spans()]


def test_a_call_is_a_span_and_each_attempt_one_in_it():
    spans, case = Spans(), Case()
    pipeline = traced(case.pipeline, spans.provider)
    assert case.call(ConnectionError(), "ok", pipeline=pipeline) == "ok"
    first, second, call = spans.exporter.get_finished_spans()
    assert [span.name for span in (first, second, call)] == [f"attempt {ARROW}"] * 2 + [f"call {ARROW}"]
    assert first.parent.span_id == second.parent.span_id == call.context.span_id
    assert [span.attributes["tenfold.attempt"] for span in (first, second)] == [1, 2]
    assert dict(call.attributes) == {"tenfold.arrow": ARROW, "tenfold.attempts": 2}
    assert {span.kind for span in (first, second, call)} == {SpanKind.INTERNAL}


def test_a_failed_span_says_why_in_the_words_of_the_conventions():
    spans, case = Spans(), Case()
    case.incident(pipeline=traced(case.pipeline, spans.provider))
    _, _, attempt, _, failed, refused = spans.exporter.get_finished_spans()
    assert attempt.attributes["error.type"] == "ConnectionError"
    assert attempt.status.status_code == StatusCode.ERROR
    assert [event.name for event in attempt.events] == ["exception"]
    assert (failed.attributes["error.type"], failed.attributes["tenfold.stop_reason"]) == (
        "ConnectionError",
        "attempts",
    )
    assert (refused.attributes["error.type"], refused.attributes["tenfold.attempts"]) == ("circuit_open", 0)


def test_decisions_are_events_of_the_calls_span():
    spans, case = Spans(), Case(on_decision=span_events())
    case.call("ok", pipeline=traced(case.pipeline, spans.provider))
    events = spans.exporter.get_finished_spans()[-1].events
    assert [event.attributes["tenfold.policy"] for event in events] == [
        *("retry", "circuit_breaker", "bulkhead"),
        *("bulkhead", "circuit_breaker", "retry"),
    ]
    assert {event.name for event in events} == {"tenfold.decision"}


def test_a_pipeline_for_asyncio_is_traced_alike_with_its_decorator_and_its_block():
    spans, world = Spans(), World()
    plain = Pipeline(name="a", timeout="1 s", clock_ns=world.clock_ns)
    pipeline = traced(plain, spans.provider)

    @pipeline(idempotent=True)
    async def greet(name):
        await asyncio.sleep(0.1)
        return f"hello {name}"

    async def main():
        async with pipeline.once():
            await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError):
            async with pipeline.once():
                await asyncio.sleep(9)
        return await greet("you")

    assert world.run(main()) == "hello you"
    assert [name for name, _ in spans.ended] == ["attempt a", "call a"] * 3
    assert spans.ended[3][1]["error.type"] == "TimeoutError"
    assert pipeline.counts == plain.counts
    assert plain.counts.calls == 3


def test_a_traced_pipeline_goes_under_a_client_and_around_an_application():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def named(name):
        return traced(Pipeline(name=name, timeout="1 s", clock_ns=world.clock_ns), spans.provider)

    async def main():
        transport = httpx.ASGITransport(PolicyMiddleware(app, named("in"), clock_ns=world.clock_ns))
        async with httpx.AsyncClient(transport=PolicyTransport(named("out"), transport)) as client:
            return (await client.get("http://service.test/")).status_code

    spans, world = Spans(), World()
    assert world.run(main()) == 200
    assert [name for name, _ in spans.ended] == ["attempt in", "call in", "attempt out", "call out"]


def test_the_block_of_a_pipeline_for_threads_is_traced_too():
    spans, case = Spans(), Case()
    with traced(case.pipeline, spans.provider).once() as attempt:
        assert attempt.number == 1
    assert [name for name, _ in spans.ended] == [f"attempt {ARROW}", f"call {ARROW}"]


def test_a_fallback_answers_inside_the_span():
    spans, world = Spans(), World()
    plain = Pipeline(name="a", clock_ns=world.clock_ns, fallback=lambda error: "kept")

    async def down(attempt):
        raise ConnectionError

    assert world.run(traced(plain, spans.provider).call(down, idempotent=True)) == "kept"
    (_, attempt), (_, call) = spans.ended
    assert attempt["error.type"] == "ConnectionError"
    assert "error.type" not in call


def test_what_is_not_used_is_not_imported():
    code = "import sys, tenfold; tenfold.Pipeline(retry=True); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"opentelemetry", "prometheus_client", "httpx"} & set(loaded.split())
