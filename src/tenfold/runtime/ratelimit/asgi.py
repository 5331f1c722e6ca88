"""Limits around an ASGI application, told in headers.

    app = RateLimitMiddleware(app, Limiter(RedisLimits(url), "100/min"), by_address(trusted=["10.0.0.0/8"]))

Every answer says how the caller stands. A refusal is 429 with the draft's problem type and Retry-After; while the store
is down and the limiter was told to stay closed, 503. Requests and websocket handshakes are counted, lifespan is not.
"""

import inspect
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from tenfold.policies.verbs import NEVER
from tenfold.runtime.ratelimit.client_address import by_address
from tenfold.runtime.ratelimit.decision import Decision
from tenfold.runtime.ratelimit.headers import REQUESTS, fields
from tenfold.runtime.ratelimit.limiter import Limiter

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
Key: TypeAlias = Callable[[Message], str | Awaitable[str | None] | None]

TYPES = "https://iana.org/assignments/http-problem-types#"
TOO_MANY, UNAVAILABLE, POLICY_VIOLATION = 429, 503, 1008
_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


class RateLimitMiddleware:
    """An ASGI application around another.

    Args:
        app: the application.
        limiter: decides. Close its store when the application ends.
        key: of a request's scope: who is asking, None for who is not limited; may be a coroutine function.
        cost: of a request's scope: units.
        unit: what is counted, as headers call it.
    """

    def __init__(
        self,
        app: App,
        limiter: Limiter,
        key: Key | None = None,
        *,
        cost: Callable[[Message], int] = lambda scope: 1,
        unit: str = REQUESTS,
    ) -> None:
        self.app = app
        self._limiter = limiter
        self._key = key or by_address()
        self._cost = cost
        self._unit = unit

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        key = await self._key_of(scope) if scope["type"] in ("http", "websocket") else None
        if key is None:
            await self.app(scope, receive, send)
            return
        decision = await self._limiter.hit(key, self._cost(scope))
        headers = [(name.encode(), value.encode()) for name, value in fields(decision, self._unit)]
        if decision.allowed:
            await self.app(scope, receive, _telling(send, headers))
        else:
            await _refuse(scope, receive, send, decision, headers)

    async def _key_of(self, scope: Message) -> str | None:
        key = self._key(scope)
        return await key if inspect.isawaitable(key) else key


def _telling(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    """Sends, with further headers where an answer starts."""

    async def told(message: Message) -> None:
        if headers and message["type"] in _STARTS:
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return told


async def _refuse(
    scope: Message, receive: Receive, send: Send, decision: Decision, headers: list[tuple[bytes, bytes]]
) -> None:
    """Say no: as a response, or by closing a websocket that cannot be answered otherwise."""
    prefix = ""
    if scope["type"] == "websocket":
        await receive()  # the handshake
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "rate limit"})
            return
        prefix = "websocket."
    problem = _problem(decision)
    body = json.dumps(problem).encode()
    kind = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    start = {"type": f"{prefix}http.response.start", "status": problem["status"], "headers": [*kind, *headers]}
    await send(start)
    is_head = scope.get("method") == "HEAD"
    await send({"type": f"{prefix}http.response.body", "body": b"" if is_head else body, "more_body": False})


def _problem(decision: Decision) -> dict[str, Any]:
    """What went wrong, for programs (RFC 9457)."""
    violated = [each.limit.name for each in decision.standings if each.is_violated]
    if not violated:
        title = "Request cannot be satisfied due to temporary server capacity constraints"
        return {"type": f"{TYPES}temporary-reduced-capacity", "title": title, "status": UNAVAILABLE}
    problem = {
        "type": f"{TYPES}quota-exceeded",
        "title": "Request cannot be satisfied as assigned quota has been exceeded",
        "status": TOO_MANY,
        "violated-policies": violated,
    }
    if decision.retry_after_ns >= NEVER:
        problem["detail"] = "the request costs more than the quota ever holds"
    return problem
