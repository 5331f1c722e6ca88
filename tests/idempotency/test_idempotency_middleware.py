"""The middleware over a store in memory: what runs, what is replayed, what is refused."""

import asyncio

import pytest
from asgi_client import Counting, ask_app

from tenfold import UsageError
from tenfold.idempotency import IdempotencyMiddleware, MemoryStore, StoreUnavailable, by_header, everyone
from tenfold.runtime.idempotency.fingerprint import fingerprint
from tenfold.runtime.idempotency.kept import Kept, packed, unpacked
from tenfold.runtime.idempotency.keys import parsed_key, stored_key


def wrapped(app, store=None, **settings):
    return IdempotencyMiddleware(app, MemoryStore() if store is None else store, **{"scope": everyone, **settings})


async def twice(app, first=None, second=None, **settings):
    """The same application asked twice."""
    around = wrapped(app, **settings)
    return await ask_app(around, **(first or {})), await ask_app(around, **(second or first or {}))


# Replays.


@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 404, 422, 500])
def test_an_answer_of_any_outcome_is_replayed_with_all_its_headers(status):
    app = Counting(status, [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-id", b"7")], (b"\x00\xff",))
    first, second = asyncio.run(twice(app))
    assert app.runs == 1
    assert (first.status, first.body, first.is_replay) == (status, b"\x00\xff", False)
    assert (second.status, second.body, second.is_replay) == (status, b"\x00\xff", True)
    assert second.header(b"set-cookie") == [b"a=1", b"b=2"]
    assert second.headers[:-1] == first.headers


@pytest.mark.parametrize("status", [429, 503])
def test_come_back_later_is_not_an_outcome(status):
    app = Counting(status)
    _, second = asyncio.run(twice(app))
    assert (app.runs, second.is_replay) == (2, False)


@pytest.mark.parametrize("keep", [{201}, lambda status: status < 500])
def test_what_is_kept_can_be_chosen(keep):
    good, bad = Counting(201), Counting(500)
    asyncio.run(twice(good, keep_status=keep))
    asyncio.run(twice(bad, keep_status=keep))
    assert (good.runs, bad.runs) == (1, 2)


def test_a_stream_passes_chunk_by_chunk_and_is_replayed_whole():
    app = Counting(chunks=(b"a", b"b", b"c"))
    first, second = asyncio.run(twice(app))
    assert [message["body"] for message in first.messages[1:]] == [b"a", b"b", b"c"]
    assert (app.runs, second.body) == (1, b"abc")


def test_an_answer_too_large_to_keep_passes_and_is_not_made_again():
    app = Counting(chunks=(b"a" * 700, b"b" * 700))
    first, second = asyncio.run(twice(app, response_max="1 KB"))
    assert len(first.body) == 1400
    assert (app.runs, second.status, second.problem) == (1, 409, "answer-not-kept")


# What a key stands for.


@pytest.mark.parametrize(
    "other",
    [{"body": b'{"amount":2}'}, {"path": "/refund"}, {"query": b"to=2"}, {"method": "PATCH"}, {"media": "text/plain"}],
    ids=str,
)
def test_another_request_under_the_same_key_is_refused_and_does_not_run(other):
    app = Counting()
    _, second = asyncio.run(twice(app, {"body": b'{"amount": 1}'}, {"body": b'{"amount": 1}', **other}))
    assert (app.runs, second.status, second.problem) == (1, 422, "key-reused")


@pytest.mark.parametrize(
    "other",
    [
        {"body": b'{ "b": [1, 2], "a": 1 }'},
        {"body": b'{"a":1,"b":[1,2]}', "media": "application/json; charset=utf-8"},
        {"more": [("traceparent", "00-2")]},
        {"key": '"k"'},
    ],
    ids=str,
)
def test_the_same_request_in_another_shape_is_replayed(other):
    app = Counting()
    first = {"body": b'{"a":1,"b":[1,2]}', "more": [("traceparent", "00-1")]}
    _, second = asyncio.run(twice(app, first, {**first, **other}))
    assert (app.runs, second.is_replay) == (1, True)


def test_the_application_reads_the_body_as_it_was_sent():
    app = Counting()
    asyncio.run(twice(app, {"body": b'{ "b":1 }'}))
    assert app.bodies == [b'{ "b":1 }']


def test_after_the_body_the_application_hears_the_server_itself():
    heard = []

    async def app(scope, receive, send):
        heard.extend([await receive(), await receive()])

    asyncio.run(ask_app(wrapped(app)))
    assert heard == [{"type": "http.request", "body": b'{"amount":1}', "more_body": False}, {"type": "http.disconnect"}]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'{"a":0.1}', b'{"a":0.10000000000000000001}'),
        (b'{"a":1}', b'{"a":true}'),
        (b'{"a":1}', b'{"a":"1"}'),
        (b"[1,2]", b"[2,1]"),
        (b"[0.1]", rb'["\u00000.1"]'),
    ],
)
def test_json_that_differs_has_another_fingerprint(one, other):
    prints = {fingerprint("POST", "/", b"", "application/vnd.api+json", body) for body in (one, other)}
    assert len(prints) == 2


def test_what_only_calls_itself_json_is_compared_as_bytes():
    for body in (b"{", b"\xff", b"[" * 100_000, b"9" * 5_000):
        assert len(fingerprint("POST", "/", b"", "application/json", body)) == 32


def test_two_callers_with_one_key_have_nothing_to_do_with_each_other():
    app = Counting()
    asyncio.run(
        twice(
            app,
            {"more": [("authorization", "a")]},
            {"more": [("authorization", "b")], "body": b"{}"},
            scope=by_header("Authorization"),
        )
    )
    assert app.runs == 2
    assert stored_key("a", "bc") != stored_key("ab", "c")
    assert stored_key("1", "1:x") != stored_key("1:1", "x")


# Keys.


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("k", "k"),
        ('"k"', "k"),
        (' "k" ', "k"),
        ('"k";a=1', "k"),
        ('"a\\"b\\\\"', 'a"b\\'),
        ('"a b"', "a b"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("a/b+c==", "a/b+c=="),
        ("k" * 255, "k" * 255),
        ("k" * 256, None),
        ("", None),
        ('""', None),
        ('"', None),
        ('"k', None),
        ("a b", None),
        ("a, b", None),
        ('"a", "b"', None),
        ("käse", None),
        ("a\x00b", None),
    ],
)
def test_keys_are_read_quoted_or_bare(text, key):
    assert parsed_key(text) == key


@pytest.mark.parametrize("headers", [{"key": ""}, {"key": "a b"}, {"more": [("idempotency-key", "other")]}])
def test_a_key_that_cannot_be_read_is_a_bad_request(headers):
    app = Counting()
    reply = asyncio.run(ask_app(wrapped(app), **headers))
    assert (app.runs, reply.status, reply.problem) == (0, 400, "key-malformed")


def test_a_missing_key_is_a_bad_request_where_one_is_required():
    app = Counting()
    reply = asyncio.run(ask_app(wrapped(app, required=True), key=None))
    assert (app.runs, reply.status, reply.problem) == (0, 400, "key-missing")


@pytest.mark.parametrize("request_", [{"key": None}, {"method": "GET"}, {"method": "DELETE"}], ids=str)
def test_other_requests_pass_untouched(request_):
    seen = []

    async def app(*passed):
        seen.append(passed)

    async def main():
        around = wrapped(app, required=request_.get("method") is not None)
        await ask_app(around, **request_)
        passed = ({"type": "lifespan"}, object(), object())
        await around(*passed)
        return passed

    passed = asyncio.run(main())
    assert all(one is other for one, other in zip(passed, seen[1], strict=True))


def test_a_body_beyond_the_limit_is_refused_and_nothing_runs():
    app = Counting()
    reply = asyncio.run(ask_app(wrapped(app, body_max="1 KB"), body=b"x" * 1001))
    assert (app.runs, reply.status, reply.problem) == (0, 413, "body-too-large")


# At the same time.


def test_of_fifty_at_once_one_runs_and_the_others_are_told_to_come_back():
    async def main():
        app = Counting(work=lambda number: asyncio.sleep(0.05))
        around = wrapped(app)
        replies = await asyncio.gather(*(ask_app(around) for _ in range(50)))
        refused = [reply for reply in replies if reply.status == 409]
        assert (app.runs, len(refused)) == (1, 49)
        assert {(reply.problem, *reply.header(b"retry-after")) for reply in refused} == {("running", b"1")}
        assert (await ask_app(around)).is_replay

    asyncio.run(main())


def test_with_a_wait_the_others_get_the_answer():
    async def main():
        app = Counting(work=lambda number: asyncio.sleep(0.05))
        around = wrapped(app, wait="5 s")
        replies = await asyncio.gather(*(ask_app(around) for _ in range(50)))
        assert app.runs == 1
        assert [reply.status for reply in replies] == [201] * 50
        assert sum(reply.is_replay for reply in replies) == 49

    asyncio.run(main())


# Interruptions.


@pytest.mark.parametrize("wait", [0.0, 0.02])
def test_a_request_cancelled_while_it_works_gives_its_key_back(wait):
    async def main():
        app = Counting(work=lambda number: asyncio.sleep(60 if number == 1 else 0))
        around = wrapped(app)
        task = asyncio.create_task(ask_app(around))
        await asyncio.sleep(wait)
        task.cancel()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        assert (await ask_app(around)).status == 201

    asyncio.run(main())


def test_an_exception_gives_the_key_back_and_is_raised():
    async def main():
        async def work(number):
            if number == 1:
                raise ZeroDivisionError

        app = Counting(work=work)
        around = wrapped(app)
        with pytest.raises(ZeroDivisionError):
            await ask_app(around)
        assert ((await ask_app(around)).status, app.runs) == (201, 2)

    asyncio.run(main())


def test_an_error_page_for_an_exception_gives_the_key_back():
    async def main():
        async def app(scope, receive, send):
            await inner(scope, receive, send)
            raise ZeroDivisionError  # as Starlette's outermost layer does after its page

        inner = Counting(500)
        around = wrapped(app)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await ask_app(around)
        assert inner.runs == 2

    asyncio.run(main())


def test_an_application_that_answers_nothing_gives_the_key_back():
    runs = []

    async def app(scope, receive, send):
        runs.append(1)

    asyncio.run(twice(app))
    assert len(runs) == 2


def test_a_caller_that_is_gone_finds_the_answer_when_it_asks_again():
    async def main():
        def gone(message):
            raise OSError

        app = Counting()
        around = wrapped(app)
        with pytest.raises(OSError):  # noqa: PT011 - what the server raised
            await ask_app(around, before=gone)
        assert ((await ask_app(around)).is_replay, app.runs) == (True, 1)

    asyncio.run(main())


def test_a_stream_that_breaks_off_gives_the_key_back():
    async def main():
        def gone(message):
            if message.get("body") == b"b":
                raise OSError

        app = Counting(chunks=(b"a", b"b", b"c"))
        around = wrapped(app)
        with pytest.raises(OSError):  # noqa: PT011 - what the server raised
            await ask_app(around, before=gone)
        assert ((await ask_app(around)).body, app.runs) == (b"abc", 2)

    asyncio.run(main())


@pytest.mark.parametrize(("length", "runs"), [(None, 2), (b"7", 1), (b"9", 2)])
def test_an_answer_ended_after_the_caller_left_is_kept_only_when_its_length_says_that_it_is_whole(length, runs):
    async def app(scope, receive, send):
        inner.headers = [] if length is None else [(b"content-length", length)]
        await inner(scope, receive, send)

    async def work(number):
        assert (await receives[0]())["type"] == "http.disconnect"

    async def around(scope, receive, send):
        receives[:] = [receive]
        await app(scope, receive, send)

    receives, inner = [], Counting(work=work)
    _, second = asyncio.run(twice(around))
    assert (inner.runs, second.is_replay) == (runs, runs == 1)


def test_a_caller_that_hangs_up_within_the_body_leaves_nothing():
    app, store = Counting(), MemoryStore()

    async def receive():
        return {"type": "http.disconnect"}

    from asgi_client import request_scope

    asyncio.run(wrapped(app, store)(request_scope(headers=[("idempotency-key", "k")]), receive, None))
    assert (app.runs, len(store)) == (0, 0)


def test_a_key_is_usable_again_when_its_time_is_over():
    clock = [0]
    store = MemoryStore(monotonic_ns=lambda: clock[0])

    async def main():
        app = Counting()
        around = wrapped(app, store, keep="1 h")
        await ask_app(around)
        clock[0] = 3_600 * 10**9
        assert (await ask_app(around, body=b"{}")).status == 201
        assert app.runs == 2

    asyncio.run(main())


# Leases.


def test_work_of_three_leases_runs_once():
    async def main():
        app = Counting(work=lambda number: asyncio.sleep(0.45))
        around = wrapped(app, lease="150 ms")
        first = asyncio.create_task(ask_app(around))
        for _ in range(4):
            await asyncio.sleep(0.09)
            assert (await ask_app(around)).problem == "running"
        assert (await first).status == 201
        assert ((await ask_app(around)).is_replay, app.runs) == (True, 1)

    asyncio.run(main())


class WithoutBeats(MemoryStore):
    """Extensions do not reach it."""

    async def extend(self, ask):
        raise StoreUnavailable("cut off")


def test_without_extensions_a_late_completion_is_refused_by_its_token():
    async def main():
        told = []
        app = Counting(chunks=(b"answer",), work=lambda number: asyncio.sleep(0.3 if number == 1 else 0))
        around = wrapped(app, WithoutBeats(), lease="100 ms", on_unknown="run", tell=told.append)
        first = asyncio.create_task(ask_app(around))
        await asyncio.sleep(0.15)
        app.headers = [(b"x-run", b"second")]
        assert (await ask_app(around)).status == 201
        app.headers = [(b"x-run", b"first")]
        await first
        assert (await ask_app(around)).header(b"x-run") == [b"second"]
        assert (app.runs, told) == (2, ["claimed", "claimed", "lost", "done"])

    asyncio.run(main())


def test_an_unknown_outcome_is_refused_by_default():
    async def main():
        app = Counting(work=lambda number: asyncio.sleep(0.25))
        around = wrapped(app, WithoutBeats(), lease="100 ms")
        first = asyncio.create_task(ask_app(around))
        await asyncio.sleep(0.15)
        reply = await ask_app(around)
        assert (reply.status, reply.problem, reply.header(b"retry-after")) == (409, "unknown", [])
        await first
        assert ((await ask_app(around)).is_replay, app.runs) == (True, 1)

    asyncio.run(main())


# A store that is away.


class Away(MemoryStore):
    def __init__(self, *methods):
        super().__init__()
        self.methods = methods

    async def begin(self, ask):
        return await self._reached("begin", super().begin, ask)

    async def complete(self, *asked):
        return await self._reached("complete", super().complete, *asked)

    async def _reached(self, name, method, *asked):
        if name in self.methods:
            raise StoreUnavailable("away")
        return await method(*asked)


def test_without_its_store_nothing_runs():
    app = Counting()
    reply = asyncio.run(ask_app(wrapped(app, Away("begin"))))
    assert (app.runs, reply.status, reply.problem, reply.header(b"retry-after")) == (
        0,
        503,
        "store-unavailable",
        [b"1"],
    )


def test_an_answer_that_cannot_be_kept_is_sent_and_not_made_again():
    app = Counting()
    first, second = asyncio.run(twice(app, store=Away("complete")))
    assert (app.runs, first.status, second.problem) == (1, 201, "running")


def test_a_full_store_in_memory_refuses_instead_of_forgetting():
    async def main():
        around = wrapped(Counting(), MemoryStore(keys_max=1))
        await ask_app(around, key="a")
        assert (await ask_app(around, key="b")).status == 503
        assert (await ask_app(around, key="a")).is_replay

    asyncio.run(main())


# Settings, and answers as bytes.


@pytest.mark.parametrize(
    "settings", [{"lease": "1 ms"}, {"keep": "1 s"}, {"on_unknown": "hope"}, {"lifetime": "1 s"}, {"transaction": True}]
)
def test_settings_that_cannot_be_are_refused_at_once(settings):
    with pytest.raises(UsageError):
        wrapped(Counting(), **settings)


def test_an_answer_becomes_bytes_and_comes_back_without_what_belongs_to_the_connection():
    headers = [(b"a", b"1"), (b"a", b"2"), (b"empty", b"")]
    kept = unpacked(packed(Kept(201, [*headers, (b"Transfer-Encoding", b"chunked")], b"")))
    assert kept == Kept(201, headers, b"")
    assert unpacked(packed(Kept(200, [], None))).body is None
    with pytest.raises(ValueError, match="version 9"):
        unpacked(b"\x09" + packed(kept)[1:])
