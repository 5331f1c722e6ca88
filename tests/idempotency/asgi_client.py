"""Requests to an ASGI application in this process, and what came back."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Reply:
    """An answer as the server would have sent it."""

    messages: list = field(default_factory=list)

    @property
    def status(self):
        return self.messages[0]["status"]

    @property
    def headers(self):
        return self.messages[0]["headers"]

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def problem(self):
        assert dict(self.headers)[b"content-type"] == b"application/problem+json"
        return json.loads(self.body)["type"].rpartition(":")[2]

    @property
    def is_replay(self):
        return (b"idempotent-replayed", b"true") in self.headers

    def header(self, name):
        return [value for each, value in self.headers if each == name]


def request_scope(method="POST", path="/pay", query=b"", headers=()):
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": query,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "extensions": {"http.response.pathsend": {}},
        "state": {},
    }


async def ask_app(
    app, key="k", body=b'{"amount":1}', media="application/json", more=(), before: Callable | None = None, **scope
):
    """Send one request; `before(message)` sees what is sent to the server, and may raise."""
    headers = [*more, ("content-type", media), *([("Idempotency-Key", key)] if key is not None else [])]
    parts = [{"type": "http.request", "body": body[:3], "more_body": True}, {"type": "http.request", "body": body[3:]}]
    reply = Reply()

    async def receive():
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message):
        if before is not None:
            before(message)
        reply.messages.append(message)

    await app(request_scope(headers=headers, **scope), receive, send)
    return reply


class Counting:
    """An application that answers as it is told and counts how often it ran."""

    def __init__(self, status=201, headers=((b"location", b"/1"),), chunks=(b"charged",), work=None):
        self.status, self.headers, self.chunks, self.work = status, list(headers), chunks, work
        self.runs = 0
        self.bodies = []

    async def __call__(self, scope, receive, send):
        self.runs += 1
        number, body, more = self.runs, b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        self.bodies.append(body)
        if self.work is not None:
            await self.work(number)
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        for place, chunk in enumerate(self.chunks, 1):
            await send({"type": "http.response.body", "body": chunk, "more_body": place < len(self.chunks)})
