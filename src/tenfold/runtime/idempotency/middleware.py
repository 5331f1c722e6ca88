"""An ASGI application whose requests take effect once for each Idempotency-Key.

    app = IdempotencyMiddleware(app, SQLiteStore("keys.db"), scope=by_header("authorization"))

Follows draft-ietf-httpapi-idempotency-key-header. Requests without a key, other methods, lifespan and websockets pass
untouched.
"""

from collections.abc import Callable, Collection
from typing import Any

from tenfold.errors import UsageError
from tenfold.runtime.adapters.asgi import App, Message, Receive, Send
from tenfold.runtime.headers import KEY
from tenfold.runtime.idempotency import problems
from tenfold.runtime.idempotency.claims import Tell, claimed, token
from tenfold.runtime.idempotency.exchange import Exchange
from tenfold.runtime.idempotency.fingerprint import fingerprint
from tenfold.runtime.idempotency.kept import unpacked
from tenfold.runtime.idempotency.keys import parsed_key, stored_key
from tenfold.runtime.idempotency.problems import Problem
from tenfold.runtime.idempotency.store import (
    DONE,
    MISMATCH,
    RUNNING,
    UNKNOWN,
    Answer,
    Ask,
    Store,
    StoreUnavailable,
    TransactionalStore,
)
from tenfold.runtime.idempotency.terms import Sizes, terms_of
from tenfold.settings import configured

REPLAYED = (b"idempotent-replayed", b"true")
NOT_DONE = frozenset({429, 503})  # "come back later": not an outcome
_KEY = KEY.encode()

REFUSALS = {RUNNING: problems.AT_WORK, MISMATCH: problems.OTHER_REQUEST, UNKNOWN: problems.OUTCOME_UNKNOWN}


def is_outcome(status: int) -> bool:
    """Kept with a lease: success or error, but not "too many requests" and "unavailable": nothing was done."""
    return status not in NOT_DONE


def is_outcome_of_transaction(status: int) -> bool:
    """Kept in a transaction: not an error of the server's either, since its work was rolled back."""
    return status < 500 and status not in NOT_DONE


def everyone(scope: Message) -> str:
    """The scope of a service with one caller, or whose keys nobody can guess: all callers share their keys."""
    return ""


def by_header(name: str) -> Callable[[Message], str]:
    """Callers told apart by a header such as `authorization`; those without it share their keys."""
    wanted = name.lower().encode("latin-1")

    def caller(scope: Message) -> str:
        return b",".join(value for each, value in scope["headers"] if each == wanted).decode("latin-1")

    return caller


class IdempotencyMiddleware:
    """An ASGI application around another.

    Args:
        app: the application.
        store: where keys are kept, shared by all processes of the service.
        scope: who is calling, from the ASGI scope: two callers' equal keys have nothing to do with each other.
        methods: of requests whose key is heeded.
        required: refuse such requests without a key: 400.
        transaction: claim, work and answer commit together; the application works on `connection()`. The store must be
            one of SQLite or PostgreSQL.
        keep_status: whether an answer of that status is kept, or the statuses. What is not kept gives the key back; in
            a transaction its work is rolled back.
        tell: called with what became of each keyed request: claimed, done (replayed), running, mismatch, unknown,
            unavailable, lost.
        settings: lease="30 s", keep="24 h", wait="0 s", on_unknown="refuse" or "run", body_max="1 MiB",
            response_max="1 MiB".

    Raises:
        UsageError: a setting cannot be read, or the store has no transactions.
    """

    def __init__(
        self,
        app: App,
        store: Store,
        *,
        scope: Callable[[Message], str],
        methods: Collection[str] = ("POST", "PATCH"),
        required: bool = False,
        transaction: bool = False,
        keep_status: Callable[[int], bool] | Collection[int] | None = None,
        tell: Tell = lambda outcome: None,
        **settings: Any,
    ) -> None:
        sizes = {name: settings.pop(name) for name in ("body_max", "response_max") if name in settings}
        self._terms = terms_of(settings, "idempotency")
        self._sizes: Sizes = configured(Sizes, sizes, "idempotency")
        if transaction and not isinstance(store, TransactionalStore):
            raise UsageError(f"{type(store).__name__} has no transactions", "take SQLiteStore or PostgresStore")
        self.app, self._store, self._caller, self._tell = app, store, scope, tell
        self._methods, self._required, self._in_transaction = frozenset(methods), required, transaction
        self._keeps = _kept_statuses(keep_status, transaction)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] not in self._methods:
            await self.app(scope, receive, send)
            return
        values = [value for name, value in scope["headers"] if name == _KEY]
        if values:
            await self._answer(scope, receive, send, values)
        elif self._required:
            await problems.answer(send, problems.MISSING)
        else:
            await self.app(scope, receive, send)

    async def _answer(self, scope: Message, receive: Receive, send: Send, values: list[bytes]) -> None:
        """Run, replay or refuse."""
        key = parsed_key(values[0].decode("latin-1")) if len(values) == 1 else None
        if key is None:
            await problems.answer(send, problems.MALFORMED)
            return
        body = await _whole_body(receive, self._sizes.body_max_bytes)
        if isinstance(body, Problem):
            await problems.answer(send, body)
        elif body is not None:
            await self._keyed(scope, receive, send, self._ask(scope, key, body), body)

    def _ask(self, scope: Message, key: str, body: bytes) -> Ask:
        terms = self._terms
        media = next((value for name, value in scope["headers"] if name == b"content-type"), b"").decode("latin-1")
        stands_for = fingerprint(scope["method"], scope["path"], scope.get("query_string", b""), media, body)
        name = stored_key(self._caller(scope), key)
        return Ask(name, stands_for, token(), terms.lease_ns, terms.keep_ns, terms.on_unknown == "run")

    async def _keyed(self, scope: Message, receive: Receive, send: Send, ask: Ask, body: bytes) -> None:
        try:
            answer, claim = await claimed(
                self._store, ask, self._terms, self._tell, in_transaction=self._in_transaction
            )
        except StoreUnavailable:
            self._tell("unavailable")
            await problems.answer(send, problems.AWAY)
            return
        self._tell(answer.state)
        if claim is None:
            await _without_running(send, answer)
            return
        most = self._sizes.response_max_bytes
        await Exchange(receive, send, body, claim, self._keeps, most, self._tell).run(self.app, scope)


def _kept_statuses(
    chosen: Callable[[int], bool] | Collection[int] | None, in_transaction: bool
) -> Callable[[int], bool]:
    """The statuses that are kept, as a function."""
    if chosen is None:
        return is_outcome_of_transaction if in_transaction else is_outcome
    return chosen if callable(chosen) else frozenset(chosen).__contains__


async def _whole_body(receive: Receive, most: int) -> bytes | Problem | None:
    """The request's body; a refusal when it is too large; None when the caller hung up."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            return problems.TOO_LARGE
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _without_running(send: Send, answer: Answer) -> None:
    """Replay what was kept, or say why not."""
    if answer.state != DONE:
        await problems.answer(send, REFUSALS[answer.state])
        return
    kept = unpacked(answer.response)
    if kept.body is None:
        await problems.answer(send, problems.NOT_KEPT)
        return
    await send({"type": "http.response.start", "status": kept.status, "headers": [*kept.headers, REPLAYED]})
    await send({"type": "http.response.body", "body": kept.body})
