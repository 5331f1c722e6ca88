"""The ASGI middleware: the caller's deadline comes in, what is too much is turned away. In virtual time."""

import asyncio
import json

import httpx
import pytest

from tenfold import CallRejected, Pipeline
from tenfold.policies.call import circuit_breaker
from tenfold.runtime.adapters.asgi import PolicyMiddleware
from tenfold.runtime.adapters.httpx import PolicyTransport
from tenfold.runtime.attempt import CURRENT
from tenfold.runtime.headers import SHOULD_RETRY, TIMEOUT, outgoing
from tenfold.runtime.pipeline import MARK
from tenfold.testing import World

SECOND = 1_000_000_000
OK = [
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b"fine"},
]


class Case:
    """An application behind the middleware, called without a server."""

    def __init__(self, app, **policies):
        self.world, self.sent = World(), []
        self.pipeline = Pipeline(clock_ns=self.world.clock_ns, **policies)
        self.app = PolicyMiddleware(app, self.pipeline, clock_ns=self.world.clock_ns)
        self.incoming = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self):
        return self.incoming.pop(0) if self.incoming else {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)

    async def request(self, headers=None, method="GET", kind="http"):
        pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        await self.app({"type": kind, "method": method, "headers": pairs}, self.receive, self.send)

    def run(self, **request):
        self.world.run(self.request(**request))
        return self

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def problem(self):
        return json.loads(self.sent[1]["body"])


def answering(seconds=0.0, *, before=lambda: None):
    """An application that takes its time and then says OK."""

    async def app(scope, receive, send):
        before()
        await asyncio.sleep(seconds)
        for message in OK:
            await send(message)

    return app


def raising(error):
    async def app(scope, receive, send):
        raise error

    return app


def marked(error):
    setattr(error, MARK, True)
    return error


# The deadline.


def test_an_answer_in_time_passes_as_it_is():
    assert Case(answering(0.2)).run(headers={TIMEOUT: "300"}).sent == OK


def test_what_the_caller_has_left_is_what_the_application_hands_on():
    seen = []
    Case(answering(before=lambda: seen.append(outgoing()))).run(headers={TIMEOUT: "300"})
    assert seen == [{TIMEOUT: "300"}]


def test_without_a_deadline_there_is_none():
    seen = []
    Case(answering(before=lambda: seen.append(outgoing()))).run()
    assert seen == [{}]


def test_a_deadline_that_has_passed_before_the_application_starts_is_a_504():
    case = Case(answering()).run(headers={TIMEOUT: "0"})
    assert (case.status, case.headers["content-type"]) == (504, "application/problem+json")
    assert (case.problem["status"], case.problem["title"], case.problem["reason"]) == (
        504,
        "Gateway Timeout",
        "deadline",
    )
    assert case.world.now_ns == 0


def test_a_deadline_that_passes_in_the_queue_is_a_504_and_the_application_is_not_called():
    calls = []
    case = Case(answering(1.0, before=lambda: calls.append(1)), bulkhead={"in_flight": 1, "queue": 5})

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(case.request())
            await asyncio.sleep(0)
            group.create_task(case.request(headers={TIMEOUT: "500"}))

    case.world.run(main())
    assert (case.status, len(calls)) == (504, 1)


def test_the_application_is_cancelled_when_the_time_is_over():
    case = Case(answering(5.0)).run(headers={TIMEOUT: "300"})
    assert (case.status, case.world.now_ns) == (504, 300_000_000)


def test_a_limit_of_the_servers_own_is_a_policy():
    case = Case(answering(5.0), deadline="2 s").run()
    assert (case.status, case.world.now_ns) == (504, 2 * SECOND)


def test_a_timeout_of_a_dependency_at_the_deadline_is_a_504():
    async def app(scope, receive, send):
        async with asyncio.timeout(0.3):
            await asyncio.sleep(5)

    assert Case(app).run(headers={TIMEOUT: "300"}).status == 504


def test_a_timeout_of_a_dependency_before_the_deadline_is_the_applications_own_affair():
    with pytest.raises(TimeoutError, match="slow disk"):
        Case(raising(TimeoutError("slow disk"))).run(headers={TIMEOUT: "300"})


def test_an_answer_that_has_begun_is_broken_off_at_the_deadline():
    async def app(scope, receive, send):
        await send(OK[0])
        await asyncio.sleep(5)

    case = Case(app)
    with pytest.raises(TimeoutError):
        case.run(headers={TIMEOUT: "300"})
    assert case.sent == [OK[0]]


@pytest.mark.parametrize("last", [OK[1], {"type": "http.response.pathsend", "path": "/srv/order.pdf"}])
def test_what_follows_the_answer_has_no_deadline(last):
    async def app(scope, receive, send):
        await send(OK[0])
        await send(last)
        assert outgoing() == {}
        await asyncio.sleep(3600)  # a background task
        done.append(CURRENT.get().remaining_ns)

    done = []
    case = Case(app, timeout="100 ms").run(headers={TIMEOUT: "300"})
    assert (case.sent, case.world.now_ns, done) == ([OK[0], last], 3600 * SECOND, [2**62])


# Load.


def test_a_refusal_is_a_503_that_says_when_to_come_back():
    case = Case(raising(ConnectionError()), circuit_breaker={"failures": 1, "open": "30 s"})
    with pytest.raises(ConnectionError):
        case.run()
    case.world.pass_ns(SECOND // 2)
    case.run()
    assert (case.status, case.headers["retry-after"], case.headers["content-type"]) == (
        503,
        "30",
        "application/problem+json",
    )
    assert (case.problem["policy"], case.problem["reason"]) == ("circuit_breaker", "circuit_open")
    assert SHOULD_RETRY not in case.headers


def test_a_refusal_that_does_not_know_when_says_one_second():
    case = Case(answering(1.0), bulkhead={"in_flight": 1})

    async def main():
        await asyncio.gather(case.request(), case.request())

    case.world.run(main())
    assert (case.status, case.headers["retry-after"]) == (503, "1")
    assert case.sent[2:] == OK


def test_a_refused_head_has_no_body():
    case = Case(answering()).run(headers={TIMEOUT: "0"}, method="HEAD")
    assert (case.status, case.sent[1]["body"]) == (504, b"")


def test_a_refusal_by_the_application_is_a_503_with_the_mark():
    refusal = CallRejected("circuit_breaker", "circuit_open", 12 * SECOND)
    case = Case(raising(refusal), circuit_breaker={"failures": 1}).run()
    assert (case.status, case.headers[SHOULD_RETRY], case.headers["retry-after"]) == (503, "false", "12")
    assert case.pipeline.state("circuit_breaker").phase == circuit_breaker.CLOSED


def test_an_error_whose_layer_has_given_up_is_a_503_with_the_mark_and_still_raised():
    case = Case(raising(marked(ConnectionError("secret"))))
    with pytest.raises(ConnectionError):
        case.run()
    assert (case.status, case.headers[SHOULD_RETRY]) == (503, "false")
    assert "secret" not in str(case.problem)


def test_other_errors_pass():
    case = Case(raising(KeyError("bug")))
    with pytest.raises(KeyError):
        case.run()
    assert case.sent == []


def test_a_refusal_after_the_answer_has_begun_is_raised():
    async def app(scope, receive, send):
        await send(OK[0])
        raise CallRejected("bulkhead", "bulkhead_full", 0)

    case = Case(app)
    with pytest.raises(CallRejected):
        case.run()
    assert case.sent == [OK[0]]


def test_a_marked_request_is_retried_nowhere_below():
    world, attempts = World(draws=[0.5] * 9), []
    database = Pipeline(retry={"attempts": 3}, clock_ns=world.clock_ns, draw=world.draw)

    async def query(attempt):
        attempts.append(attempt.number)
        raise ConnectionError

    async def app(scope, receive, send):
        await database.call(query, idempotent=True)

    case = Case(app)
    with pytest.raises(ConnectionError):
        case.run(headers={SHOULD_RETRY: "false"})
    assert attempts == [1]
    assert case.headers[SHOULD_RETRY] == "false"


# What is left alone.


def test_chunks_pass_when_they_come():
    async def app(scope, receive, send):
        await send(OK[0])
        for number in range(3):
            await asyncio.sleep(1)
            await send({"type": "http.response.body", "body": bytes([number]), "more_body": number < 2})

    case, seen = Case(app), []

    async def send(message):
        seen.append((case.world.now_ns // SECOND, message.get("body")))

    case.send = send
    case.run(headers={TIMEOUT: "9000"})
    assert seen == [(0, None), (1, b"\x00"), (2, b"\x01"), (3, b"\x02")]


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_lifespan_and_websockets_pass_untouched(kind):
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], receive, send))
        raise CallRejected("bulkhead", "bulkhead_full", 0)

    case = Case(app, bulkhead={"in_flight": 1})
    with pytest.raises(CallRejected):
        case.run(kind=kind)
    assert seen == [(kind, case.receive, case.send)]
    assert (case.pipeline.counts.calls, case.sent) == (0, [])


# Callers who hang up.


def breaker_after(app, *, times=3, **case_options):
    """The breaker around an application that would open at the first failure, after some requests."""
    case = Case(app, circuit_breaker={"failures": 1, "open": "30 s"}, bulkhead={"in_flight": 1}, **case_options)

    async def main():
        for _ in range(times):
            case.incoming = [{"type": "http.disconnect"}]
            try:
                async with asyncio.timeout(0.5):
                    await case.request()
            except (OSError, RuntimeError):
                pass

    case.world.run(main())
    assert case.pipeline.state("bulkhead").in_flight_count == 0
    return case


def test_a_caller_who_hangs_up_counts_nowhere_when_the_server_cancels():
    case = breaker_after(answering(5.0))
    assert case.pipeline.state("circuit_breaker") == circuit_breaker.State()


def test_a_caller_who_hangs_up_counts_nowhere_when_the_application_raises_for_it():
    async def app(scope, receive, send):
        assert (await receive())["type"] == "http.disconnect"
        raise RuntimeError("client disconnected")

    assert breaker_after(app).pipeline.state("circuit_breaker") == circuit_breaker.State()


def test_a_caller_who_hangs_up_counts_nowhere_when_the_server_refuses_to_send():
    async def send(message):
        raise OSError("connection lost")

    case = Case(answering(), circuit_breaker={"failures": 1})
    case.send = send
    with pytest.raises(OSError, match="connection lost"):
        case.run()
    assert case.pipeline.state("circuit_breaker") == circuit_breaker.State()


def test_a_caller_who_hangs_up_is_no_success_either():
    async def app(scope, receive, send):
        if (await receive())["type"] == "http.disconnect":
            return
        raise ConnectionError

    case = Case(app, circuit_breaker={"failures": 1, "open": "1 s"})
    with pytest.raises(ConnectionError):
        case.run()
    case.world.pass_ns(2 * SECOND)
    case.incoming = []
    case.run()  # a probe whose caller leaves
    assert case.pipeline.state("circuit_breaker").phase == circuit_breaker.HALF_OPEN


def test_an_application_that_waits_for_the_end_after_its_answer_has_succeeded():
    async def app(scope, receive, send):
        for message in OK:
            await send(message)
        while (await receive())["type"] != "http.disconnect":
            pass

    case = Case(app, circuit_breaker={"failures": 1, "open": "1 s"})
    case.pipeline.state("circuit_breaker").phase = circuit_breaker.HALF_OPEN
    case.run()
    assert case.pipeline.state("circuit_breaker").phase == circuit_breaker.CLOSED


# Both ends together.


def test_a_deadline_shrinks_from_service_to_service_and_the_mark_comes_back():
    world, seen = World(draws=[0.5] * 99), []
    clock = {"clock_ns": world.clock_ns}

    async def back(scope, receive, send):
        seen.append(dict(scope["headers"])[TIMEOUT.encode()].decode())
        await asyncio.sleep(0.1)
        raise CallRejected("bulkhead", "bulkhead_full", 0)

    def client(app, pipeline):
        transport = httpx.ASGITransport(PolicyMiddleware(app, **clock))
        return httpx.AsyncClient(transport=PolicyTransport(pipeline, transport), base_url="http://service.test")

    behind = client(back, Pipeline(retry={"attempts": 3}, **clock, draw=world.draw))

    async def front(scope, receive, send):
        await asyncio.sleep(0.2)
        response = await behind.get("/")
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.headers.raw})
        await send({"type": "http.response.body", "body": response.content})

    before = client(front, Pipeline(deadline="1 s", retry={"attempts": 3}, **clock, draw=world.draw))

    async def main():
        async with behind, before:
            return await before.get("/")

    response = world.run(main())
    assert (response.status_code, response.headers[SHOULD_RETRY], seen) == (503, "false", ["800"])
