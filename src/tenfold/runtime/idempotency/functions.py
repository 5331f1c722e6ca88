"""A function that takes effect once for each key: for consumers of queues, commands, jobs.

@idempotent(store, key=lambda order: order["id"])
async def charge(order): ...
"""

import functools
import json
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, ParamSpec, TypeVar

from tenfold.errors import CallRejected, UsageError
from tenfold.runtime.idempotency.claims import Held, Tell, claimed, token
from tenfold.runtime.idempotency.exchange import CONNECTION, NotCommitted
from tenfold.runtime.idempotency.keys import stored_key
from tenfold.runtime.idempotency.problems import AT_WORK
from tenfold.runtime.idempotency.store import DONE, RUNNING, Ask, Claim, Store, StoreUnavailable, TransactionalStore
from tenfold.runtime.idempotency.terms import terms_of

P = ParamSpec("P")
R = TypeVar("R")
S = 1_000_000_000


def as_json(value: Any) -> bytes:
    """A value as bytes; members of objects sorted."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def idempotent(
    store: Store,
    *,
    key: Callable[..., str],
    name: str = "",
    transaction: bool = False,
    arguments: Callable[..., bytes] = lambda *args, **kwargs: as_json([args, kwargs]),
    dumps: Callable[[Any], bytes] = as_json,
    loads: Callable[[bytes], Any] = json.loads,
    tell: Tell = lambda outcome: None,
    **settings: Any,
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Decorate a coroutine function so that calls of one key run it once.

    Args:
        store: where keys are kept.
        key: the key of a call, from its arguments. With several callers, put the caller into it.
        name: what the keys belong to; default: the function's module and name. Give one before you rename it.
        transaction: claim, work and result commit together; the function works on `connection()`.
        arguments: what a key stands for, from the arguments: default JSON.
        dumps, loads: a result as bytes and back. A repetition gets the result as `loads` makes it.
        tell: called with what became of each call, as by IdempotencyMiddleware.
        settings: lease, keep, wait, on_unknown, as of IdempotencyMiddleware.

    Returns:
        The decorator. Calls raise CallRejected with the reason `running`, `mismatch` or `unknown`; StoreUnavailable
        when the store is away, and nothing was done; NotCommitted when the transaction failed. What the function raises
        gives the key back.

    Raises:
        UsageError: a setting cannot be read, or the store has no transactions.
    """
    terms = terms_of(settings, "idempotent")
    if transaction and not isinstance(store, TransactionalStore):
        raise UsageError(f"{type(store).__name__} has no transactions", "take SQLiteStore or PostgresStore")

    def decorator(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        owner = name or f"{function.__module__}.{function.__qualname__}"

        @functools.wraps(function)
        async def once(*args: P.args, **kwargs: P.kwargs) -> R:
            ask = Ask(
                stored_key(owner, key(*args, **kwargs)),
                sha256(arguments(*args, **kwargs)).digest(),
                token(),
                terms.lease_ns,
                terms.keep_ns,
                terms.on_unknown == "run",
            )
            answer, claim = await claimed(store, ask, terms, tell, in_transaction=transaction)
            tell(answer.state)
            if claim is not None:
                return await _run(claim, lambda: function(*args, **kwargs), dumps, tell)
            if answer.state == DONE:
                result: R = loads(answer.response)
                return result
            wait_ns = AT_WORK.retry_after_s * S if answer.state == RUNNING else 0
            raise CallRejected("idempotency", answer.state, wait_ns)

        return once

    return decorator


async def _run(claim: Claim, work: Callable[[], Awaitable[R]], dumps: Callable[[R], bytes], tell: Tell) -> R:
    """Work, and keep the result."""
    held = CONNECTION.set(claim.connection)
    try:
        result = await work()
    except BaseException:
        await claim.release()
        raise
    finally:
        CONNECTION.reset(held)
    try:
        response = dumps(result)
    except BaseException:  # done, but its result cannot be kept: nobody may believe that it is not done
        await (claim.abandon() if isinstance(claim, Held) else claim.release())
        raise
    await _kept(claim, response, tell)
    return result


async def _kept(claim: Claim, response: bytes, tell: Tell) -> None:
    """Keep the result. With a lease, one that cannot be kept is still the caller's; the outcome is then unknown."""
    try:
        is_kept = await claim.complete(response)
    except StoreUnavailable as error:
        if claim.connection is not None:
            raise NotCommitted(str(error)) from error
        return
    if not is_kept:
        tell("lost")
        if claim.connection is not None:
            raise NotCommitted("the key was lost to another call")
