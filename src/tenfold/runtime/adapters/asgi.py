"""Policies around an ASGI application: the caller's deadline comes in, and what is too much is turned away.

    app = PolicyMiddleware(app, Pipeline(bulkhead={"in_flight": 40, "queue": 20}))

- What the caller has left (see `runtime.headers`) becomes the deadline of every pipeline the application calls. When it
  is over, the application is cancelled, as a gRPC server does it: nobody waits for the answer. What comes after the
  answer's last byte (background tasks) has no deadline.
- A pipeline around the application sheds load before work has begun (Google SRE book, ch. 21): 503 with Retry-After.
- A refusal inside the application says that another attempt would meet the same: 503 with the mark "do not retry".
- A caller that hangs up says nothing of the application: whatever ends the call then is IGNORED by the policies.

Answers are problem details (RFC 9457). Chunks pass as they come; lifespan and websockets pass untouched.
"""

import json
import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, TypeAlias

from tenfold.errors import CallRejected
from tenfold.policies.verbs import NEVER
from tenfold.runtime.adapters.aside import Aside
from tenfold.runtime.adapters.retry_after import RETRY_AFTER
from tenfold.runtime.attempt import Attempt, within
from tenfold.runtime.headers import NO_RETRY, incoming
from tenfold.runtime.pipeline import Pipeline
from tenfold.runtime.stages import MARK

__all__ = ["PolicyMiddleware"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

LAST = ("http.response.body", "http.response.pathsend")  # of an answer, when no more of it follows
SECOND = 1_000_000_000


class PolicyMiddleware:
    """An ASGI application around another.

    Args:
        app: the application.
        pipeline: policies every request has to pass, as one attempt that is never repeated; None: the deadline only.
        clock_ns: monotonic time in ns, of this pipeline and of those the application calls.
    """

    def __init__(
        self, app: App, pipeline: Pipeline | None = None, *, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.app = app
        self._pipeline = pipeline or Pipeline(clock_ns=clock_ns)
        self._clock_ns = clock_ns

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = incoming(scope["headers"])
        limit_ns = NEVER if told.remaining_ns is None else told.remaining_ns
        with within(limit_ns, self._clock_ns, is_marked=told.is_marked) as block:
            exchange = _Exchange(scope, receive, send, block)
            try:
                await self._limited(exchange)
            except Exception as error:
                if not await exchange.explain(error):
                    raise

    async def _limited(self, exchange: "_Exchange") -> None:
        """The application's answer, under the policies."""

        async def attempted(attempt: Attempt) -> None:
            exchange.attempt, exchange.lift = attempt, self._pipeline.lift
            await exchange.answer(self.app)

        ended: Exception | None = None
        try:
            await self._pipeline.call(attempted, idempotent=False)
        except Aside as aside:
            ended = aside.error
        try:
            if ended is not None:
                raise ended
        finally:
            ended = None  # its traceback holds this frame: do not leave a cycle behind


class _Exchange:
    """One request and its answer, as they pass.

    scope, receive, send: the server's. block: the caller's deadline.
    """

    def __init__(self, scope: Message, receive: Receive, send: Send, block: Attempt) -> None:
        self._scope, self._receive, self._send, self._block = scope, receive, send, block
        self.attempt: Attempt | None = None  # the application's, when it has been called
        self.lift: Callable[[Attempt], None] | None = None
        self._is_cut = False  # it was cancelled
        self._has_begun = False  # its answer has
        self._is_complete = False  # its answer is
        self._is_gone = False  # the caller has hung up before that

    async def answer(self, app: App) -> None:
        """Let the application answer."""
        try:
            await app(self._scope, self._told, self._said)
        except CancelledError:
            self._is_cut = True
            raise
        except Exception as error:
            if self._is_gone:
                raise Aside(error) from None
            raise
        if self._is_gone:
            raise Aside(None)

    async def _told(self) -> Message:
        """What the server tells the application."""
        message = await self._receive()
        self._is_gone |= message["type"] == "http.disconnect" and not self._is_complete
        return message

    async def _said(self, message: Message) -> None:
        """What the application says to the server."""
        self._has_begun = True
        try:
            await self._send(message)
        except OSError:  # how a server says that the caller is gone (ASGI 2.4, "Disconnected Client")
            self._is_gone = True
            raise
        if message["type"] in LAST and not message.get("more_body", False):
            self._complete()

    def _complete(self) -> None:
        """The last byte has left: what follows nobody waits for."""
        self._is_complete, self._block.deadline_ns = True, NEVER
        if self.lift is not None and self.attempt is not None:
            self.lift(self.attempt)

    async def explain(self, error: Exception) -> bool:
        """Answer for an exception, unless something else was already; whether there is nothing left to raise.

        Refusals and lateness are answered for and that is all. An error that carries the mark is still raised: the
        server logs it.
        """
        is_refusal, is_late = isinstance(error, CallRejected), self._is_late(error)
        is_marked = bool(getattr(error, MARK, False)) or (is_refusal and self.attempt is not None)
        if not (is_refusal or is_late or is_marked):
            return False
        if not (self._has_begun or self._is_gone):
            status = HTTPStatus.GATEWAY_TIMEOUT if is_late else HTTPStatus.SERVICE_UNAVAILABLE
            await _answer(self._send, self._scope, status, error, is_marked=is_marked)
        elif self._has_begun:
            return False
        return is_refusal or (is_late and isinstance(error, TimeoutError))

    def _is_late(self, error: Exception) -> bool:
        """Whether the request ended because its time was over."""
        if isinstance(error, CallRejected):
            return error.reason == "deadline"
        return self._is_cut or (self.attempt or self._block).remaining_ns == 0


async def _answer(send: Send, scope: Message, status: HTTPStatus, error: Exception, *, is_marked: bool) -> None:
    """Send problem details."""
    body = json.dumps(_problem(status, error)).encode()
    headers = [("content-type", "application/problem+json"), ("content-length", str(len(body)))]
    wait_s = -(-int(getattr(error, "retry_after_ns", 0)) // SECOND)
    if status == HTTPStatus.SERVICE_UNAVAILABLE and (wait_s > 0 or not is_marked):
        headers.append((RETRY_AFTER, str(max(1, wait_s))))  # unknown: the shortest that can be said
    if is_marked:
        headers += NO_RETRY.items()
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": int(status), "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _problem(status: HTTPStatus, error: Exception) -> dict[str, Any]:
    """What went wrong, for programs; nothing of an error's own text, which may be nobody else's business."""
    problem: dict[str, Any] = {"type": "about:blank", "title": status.phrase, "status": int(status)}
    if isinstance(error, CallRejected):
        problem |= {"detail": f"refused by {error.policy}", "policy": error.policy, "reason": error.reason}
    elif status == HTTPStatus.GATEWAY_TIMEOUT:
        problem |= {"detail": "the time for this request is over", "reason": "deadline"}
    else:
        problem |= {"detail": "a dependency has failed; another attempt would only add load"}
    return problem
