"""Policies under an httpx client: whoever holds the client sees requests and responses, as before.

    client = httpx.AsyncClient(transport=PolicyTransport(Pipeline(timeout="1 s", retry={"attempts": 3})))

A transport sends one request and gets one response; redirects and logins are the client's, each of their requests goes
through the pipeline. An attempt ends when status and headers are there. The body is the caller's to read, in its own
time: httpx's timeouts, shortened to what the attempt had left, still limit every single wait.

What is repeated is decided by the request, not by the caller's hope: methods that are idempotent (RFC 9110, 9.2.2),
others only with an Idempotency-Key or when the request says so, and none whose body can be read only once.
"""

from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any

import httpx

from tenfold.errors import CallRejected
from tenfold.runtime.adapters.aside import Aside
from tenfold.runtime.adapters.retry_after import RETRY_AFTER, retry_after_ns, wall_clock_s
from tenfold.runtime.attempt import Attempt
from tenfold.runtime.headers import KEY, NO_RETRY, TIMEOUT, incoming, outgoing
from tenfold.runtime.pipeline import Pipeline
from tenfold.runtime.stages import MARK
from tenfold.runtime.threads import ThreadPipeline

__all__ = [
    "FAILURES",
    "IDEMPOTENT",
    "FailedResponse",
    "PolicyTransport",
    "RequestRejected",
    "RequestTimedOut",
    "ThreadPolicyTransport",
    "is_idempotent",
]

IDEMPOTENT = "tenfold.idempotent"
"""Extension of a request that decides for itself: `client.post(..., extensions={IDEMPOTENT: True})`."""

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Idempotent by definition: RFC 9110, 9.2.2."""

FAILURES = frozenset({429, 502, 503, 504})
"""Statuses that speak against the dependency and may pass: too many requests, three ways not to be there."""

THEIRS = (httpx.TransportError, OSError, CallRejected)
"""Errors of an attempt the policies are to hear of; `CallRejected` is one they ignore themselves."""

MISTAKES = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)
"""Transport errors that are the caller's own."""

KEPT_BYTES_MAX = 65_536  # a failed response of this length is read at once, so that its connection is free in the pause
LEAST_TIMEOUT_S = 0.001  # 0 would make a socket one that does not wait at all


class FailedResponse(httpx.HTTPStatusError):
    """A response with a failure's status, as the pipeline's `is_failure` sees it. Callers get the response."""

    def __init__(self, request: httpx.Request, response: httpx.Response, wall_s: float) -> None:
        super().__init__(f"{response.status_code} from {request.url.host}", request=request, response=response)
        self.retry_after_ns = retry_after_ns(response.headers.get(RETRY_AFTER, ""), wall_s)
        if incoming(response.headers).is_marked:
            setattr(self, MARK, True)


class RequestRejected(CallRejected, httpx.TransportError):
    """A policy refused the request: the refusal, and an error of httpx for those who know only these."""

    def __init__(self, policy: str, reason: str, retry_after_ns: int) -> None:
        CallRejected.__init__(self, policy, reason, retry_after_ns)  # not httpx's, which takes a message


class RequestTimedOut(httpx.TimeoutException, TimeoutError):
    """The last attempt had no answer within its limit: a timeout of httpx's and of Python's."""


def is_idempotent(request: httpx.Request) -> bool:
    """Whether a request does no harm when it arrives twice, by method, Idempotency-Key or extension."""
    said = request.extensions.get(IDEMPOTENT)
    return (request.method in METHODS or KEY in request.headers) if said is None else bool(said)


class _Exchange:
    """One request of a client: what its attempts send, and what they brought back."""

    __slots__ = ("_failures", "_is_idempotent", "_is_over", "_needs_key", "_request", "_told", "_wall_s", "held")

    def __init__(self, request: httpx.Request, terms: "_Terms") -> None:
        self._request = request
        self._failures, self._wall_s = terms.failures, terms.wall_s
        self._told = incoming(request.headers.raw)
        self._is_idempotent = terms.idempotent(request)
        self._needs_key = self._is_idempotent and request.method not in METHODS and KEY not in request.headers
        self._is_over = False
        self.held: list[httpx.Response] = []

    @property
    def options(self) -> dict[str, Any]:
        """Arguments for the pipeline."""
        can_repeat = isinstance(self._request.stream, httpx.ByteStream)
        return {"idempotent": self._is_idempotent and can_repeat, "key": self._told.key}

    def sent(self, attempt: Attempt) -> httpx.Request:
        """The request as one attempt sends it: told what is left, and kept within it. The client's stays as it is."""
        request = self._request
        said = outgoing(attempt, with_key=self._needs_key)
        if self._told.remaining_ns is not None and self._told.remaining_ns < attempt.remaining_ns:
            said.pop(TIMEOUT, None)
        extensions = {**request.extensions, **_timeouts(request.extensions.get("timeout"), attempt.remaining_s)}
        headers = _replaced(request.headers.raw, said)
        return httpx.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=extensions)

    def is_failed(self, response: httpx.Response) -> bool:
        """Whether a response is a failure."""
        return response.status_code in self._failures

    def hold(self, response: httpx.Response) -> bool:
        """Remember an open response; False: the request has ended without it."""
        self.held.append(response)
        return not self._is_over

    def failed(self) -> list[httpx.Response]:
        """Open responses of attempts that are being repeated: to be closed."""
        return [response for response in self.held if self.is_failed(response) and not response.is_closed]

    def judge(self, response: httpx.Response) -> httpx.Response:
        """The response, unless it is a failure."""
        if self.is_failed(response):
            raise FailedResponse(self._request, response, self._wall_s())
        return response

    def over(self, kept: httpx.Response | None) -> list[httpx.Response]:
        """The request has ended: the responses to close."""
        self._is_over = True
        return [response for response in self.held if response is not kept]

    def given(self, error: FailedResponse) -> httpx.Response:
        """The last attempt's response; it carries the mark when its pipeline has given up for good."""
        if getattr(error, MARK, False):
            error.response.headers.update(NO_RETRY)
        return error.response

    def translated(self, error: Exception) -> Exception:
        """An error as users of httpx expect it."""
        if isinstance(error, httpx.HTTPError):
            return error
        said: httpx.TransportError
        if isinstance(error, CallRejected):
            said = RequestRejected(error.policy, error.reason, error.retry_after_ns)
        elif isinstance(error, TimeoutError):
            said = RequestTimedOut(str(error))
        else:
            return error
        said.request = self._request
        if getattr(error, MARK, False):
            setattr(said, MARK, True)
        said.__cause__ = error.__cause__ if isinstance(error, CallRejected) else error
        return said


class _Terms:
    """What both transports are told. Arguments as for `PolicyTransport`."""

    def __init__(
        self,
        idempotent: Callable[[httpx.Request], bool],
        failures: Collection[int],
        wall_s: Callable[[], float],
    ) -> None:
        self.idempotent = idempotent
        self.failures = frozenset(failures)
        self.wall_s = wall_s


class PolicyTransport(httpx.AsyncBaseTransport):
    """A transport for `httpx.AsyncClient` whose requests go through a pipeline.

    Args:
        pipeline: the way to one dependency.
        transport: sends the attempts; None: httpx's own. `verify`, `http2`, `limits` of a client go there.
        idempotent: whether a request may be repeated; see `is_idempotent`.
        failures: statuses that count as failures.
        wall_s: the wall clock, for a Retry-After that is a date.

    The client's caller gets the last attempt's response, whatever its status, and otherwise `RequestRejected` (a policy
    refused), `RequestTimedOut`, or the error of httpx that ended the last attempt.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        idempotent: Callable[[httpx.Request], bool] = is_idempotent,
        failures: Collection[int] = FAILURES,
        wall_s: Callable[[], float] = wall_clock_s,
    ) -> None:
        self._pipeline = pipeline
        self._transport = transport or httpx.AsyncHTTPTransport()
        self._terms = _Terms(idempotent, failures, wall_s)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request under the policies."""
        exchange = _Exchange(request, self._terms)
        answer, ended = None, None
        try:
            answer = await self._pipeline.call(lambda attempt: self._send(exchange, attempt), **exchange.options)
        except FailedResponse as error:
            answer = exchange.given(error)
        except Aside as aside:
            ended = aside.error
        except Exception as error:
            ended = exchange.translated(error)
        finally:
            for response in exchange.over(answer):
                await response.aclose()
        try:
            return _outcome(answer, ended)
        finally:
            ended = None  # its traceback holds this frame: do not leave a cycle behind

    async def _send(self, exchange: _Exchange, attempt: Attempt) -> httpx.Response:
        """One attempt."""
        for response in exchange.failed():
            await response.aclose()
        try:
            response = await self._transport.handle_async_request(exchange.sent(attempt))
        except Exception as error:
            if not isinstance(error, THEIRS) or isinstance(error, MISTAKES):
                raise Aside(error) from None
            raise
        if exchange.is_failed(response) and _is_short(response):
            response = await _read(response)
        if not exchange.hold(response):
            await response.aclose()
        return exchange.judge(response)

    async def __aenter__(self) -> "PolicyTransport":
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def aclose(self) -> None:
        """Close the transport underneath."""
        await self._transport.aclose()


class ThreadPolicyTransport(httpx.BaseTransport):
    """The same for `httpx.Client` and a `ThreadPipeline`. Arguments and errors as for `PolicyTransport`.

    A thread cannot be stopped from outside: without an executor in the pipeline an attempt is limited by httpx's
    timeouts, which are shortened to what the attempt has left and limit every wait rather than their sum.
    """

    def __init__(
        self,
        pipeline: ThreadPipeline,
        transport: httpx.BaseTransport | None = None,
        *,
        idempotent: Callable[[httpx.Request], bool] = is_idempotent,
        failures: Collection[int] = FAILURES,
        wall_s: Callable[[], float] = wall_clock_s,
    ) -> None:
        self._pipeline = pipeline
        self._transport = transport or httpx.HTTPTransport()
        self._terms = _Terms(idempotent, failures, wall_s)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request under the policies."""
        exchange = _Exchange(request, self._terms)
        answer, ended = None, None
        try:
            answer = self._pipeline.call(lambda attempt: self._send(exchange, attempt), **exchange.options)
        except FailedResponse as error:
            answer = exchange.given(error)
        except Aside as aside:
            ended = aside.error
        except Exception as error:
            ended = exchange.translated(error)
        finally:
            for response in exchange.over(answer):
                response.close()
        try:
            return _outcome(answer, ended)
        finally:
            ended = None  # its traceback holds this frame: do not leave a cycle behind

    def _send(self, exchange: _Exchange, attempt: Attempt) -> httpx.Response:
        """One attempt."""
        for response in exchange.failed():
            response.close()
        try:
            response = self._transport.handle_request(exchange.sent(attempt))
        except Exception as error:
            if not isinstance(error, THEIRS) or isinstance(error, MISTAKES):
                raise Aside(error) from None
            raise
        if exchange.is_failed(response) and _is_short(response):
            response = _read_blocking(response)
        if not exchange.hold(response):
            response.close()
        return exchange.judge(response)

    def __enter__(self) -> "ThreadPolicyTransport":
        self._transport.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._transport.__exit__(kind, error, trace)

    def close(self) -> None:
        """Close the transport underneath."""
        self._transport.close()


def _outcome(answer: httpx.Response | None, ended: Exception | None) -> httpx.Response:
    """Return or raise how a request has ended."""
    try:
        if ended is not None:
            raise ended
        assert answer is not None
        return answer
    finally:
        ended = None


def _replaced(pairs: list[tuple[bytes, bytes]], said: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers with some replaced or added. As bytes, which httpx takes as they are."""
    ours = [(name.encode("ascii"), value.encode("ascii")) for name, value in said.items()]
    names = {name for name, _ in ours}
    return [pair for pair in pairs if pair[0].lower() not in names] + ours


def _timeouts(given: dict[str, float | None] | None, remaining_s: float | None) -> dict[str, Any]:
    """The extension with httpx's timeouts, none longer than what is left; nothing when nothing limits the attempt."""
    if remaining_s is None:
        return {}
    left_s, asked = max(remaining_s, LEAST_TIMEOUT_S), given or {}
    limits = {name: asked.get(name) for name in ("connect", "read", "write", "pool")}
    return {"timeout": {name: left_s if limit is None else min(limit, left_s) for name, limit in limits.items()}}


def _is_short(response: httpx.Response) -> bool:
    length = response.headers.get("content-length", "")
    return length.isascii() and length.isdigit() and int(length[:12]) <= KEPT_BYTES_MAX


async def _read(response: httpx.Response) -> httpx.Response:
    """The same response with its body in memory and its connection given back."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        body = b"".join([part async for part in response.stream])
    finally:
        await response.aclose()
    return _with_body(response, body)


def _read_blocking(response: httpx.Response) -> httpx.Response:
    """As `_read`, for threads."""
    assert isinstance(response.stream, httpx.SyncByteStream)
    try:
        body = b"".join(response.stream)
    finally:
        response.close()
    return _with_body(response, body)


def _with_body(response: httpx.Response, body: bytes) -> httpx.Response:
    stream, extensions = httpx.ByteStream(body), response.extensions
    return httpx.Response(response.status_code, headers=response.headers, stream=stream, extensions=extensions)
