"""The middleware: what answers say, whom they count, and what passes untouched."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from limiting import MS, Clock, S

from servers import RedisServer
from tenfold.errors import UsageError
from tenfold.ratelimit import Limiter, MemoryLimits, RateLimitMiddleware, RedisLimits, by_address, limit

NAME = rb"x-forwarded-for"


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """An application: two chunks, and duplicate headers."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hel", "more_body": True})
    await send({"type": "http.response.body", "body": b"lo"})


class Answer:
    """What an application sent."""

    def __init__(self, messages: list[Any]) -> None:
        self.messages = messages
        self.status = messages[0].get("status")
        self.pairs = [(name.decode(), value.decode()) for name, value in messages[0].get("headers", ())]
        self.headers = dict(self.pairs)
        self.body = b"".join(message.get("body", b"") for message in messages[1:])


def scope_of(client: Any = ("203.0.113.7", 1), *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": list(headers), "client": client, **more}


def ask(app: Any, scope: Any) -> Answer:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"} if scope["type"] == "websocket" else {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return Answer(sent)


def app_with(*limits: Any, clock: Clock, key: Any = None, **more: Any) -> RateLimitMiddleware:
    algorithm = more.pop("algorithm", "gcra")
    limiter = Limiter(MemoryLimits(clock_ns=clock), *limits, algorithm=algorithm)
    return RateLimitMiddleware(hello, limiter, key, **more)


# A reader of structured fields: lists of strings with parameters (RFC 9651, 4.2), as much as these headers need.

ITEM = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"((?:;[ ]*[a-z*][a-z0-9_.*-]*=(?:-?[0-9]{1,15}|"[ !#-\[\]-~]*"))*)')
PARAMETER = re.compile(r';[ ]*([a-z*][a-z0-9_.*-]*)=(-?[0-9]{1,15}|"[ !#-\[\]-~]*")')


def bare(value: str) -> int | str:
    return value.strip('"') if value[0] == '"' else int(value)


def parsed(field: str) -> dict[str, dict[str, int | str]]:
    found, at = {}, 0
    while True:
        item = ITEM.match(field, at)
        assert item, field[at:]
        values = {
            name: value.strip('"') if value[0] == '"' else int(value) for name, value in PARAMETER.findall(item[2])
        }
        found[item[1]] = values
        at = item.end()
        if at == len(field):
            return found
        comma = re.compile(r"[ \t]*,[ \t]*").match(field, at)
        assert comma, field[at:]
        at = comma.end()


def test_the_reader_reads_the_examples_of_the_draft() -> None:
    assert parsed('"permin";q=50;w=60,"perhr";q=1000;w=3600')["perhr"] == {"q": 1000, "w": 3600}
    assert parsed('"peruser";q=65535;qu="content-bytes";w=10')["peruser"]["qu"] == "content-bytes"
    with pytest.raises(AssertionError):
        parsed('"a";q=1,')


# Headers.


def test_an_answer_says_how_the_caller_stands_with_every_limit() -> None:
    answer = ask(app_with("10/s", "100/min", algorithm="log", clock=Clock()), scope_of())
    assert parsed(answer.headers["ratelimit-policy"]) == {"10/s": {"q": 10, "w": 1}, "100/min": {"q": 100, "w": 60}}
    assert parsed(answer.headers["ratelimit"]) == {"10/s": {"r": 9, "t": 2}, "100/min": {"r": 99, "t": 61}}
    assert "retry-after" not in answer.headers
    assert answer.body == b"hello"
    assert [value for name, value in answer.pairs if name == "set-cookie"] == ["a=1", "b=2"]


def test_a_refusal_names_the_limits_that_refused_and_when_to_come_back() -> None:
    clock = Clock()
    app = app_with("10/s", "100/min", algorithm="log", clock=clock)
    for _ in range(10):
        ask(app, scope_of())
    clock.now_ns += 300 * MS
    answer = ask(app, scope_of())
    assert answer.status == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["violated-policies"] == ["10/s"]
    assert json.loads(answer.body)["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert parsed(answer.headers["ratelimit"]) == {"10/s": {"r": 0, "t": 1}, "100/min": {"r": 90}}
    assert set(parsed(answer.headers["ratelimit-policy"])) == {"10/s", "100/min"}
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize("algorithm", ["gcra", "sliding", "log"])
def test_retry_after_is_never_too_early_nor_before_t_and_what_is_left_never_negative(algorithm: str) -> None:
    clock = Clock()
    app = app_with("3/2 s", "20/min", algorithm=algorithm, clock=clock)
    refused = 0
    for step in range(300):
        clock.now_ns += (step * 7_919) % 1_000 * MS
        answer = ask(app, scope_of())
        current = parsed(answer.headers["ratelimit"]).values()
        assert all(each["r"] >= 0 for each in current)  # type: ignore[operator]
        if answer.status == 429:
            refused += 1
            wait_s = int(answer.headers["retry-after"])
            assert all(wait_s >= each.get("t", 0) for each in current)  # type: ignore[operator]
            clock.now_ns += wait_s * S
            assert ask(app, scope_of()).status == 200
    assert refused > 20


def test_the_published_policy_of_a_bucket_counts_its_burst() -> None:
    clock = Clock()
    app = app_with("100/2 s", clock=clock)
    passed = 0
    for _ in range(2_001):
        passed += ask(app, scope_of()).status == 200
        clock.now_ns += MS
    policy = parsed(ask(app, scope_of()).headers["ratelimit-policy"])["100/2 s"]
    assert policy == {"q": 200, "w": 2, "tenfold-burst": 100}
    assert 150 < passed <= 200


def test_what_is_counted_can_be_something_else() -> None:
    size = re.compile(rb"[0-9]+")

    def bytes_of(scope: Any) -> int:
        return int(size.match(dict(scope["headers"])[b"content-length"])[0])  # type: ignore[index]

    app = app_with(limit("1000/min", name="upload"), clock=Clock(), cost=bytes_of, unit="content-bytes")
    answer = ask(app, scope_of(("203.0.113.7", 1), (b"content-length", b"600")))
    assert parsed(answer.headers["ratelimit-policy"])["upload"]["qu"] == "content-bytes"
    assert parsed(answer.headers["ratelimit"])["upload"]["r"] == 400
    never = ask(app, scope_of(("203.0.113.7", 1), (b"content-length", b"1001")))
    assert never.status == 429
    assert "retry-after" not in never.headers
    assert "more than the quota" in json.loads(never.body)["detail"]


# Whom.


def forwarded(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(NAME, value) for value in values]


@pytest.mark.parametrize(
    ("trusted", "client", "headers", "key"),
    [
        ((), "203.0.113.7", [b"1.1.1.1"], "203.0.113.7"),
        (("10.0.0.0/8",), "203.0.113.7", [b"1.1.1.1"], "203.0.113.7"),
        (("10.0.0.0/8",), "10.0.0.1", [b"6.6.6.6, 198.51.100.4"], "198.51.100.4"),
        (("10.0.0.0/8",), "10.0.0.1", [b"6.6.6.6, 198.51.100.4, 10.2.0.1"], "198.51.100.4"),
        (("10.0.0.0/8",), "10.0.0.1", [b"6.6.6.6", b"198.51.100.4, 10.2.0.1"], "198.51.100.4"),
        (("10.0.0.0/8",), "10.0.0.1", [b"198.51.100.4:5112"], "198.51.100.4"),
        (("10.0.0.0/8",), "10.0.0.1", [b"6.6.6.6, unknown"], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", [b"6.6.6.6, , 10.2.0.1"], "10.2.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", [b"10.3.0.1"], "10.3.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", [], "10.0.0.1"),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", [b"::ffff:198.51.100.4"], "198.51.100.4"),
        (("fd00::/8",), "fd00::1", [b"[2001:db8:1:2:3:4:5:6]:443"], "2001:db8:1:2::/64"),
        ((), "2001:db8:1:2:ffff::9", [], "2001:db8:1:2::/64"),
        ((), None, [b"1.1.1.1"], "no address"),
        (("unix",), None, [b"6.6.6.6, 198.51.100.4"], "198.51.100.4"),
        (("unix",), None, [], "no address"),
        (("10.0.0.0/8",), "10.0.0.1", [b", ".join([b"6.6.6.6"] * 500 + [b"198.51.100.4"])], "198.51.100.4"),
        (("10.0.0.0/8",), "10.0.0.1", [b"6.6.6.6, " + b"10.1.1.1, " * 100 + b"10.2.0.1"], "10.1.1.1"),
    ],
)
def test_the_client_is_the_right_most_address_that_no_trusted_proxy_has(
    trusted: tuple[str, ...], client: str | None, headers: list[bytes], key: str
) -> None:
    assert by_address(trusted)(scope_of(client and (client, 1), *forwarded(*headers))) == key


def test_a_spoofed_header_stays_in_the_same_bucket() -> None:
    app = app_with("10/min", clock=Clock())
    statuses = [ask(app, scope_of(("203.0.113.7", 1), (NAME, b"1.1.1.%d" % number))).status for number in range(20)]
    assert statuses == [200] * 10 + [429] * 10
    proxied = app_with("10/min", clock=Clock(), key=by_address(["10.0.0.1"]))
    spoofed = [(NAME, b"1.1.1.%d, 203.0.113.7" % number) for number in range(20)]
    assert [ask(proxied, scope_of(("10.0.0.1", 1), each)).status for each in spoofed] == [200] * 10 + [429] * 10
    assert ask(proxied, scope_of(("10.0.0.1", 1), (NAME, b"203.0.113.8"))).status == 200


def test_a_proxy_that_is_no_address_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="no network"):
        by_address(["proxy.example"])


@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_says_who_asks_and_who_is_not_limited(is_async: bool) -> None:
    def key(scope: Any) -> str | None:
        return dict(scope["headers"]).get(b"x-api-key", b"").decode() or None

    async def later(scope: Any) -> str | None:
        return key(scope)

    app = app_with("1/min", clock=Clock(), key=later if is_async else key)
    known = scope_of(("203.0.113.7", 1), (b"x-api-key", b"k"))
    assert [ask(app, known).status for _ in range(2)] == [200, 429]
    answer = ask(app, scope_of())
    assert answer.status == 200
    assert "ratelimit" not in answer.headers


# What is no request, and a store that is down.


def test_lifespan_passes_untouched() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    marks: Any = ({"type": "lifespan"}, object(), object())
    asyncio.run(RateLimitMiddleware(app, Limiter(MemoryLimits(), "1/s"))(*marks))
    assert seen == [marks]


def test_a_websocket_is_counted_once_and_refused_as_its_server_can() -> None:
    app = app_with("1/min", clock=Clock())
    scope = scope_of(type="websocket")
    assert "ratelimit" in ask(app, scope).headers
    assert ask(app, scope).messages == [{"type": "websocket.close", "code": 1008, "reason": "rate limit"}]
    answer = ask(app, {**scope, "extensions": {"websocket.http.response": {}}})
    assert [message["type"] for message in answer.messages] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert answer.status == 429


def test_head_gets_no_body() -> None:
    app = app_with("1/min", clock=Clock())
    ask(app, scope_of())
    answer = ask(app, scope_of(method="HEAD"))
    assert (answer.status, answer.body) == (429, b"")


@pytest.mark.parametrize(("mode", "status"), [("open", 200), ("closed", 503), ("local", 200)])
def test_a_store_that_is_down_is_no_error_of_the_application(redis: RedisServer, mode: str, status: int) -> None:
    redis.stop()

    async def scene() -> Answer:
        limiter = Limiter(RedisLimits(redis.url), "10/s", on_store_down=mode)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await RateLimitMiddleware(hello, limiter)(scope_of(), _nothing, send)
        return Answer(sent)

    answer = asyncio.run(scene())
    assert answer.status == status
    assert ("ratelimit" in answer.headers) == (mode == "local")
    if mode == "closed":
        assert json.loads(answer.body)["type"].endswith("#temporary-reduced-capacity")
        assert int(answer.headers["retry-after"]) >= 1


_nothing: Callable[[], Awaitable[Any]] = asyncio.Event().wait  # type: ignore[assignment]
