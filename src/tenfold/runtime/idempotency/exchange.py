"""One request that runs, and its answer on the way out: passed on as it comes, and kept.

The answer is kept before its last chunk leaves: who has all of it and asks again finds it. In a transaction the start
of the answer waits for its first chunk, so that one of a single chunk leaves after the commit or not at all.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from tenfold.runtime.adapters.asgi import App, Message, Receive, Send
from tenfold.runtime.idempotency import problems
from tenfold.runtime.idempotency.claims import LOST, Tell
from tenfold.runtime.idempotency.kept import Kept, packed
from tenfold.runtime.idempotency.store import Claim, StoreUnavailable

CONNECTION: ContextVar[Any] = ContextVar("tenfold_idempotency_connection", default=None)
STATE = "tenfold_connection"
"""The name of the transaction's connection in an ASGI scope's state."""

AS_FILES = ("http.response.pathsend", "http.response.zerocopysend")
"""Extensions by which an application answers without showing us the bytes: not offered to it."""


BODILESS = (204, 304)


class NotCommitted(Exception):
    """The work of a transaction, and its answer, are not there: tell nobody that they are."""


class Exchange:
    """One request that holds its key.

    Args:
        receive, send: the server's.
        body: what was read of the request already: all of it.
        claim: the key.
        keeps: whether an answer of that status is kept; what is not kept gives the key back.
        most: the largest body of an answer that is kept, in bytes.
        tell: called with "lost" when the answer could not be kept because the key was another's.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        body: bytes,
        claim: Claim,
        keeps: Callable[[int], bool],
        most: int,
        tell: Tell,
    ) -> None:
        self._receive, self._send, self._claim, self._tell = receive, send, claim, tell
        self._body: bytes | None = body
        self._keeps, self._most = keeps, most
        self._is_transaction = claim.connection is not None
        self._start: Message | None = None  # of the answer
        self._waits = False  # the start has not been passed on
        self._has_left = False  # something of the answer
        self._gone: OSError | None = None  # the caller, at the start
        self._chunks: list[bytes] | None = []  # None: too large
        self._size = 0
        self._is_left = False  # the application was told that the caller is gone, before its answer was whole
        self._is_whole = False  # the answer
        self._is_settled = False  # the key
        self._failure: BaseException | None = None  # of the commit

    async def run(self, app: App, scope: Message) -> None:
        """Let the application answer; whatever happens, the key is settled when this ends."""
        try:
            await self._run(app, self._scope_of(scope))
        except BaseException as error:
            await self._give_back()
            if self._failure is None or not isinstance(error, Exception):
                raise
        else:
            await (self._keep() if self._is_whole else self._give_back())
        await self._explain()

    async def _run(self, app: App, scope: Message) -> None:
        if not self._is_transaction:
            await app(scope, self._told, self._said)
            return
        held = CONNECTION.set(self._claim.connection)
        try:
            await app(scope, self._told, self._said)
        finally:
            CONNECTION.reset(held)

    def _scope_of(self, scope: Message) -> Message:
        """The scope the application sees."""
        changed: dict[str, Any] = {}
        if extensions := scope.get("extensions"):
            changed["extensions"] = {name: value for name, value in extensions.items() if name not in AS_FILES}
        if self._is_transaction:
            changed["state"] = {**scope.get("state", {}), STATE: self._claim.connection}
        return {**scope, **changed} if changed else scope

    async def _told(self) -> Message:
        """The body, once; then whatever the server says."""
        if self._body is None:
            message = await self._receive()
            self._is_left |= message["type"] == "http.disconnect" and not self._is_whole
            return message
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def _said(self, message: Message) -> None:
        """What the application says to the server."""
        if self._failure is not None:
            return  # an error page, for an answer that must not leave
        kind = message["type"]
        if kind == "http.response.start":
            await self._begin(message)
            return
        if kind == "http.response.body":
            await self._tee(message)
        elif kind == "http.response.trailers":
            self._chunks = None
            await self._end(is_last=not message.get("more_trailers", False))
        await self._pass_on(message)

    async def _begin(self, message: Message) -> None:
        self._start = {**message, "headers": list(message.get("headers", ()))}
        if self._is_transaction:
            self._waits = True
            return
        try:
            await self._pass_on(message)
        except OSError as error:  # the caller is gone, but the answer may be a chunk away from being kept
            self._gone = error

    async def _tee(self, message: Message) -> None:
        """Keep a chunk, and with the last one the answer."""
        chunk, start = message.get("body", b""), self._start
        assert start is not None, "a body before the start of an answer"
        self._size += len(chunk)
        if self._size > self._most:
            self._chunks = None
        elif self._chunks is not None:
            self._chunks.append(bytes(chunk))
        await self._end(is_last=not (message.get("more_body", False) or start.get("trailers", False)))
        if self._gone is not None:
            raise self._gone

    async def _end(self, *, is_last: bool) -> None:
        """Settle the key when the answer is whole; an error of the server's own waits for how the application ends."""
        if not is_last or self._is_whole:
            return
        self._is_whole = True
        assert self._start is not None
        if self._start["status"] < 500 or self._is_transaction:
            await self._keep()

    async def _keep(self) -> None:
        """Keep the answer, if answers like it are kept."""
        if self._is_settled:
            return
        assert self._start is not None
        status = self._start["status"]
        if not self._keeps(status) or self._may_be_cut():
            await self._give_back()
            return
        self._is_settled = True
        body = None if self._chunks is None else b"".join(self._chunks)
        kept = packed(Kept(status, self._start["headers"], body))
        try:
            if await self._claim.complete(kept):
                return
            self._tell(LOST)
            failure: BaseException = NotCommitted("the key was lost to another request")
        except StoreUnavailable as error:  # with a lease: done, and not kept; unknown when the lease is over
            failure = error
        if self._is_transaction:
            self._failure = failure
            raise NotCommitted(str(failure)) from failure

    def _may_be_cut(self) -> bool:
        """Whether the application may have ended its answer early, for nobody was there; its length says it did not."""
        assert self._start is not None
        if not self._is_left or self._start["status"] in BODILESS:
            return False
        lengths = [value for name, value in self._start["headers"] if name.lower() == b"content-length"]
        return lengths != [b"%d" % self._size]

    async def _give_back(self) -> None:
        if not self._is_settled:
            self._is_settled = True
            await self._claim.release()

    async def _pass_on(self, message: Message) -> None:
        self._has_left = True
        if self._waits:
            assert self._start is not None
            self._waits = False
            await self._send(self._start)
        await self._send(message)

    async def _explain(self) -> None:
        """Answer for a commit that failed, or break off an answer that has begun."""
        if self._failure is None:
            return
        if self._has_left:
            raise NotCommitted(str(self._failure)) from self._failure
        await problems.answer(self._send, problems.NOT_COMMITTED)
