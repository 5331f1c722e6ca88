"""Pipelines and caches for OpenTelemetry (extra `otel`): metrics that are read, spans around calls and attempts.

    observed(payments, tweets, cache=[timeline_cache])      # metrics, read when they are exported
    payments = traced(payments)                             # a span per call, one per attempt in it
    Pipeline(..., on_decision=span_events())                # decisions as events of those spans

Names. What the semantic conventions name is called so: `error.type`, the event `exception`. The rest stands under
`tenfold.`, the counters under the names of a simulated run. The HTTP conventions are for the client's instrumentation,
whose spans stand inside an attempt's; ours have kind INTERNAL. Only the API is needed: without an SDK it does nothing.
"""

import contextlib
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

import tenfold
from tenfold.errors import CallRejected
from tenfold.policies.call.call import STOP_REASONS
from tenfold.runtime.attempt import Attempt
from tenfold.runtime.observe.decisions import Listener, said
from tenfold.runtime.observe.reading import Counted, by_name, levels, phases, totals
from tenfold.runtime.pipeline import Pipeline
from tenfold.runtime.shell import Shell
from tenfold.runtime.stages import Decision
from tenfold.runtime.threads import ThreadPipeline

__all__ = ["observed", "span_events", "traced"]

T = TypeVar("T")
Shelled = TypeVar("Shelled", Pipeline, ThreadPipeline)

ARROW = "tenfold.arrow"
PHASE = "tenfold.breaker.phase"
ERROR_TYPE = "error.type"


def observed(*pipelines: Shell, meter_provider: MeterProvider | None = None, **others: Iterable[Counted]) -> None:
    """Register metrics that read pipelines and others at every export. To be called once, with all there is.

    Args:
        pipelines: `tenfold.retries` and so on with attribute `tenfold.arrow`, levels, the breaker's phase (1 or 0).
        meter_provider: the global one when None.
        others: whatever has a name and counts, by kind: `cache=[timeline_cache]` gives `tenfold.cache.hits` with
            attribute `tenfold.cache.name`.

    Raises:
        UsageError: a source without a name, or two with the same.
    """
    meter = metrics.get_meter("tenfold", tenfold.__version__, meter_provider)
    kinds = {"": by_name("pipeline", pipelines)}
    kinds |= {f"{kind}.": by_name(kind, sources) for kind, sources in others.items()}
    for kind, sources in kinds.items():
        label = f"tenfold.{kind}name" if kind else ARROW
        for field in dict.fromkeys(name for source in sources.values() for name, _ in totals(source)):
            read = _reader(sources.values(), totals, field, label)
            meter.create_observable_counter(f"tenfold.{kind}{field}", [read], "{event}", f"Total: {field}.")
    for level in dict.fromkeys(name for pipeline in pipelines for name, _ in levels(pipeline)):
        read = _reader(pipelines, levels, level, ARROW)
        meter.create_observable_up_down_counter(f"tenfold.{level}", [read], "{call}", f"Level: {level}.")
    meter.create_observable_up_down_counter(PHASE, [_phases(pipelines)], "1", "1 for the phase the breaker is in.")


Reader = Callable[[CallbackOptions], Iterable[Observation]]


def _reader(
    sources: Iterable[Any], numbers: Callable[[Any], Iterator[tuple[str, int]]], name: str, label: str
) -> Reader:
    """The callback of one instrument: the number of this name, of every source that has it."""

    def read(options: CallbackOptions) -> Iterable[Observation]:
        for source in sources:
            for found, value in numbers(source):
                if found == name:
                    yield Observation(value, {label: source.name})

    return read


def _phases(pipelines: tuple[Shell, ...]) -> Reader:
    def read(options: CallbackOptions) -> Iterable[Observation]:
        for pipeline in pipelines:
            for phase, is_in in phases(pipeline):
                yield Observation(is_in, {ARROW: pipeline.name, PHASE: phase})

    return read


def span_events() -> Listener:
    """A listener that makes every decision an event `tenfold.decision` of the span in force."""

    def tell(decision: Decision) -> None:
        words = said(decision).items()
        trace.get_current_span().add_event("tenfold.decision", {f"tenfold.{name}": value for name, value in words})

    return tell


def traced(pipeline: Shelled, tracer_provider: TracerProvider | None = None) -> Shelled:
    """The same pipeline, with a span around every call and one around every attempt.

    Args:
        pipeline: stays as it is; both share policies, states and counts.
        tracer_provider: the global one when None.
    """
    twin: Any = copy.copy(pipeline)
    twin.__class__ = _TracedPipeline if isinstance(pipeline, Pipeline) else _TracedThreadPipeline
    twin.tracer = trace.get_tracer("tenfold", tenfold.__version__, tracer_provider)
    return twin  # type: ignore[no-any-return]


class _Spans(Shell):
    """Spans of a pipeline, whatever it waits by."""

    tracer: trace.Tracer

    @contextlib.contextmanager
    def _span(self, name: str, attributes: dict[str, str | int]) -> Iterator[Span]:
        """A span; says what ended it when that is an exception."""
        given = {ARROW: self.name, **attributes}
        with self.tracer.start_as_current_span(
            name, kind=SpanKind.INTERNAL, attributes=given, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_attribute(ERROR_TYPE, _error_type(error))
                span.set_status(Status(StatusCode.ERROR, str(error)))
                span.record_exception(error)
                raise

    @contextlib.contextmanager
    def _call_span(self) -> Iterator["_Seen"]:
        """The span of a call, which learns of its attempts."""
        seen = _Seen()
        with self._span(f"call {self.name}".rstrip(), {}) as span:
            try:
                yield seen
            finally:
                for key, value in seen.attributes():
                    span.set_attribute(key, value)

    def _attempt_span(self, attempt: Attempt) -> contextlib.AbstractContextManager[Span]:
        return self._span(f"attempt {self.name}".rstrip(), {"tenfold.attempt": attempt.number})


class _Seen:
    """The attempt of a call, once there is one."""

    attempt: Attempt | None = None

    def attributes(self) -> Iterator[tuple[str, str | int]]:
        """What the call's span says about it."""
        yield "tenfold.attempts", 0 if self.attempt is None else self.attempt.number
        if self.attempt is not None and self.attempt.stop_reason:
            yield "tenfold.stop_reason", STOP_REASONS[self.attempt.stop_reason]


class _TracedPipeline(_Spans, Pipeline):
    """A pipeline for asyncio with spans."""

    async def call(self, fn: Callable[[Attempt], Awaitable[T]], **options: Any) -> T:
        with self._call_span() as seen:

            async def attempted(attempt: Attempt) -> T:
                seen.attempt = attempt
                with self._attempt_span(attempt):
                    return await fn(attempt)

            return await super().call(attempted, **options)

    @contextlib.asynccontextmanager
    async def once(self, **options: Any) -> AsyncIterator[Attempt]:
        with self._call_span() as seen:
            async with super().once(**options) as attempt:
                seen.attempt = attempt
                with self._attempt_span(attempt):
                    yield attempt


class _TracedThreadPipeline(_Spans, ThreadPipeline):
    """A pipeline for threads with spans."""

    def call(self, fn: Callable[[Attempt], T], **options: Any) -> T:
        with self._call_span() as seen:

            def attempted(attempt: Attempt) -> T:
                seen.attempt = attempt
                with self._attempt_span(attempt):
                    return fn(attempt)

            return super().call(attempted, **options)

    @contextlib.contextmanager
    def once(self, **options: Any) -> Iterator[Attempt]:
        with self._call_span() as seen, super().once(**options) as attempt:
            seen.attempt = attempt
            with self._attempt_span(attempt):
                yield attempt


def _error_type(error: Exception) -> str:
    """Few values: the reason of a refusal, otherwise the class."""
    if isinstance(error, CallRejected):
        return error.reason
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
