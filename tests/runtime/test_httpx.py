"""Policies under an httpx client, in virtual time."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import httpx
import pytest

from tenfold import CallRejected, Pipeline, ThreadPipeline, within
from tenfold.policies.call import circuit_breaker
from tenfold.runtime.adapters.httpx import (
    IDEMPOTENT,
    FailedResponse,
    PolicyTransport,
    RequestRejected,
    RequestTimedOut,
    ThreadPolicyTransport,
)
from tenfold.runtime.headers import KEY, SHOULD_RETRY, TIMEOUT, incoming
from tenfold.runtime.pipeline import MARK
from tenfold.testing import World

SECOND = 1_000_000_000
URL = "http://backend.test/orders"
RETRY = {"attempts": 3, "backoff": "1 s"}


class Body(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A body that comes in two parts and remembers whether it was closed."""

    def __init__(self):
        self.is_closed = False

    def __iter__(self):
        yield from (b"busy ", b"now")

    async def __aiter__(self):
        for part in self:
            yield part

    def close(self):
        self.is_closed = True

    async def aclose(self):
        self.close()


class Backend(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Answers by a script: a status, a response, an error, seconds of silence. 200 when it is over."""

    def __init__(self, world, script):
        self.world, self.script, self.requests, self.bodies, self.is_closed = world, list(script), [], [], False

    def answer(self, request):
        self.requests.append(request)
        end = self.script.pop(0) if self.script else 200
        if isinstance(end, BaseException):
            raise end
        if isinstance(end, int):
            self.bodies.append(Body())
            end = httpx.Response(end, stream=self.bodies[-1])
        return end

    async def handle_async_request(self, request):
        if self.script and isinstance(self.script[0], float):
            await asyncio.sleep(self.script.pop(0))
        return self.answer(request)

    def handle_request(self, request):
        if self.script and isinstance(self.script[0], float):
            self.world.pass_ns(round(self.script.pop(0) * SECOND))
        return self.answer(request)

    async def aclose(self):
        self.is_closed = True

    def close(self):
        self.is_closed = True


class Case:
    """A client over a backend that follows a script, in a world of its own."""

    def __init__(self, *script, options=None, **policies):
        self.world = World(draws=[0.5] * 1000)
        self.backend = Backend(self.world, script)
        self.options = {"wall_s": lambda: self.world.now_ns / 1e9} | (options or {})
        self.policies = policies

    def run(self, *, method="GET", headers=None, **request):
        """Send one request with an asynchronous client; the response, read."""
        clock = {"clock_ns": self.world.clock_ns, "draw": self.world.draw}
        self.pipeline = Pipeline(**clock, **self.policies)
        transport = PolicyTransport(self.pipeline, self.backend, **self.options)

        async def main():
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.request(method, URL, headers=headers, **request)

        return self.world.run(main())

    def run_blocking(self, *, method="GET", **request):
        """The same with a blocking client."""
        clock = {"clock_ns": self.world.clock_ns, "sleep_ns": self.world.pass_ns, "draw": self.world.draw}
        self.pipeline = ThreadPipeline(**clock, **self.policies)
        transport = ThreadPolicyTransport(self.pipeline, self.backend, **self.options)
        with httpx.Client(transport=transport) as client:
            return client.request(method, URL, **request)


EACH_WAY = pytest.mark.parametrize("way", ["run", "run_blocking"])


# What is repeated.


@EACH_WAY
@pytest.mark.parametrize("failure", [429, 502, 503, 504, httpx.ConnectError("refused"), httpx.ReadError("reset")])
def test_statuses_of_failure_and_transport_errors_are_repeated(way, failure):
    case = Case(failure, failure, retry=RETRY)
    response = getattr(case, way)()
    assert (response.status_code, response.read()) == (200, b"busy now")
    assert len(case.backend.requests) == 3


@EACH_WAY
@pytest.mark.parametrize("status", [200, 304, 400, 404, 409, 500])
def test_other_statuses_are_answers(way, status):
    case = Case(status, retry=RETRY, circuit_breaker={"failures": 1})
    assert getattr(case, way)().status_code == status
    assert len(case.backend.requests) == 1
    assert case.pipeline.state("circuit_breaker").phase == circuit_breaker.CLOSED


def test_which_statuses_are_failures_can_be_chosen():
    case = Case(500, 503, retry=RETRY, options={"failures": {500}})
    assert case.run().status_code == 503


@EACH_WAY
def test_the_last_response_is_returned_when_the_attempts_are_used_up(way):
    case = Case(503, 503, httpx.Response(503, text="the third", headers={"x-node": "7"}), retry=RETRY)
    response = getattr(case, way)()
    assert (response.status_code, response.text, response.headers["x-node"]) == (503, "the third", "7")
    assert str(response.request.url) == URL


@EACH_WAY
def test_a_transport_error_is_raised_as_it_is_when_the_attempts_are_used_up(way):
    errors = [httpx.ConnectError(str(number)) for number in range(3)]
    with pytest.raises(httpx.ConnectError) as caught:
        getattr(Case(*errors, retry=RETRY), way)()
    assert caught.value is errors[2]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])
def test_methods_idempotent_by_definition_are_repeated(method):
    case = Case(503, retry=RETRY)
    assert case.run(method=method).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "QUERY"])
def test_other_methods_are_not(method):
    case = Case(503, retry=RETRY)
    assert case.run(method=method).status_code == 503
    assert len(case.backend.requests) == 1


@EACH_WAY
def test_a_post_with_an_idempotency_key_is_repeated_with_the_same_key(way):
    case = Case(503, retry=RETRY)
    assert getattr(case, way)(method="POST", headers={KEY: "order-17"}, json={"a": 1}).status_code == 200
    assert [request.headers[KEY] for request in case.backend.requests] == ["order-17"] * 2
    assert [request.read() for request in case.backend.requests] == [b'{"a":1}'] * 2


def test_a_post_that_says_it_may_be_repeated_gets_a_key_the_same_for_each_attempt():
    case = Case(503, retry=RETRY)
    assert case.run(method="POST", json={}, extensions={IDEMPOTENT: True}).status_code == 200
    first, second = (request.headers[KEY] for request in case.backend.requests)
    assert first == second != ""


def test_a_get_that_says_it_must_not_be_repeated_is_not():
    case = Case(503, retry=RETRY)
    assert case.run(extensions={IDEMPOTENT: False}).status_code == 503


def test_what_is_idempotent_can_be_decided_otherwise():
    case = Case(503, retry=RETRY, options={"idempotent": lambda request: request.url.path == "/orders"})
    assert case.run(method="POST").status_code == 200


@EACH_WAY
def test_a_body_that_can_be_read_only_once_is_sent_only_once(way):
    async def later():
        yield b"part"

    def now():
        yield b"part"

    case = Case(503, retry=RETRY)
    content = later() if way == "run" else now()
    assert getattr(case, way)(method="PUT", content=content).status_code == 503
    assert len(case.backend.requests) == 1


def test_a_file_is_sent_only_once(tmp_path):
    path = tmp_path / "order.txt"
    path.write_text("17")
    with path.open("rb") as file:
        case = Case(503, retry=RETRY)
        assert case.run_blocking(method="PUT", content=file).status_code == 503


@EACH_WAY
def test_errors_that_say_nothing_of_the_dependency_pass_untouched_and_count_nowhere(way):
    case = Case(error := KeyError("bug"), retry=RETRY, circuit_breaker={"failures": 1})
    error.__cause__ = cause = ValueError()
    with pytest.raises(KeyError) as caught:
        getattr(case, way)()
    assert caught.value is error
    assert caught.value.__cause__ is cause
    assert len(case.backend.requests) == 1
    assert case.pipeline.state("circuit_breaker") == circuit_breaker.State()


def test_a_mistake_of_the_callers_is_not_repeated():
    case = Case(httpx.UnsupportedProtocol("ftp"), retry=RETRY)
    with pytest.raises(httpx.UnsupportedProtocol):
        case.run()
    assert len(case.backend.requests) == 1


def test_a_pipeline_that_knows_its_failures_is_asked():
    seen = []
    case = Case(503, retry=RETRY, is_failure=lambda error: seen.append(error))
    assert case.run().status_code == 503
    assert isinstance(seen[0], FailedResponse)
    assert seen[0].response.status_code == 503


# When.


@EACH_WAY
@pytest.mark.parametrize("value", ["7", formatdate(7, usegmt=True)])
def test_retry_after_is_waited_for_as_seconds_or_date(way, value):
    case = Case(httpx.Response(503, headers={"retry-after": value}), retry=RETRY)
    assert getattr(case, way)().status_code == 200
    assert 7 * SECOND <= case.world.now_ns <= 8.4 * SECOND


def test_a_retry_after_beyond_the_deadline_returns_the_response_at_once():
    case = Case(httpx.Response(429, headers={"retry-after": "7"}), retry=RETRY, deadline="5 s")
    response = case.run()
    assert (response.status_code, response.headers["retry-after"], case.world.now_ns) == (429, "7", 0)


def test_a_marked_response_is_not_repeated():
    case = Case(httpx.Response(503, headers={SHOULD_RETRY: "false"}), retry=RETRY)
    assert case.run().status_code == 503
    assert len(case.backend.requests) == 1


@EACH_WAY
def test_the_response_carries_the_mark_when_its_layer_has_given_up(way):
    case = Case(503, 503, 503, retry={**RETRY, "mark": True})
    assert incoming(getattr(case, way)().headers).is_marked


def test_a_marked_block_marks_what_is_sent_in_it_and_repeats_nothing():
    case = Case(503, retry=RETRY)
    with within(2**62, case.world.clock_ns, is_marked=True):
        assert case.run().status_code == 503
    assert [request.headers[SHOULD_RETRY] for request in case.backend.requests] == ["false"]


# Time.


@EACH_WAY
def test_every_attempt_tells_what_is_left_and_httpx_waits_no_longer(way):
    case = Case(0.5, 503, 503, deadline="4 s", retry=RETRY)
    assert getattr(case, way)(timeout=httpx.Timeout(3.0, connect=None)).status_code == 200
    sent = case.backend.requests
    assert [request.headers[TIMEOUT] for request in sent] == ["4000", "2500", "500"]
    assert [request.extensions["timeout"]["read"] for request in sent] == [3.0, 2.5, 0.5]
    assert [request.extensions["timeout"]["connect"] for request in sent] == [4.0, 2.5, 0.5]


def test_without_a_deadline_request_and_timeouts_stay_as_they_are():
    case = Case()
    case.run(timeout=3.0)
    assert TIMEOUT not in case.backend.requests[0].headers
    assert case.backend.requests[0].extensions["timeout"]["read"] == 3.0


def test_a_shorter_time_the_caller_has_written_is_sent():
    case = Case(deadline="4 s")
    case.run(headers={TIMEOUT: "250"})
    assert case.backend.requests[0].headers[TIMEOUT] == "250"


def test_the_deadline_of_a_block_goes_out():
    case = Case()
    with within(2 * SECOND, case.world.clock_ns):
        case.run()
    assert case.backend.requests[0].headers[TIMEOUT] == "2000"


@EACH_WAY
def test_an_attempt_without_an_answer_in_time_is_a_timeout_of_httpx_and_of_python(way):
    case = Case(9.0, timeout="1 s")
    with pytest.raises(RequestTimedOut) as caught:
        getattr(case, way)()
    assert isinstance(caught.value, httpx.TimeoutException)
    assert isinstance(caught.value, TimeoutError)
    assert str(caught.value.request.url) == URL


def test_an_answer_that_comes_too_late_for_a_thread_is_closed():
    case = Case(9.0, 200, timeout="1 s")
    with pytest.raises(RequestTimedOut):
        case.run_blocking()
    assert [body.is_closed for body in case.backend.bodies] == [True]


def test_an_answer_that_comes_after_its_caller_has_left_is_closed():
    gate, done, body = threading.Event(), threading.Event(), Body()

    class Slow(httpx.BaseTransport):
        def handle_request(self, request):
            gate.wait()
            return httpx.Response(200, stream=body)

    body.close = lambda: (setattr(body, "is_closed", True), done.set())
    with ThreadPoolExecutor(1) as executor:
        pipeline = ThreadPipeline(timeout="10 ms", executor=executor)
        with httpx.Client(transport=ThreadPolicyTransport(pipeline, Slow())) as client:
            with pytest.raises(RequestTimedOut):
                client.get(URL)
            gate.set()
            assert done.wait(10)


# Refusals.


@EACH_WAY
def test_a_refusal_is_one_and_an_error_of_httpx(way):
    case = Case(503, retry=RETRY, circuit_breaker={"failures": 1, "open": "30 s"})
    with pytest.raises(RequestRejected) as caught:
        getattr(case, way)()
    assert isinstance(caught.value, CallRejected)
    assert isinstance(caught.value, httpx.TransportError)
    assert (caught.value.policy, caught.value.retry_after_ns) == ("circuit_breaker", 29 * SECOND)
    assert isinstance(caught.value.__cause__, FailedResponse)
    assert [body.is_closed for body in case.backend.bodies] == [True]


def test_a_refusal_further_in_is_no_failure_of_the_dependency():
    world = World()
    inner = Pipeline(bulkhead={"in_flight": 1}, clock_ns=world.clock_ns)
    outer = Pipeline(retry=RETRY, circuit_breaker={"failures": 1}, clock_ns=world.clock_ns)
    transport = PolicyTransport(outer, PolicyTransport(inner, Backend(world, [1.0])))

    async def main():
        async with httpx.AsyncClient(transport=transport) as client:
            first = asyncio.ensure_future(client.get(URL))
            await asyncio.sleep(0.5)
            with pytest.raises(RequestRejected):
                await client.get(URL)
            await first

    world.run(main())
    assert outer.state("circuit_breaker").phase == circuit_breaker.CLOSED
    assert outer.counts.attempts == 2


def test_the_fallback_may_answer_with_a_response():
    case = Case(503, fallback=lambda error: httpx.Response(200, text="kept"))
    assert case.run().text == "kept"
    assert [body.is_closed for body in case.backend.bodies] == [True]


def test_an_error_that_is_marked_stays_marked():
    case = Case(9.0, 9.0, 9.0, timeout="1 s", retry={**RETRY, "mark": True})
    with pytest.raises(RequestTimedOut) as caught:
        case.run()
    assert getattr(caught.value, MARK)


# What is left behind.


@EACH_WAY
def test_bodies_of_responses_that_are_repeated_are_closed(way):
    case = Case(503, 502, 200, retry=RETRY)
    getattr(case, way)()
    assert [body.is_closed for body in case.backend.bodies] == [True, True, True]  # the last by the client, when read


def test_a_short_failed_response_gives_its_connection_back_before_the_pause():
    body, closed_at = Body(), []
    case = Case(httpx.Response(503, stream=body, headers={"content-length": "8"}), 503, 503, retry=RETRY)
    body.close = lambda: closed_at.append(case.world.now_ns)
    case.run()
    assert closed_at == [0]


def test_a_short_failed_response_that_is_returned_has_its_body():
    case = Case(httpx.Response(503, stream=Body(), headers={"content-length": "8"}))
    assert case.run().text == "busy now"


def test_a_body_is_streamed_after_the_pipeline_has_ended():
    world = World()
    pipeline = Pipeline(timeout="1 s", clock_ns=world.clock_ns)

    class Slow(Body):
        async def __aiter__(self):
            for part in self:
                await asyncio.sleep(5)
                yield part

    backend = Backend(world, [httpx.Response(200, stream=Slow())])

    async def main():
        async with (
            httpx.AsyncClient(transport=PolicyTransport(pipeline, backend)) as client,
            client.stream("GET", URL) as response,
        ):
            return [part async for part in response.aiter_raw()]

    assert world.run(main()) == [b"busy ", b"now"]
    assert world.now_ns == 10 * SECOND


def test_a_cancelled_request_counts_nowhere_and_leaves_nothing_open():
    world = World(draws=[0.5] * 10)
    pipeline = Pipeline(retry=RETRY, circuit_breaker={"failures": 2}, clock_ns=world.clock_ns, draw=world.draw)
    backend = Backend(world, [503])

    async def main():
        async with httpx.AsyncClient(transport=PolicyTransport(pipeline, backend)) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):  # in the pause
                    await client.get(URL)
            backend.script = [9.0]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):  # in an attempt
                    await client.get(URL)

    world.run(main())
    assert pipeline.state("circuit_breaker").failure_count == 1
    assert [body.is_closed for body in backend.bodies] == [True]


@EACH_WAY
def test_closing_the_client_closes_the_transport_underneath(way):
    case = Case()
    getattr(case, way)()
    assert case.backend.is_closed


def test_an_error_leaves_no_cycle_for_the_garbage_collector():
    case = Case(KeyError("bug"), httpx.ConnectError("down"))

    async def main():
        async with httpx.AsyncClient(transport=PolicyTransport(Pipeline(), case.backend)) as client:
            for kind in (KeyError, httpx.ConnectError):
                with pytest.raises(kind) as caught:
                    await client.get(URL)
                frames = [frame.frame for frame in caught.traceback if frame.path.name == "httpx.py"]
                assert frames
                kept = [name for frame in frames for name, value in frame.raw.f_locals.items() if value is caught.value]
                assert not kept

    case.world.run(main())
