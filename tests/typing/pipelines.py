"""What type checkers infer of the pipelines. Never run: mypy reads it, see test_types.py.

An ignored error is a mistake that has to be found: an ignore that is not needed is an error, too.
"""

import asyncio
from typing import assert_type

from tenfold import CallRejected, Pipeline, ThreadPipeline, within
from tenfold.runtime.attempt import Attempt


class Receipt:
    """What is paid for."""


async def charge(attempt: Attempt) -> Receipt:
    """One attempt."""
    assert_type(attempt.remaining_s, float | None)
    assert_type(attempt.key, str)
    assert_type(attempt.number, int)
    return Receipt()


def charge_now(attempt: Attempt) -> Receipt:
    """The same for threads."""
    return Receipt()


payments = Pipeline(timeout="800 ms", retry={"attempts": 3, "budget": "20%"}, circuit_breaker=True, bulkhead=20)
blocking = ThreadPipeline(timeout="800 ms", deadline=None, fallback=lambda error: Receipt())


@payments(idempotent=True)
async def find(number: int, *, deep: bool = False) -> Receipt:
    """A coroutine function."""
    return Receipt()


@blocking(idempotent=False)
def find_now(number: int, *, deep: bool = False) -> Receipt:
    """A function."""
    return Receipt()


async def awaited() -> None:
    """The pipeline for asyncio."""
    assert_type(await payments.call(charge, idempotent=True), Receipt)
    assert_type(await payments.call(lambda attempt: charge(attempt), idempotent=False, deadline_ns=5, key="7"), Receipt)
    assert_type(await find(7, deep=True), Receipt)
    assert_type(await asyncio.create_task(find(7)), Receipt)
    async with payments.once(deadline_ns=5) as attempt:
        assert_type(attempt, Attempt)
    await find("7")  # type: ignore[arg-type]
    await find(7, shallow=True)  # type: ignore[call-arg]
    await payments.call(charge)  # type: ignore[call-arg]
    await payments.call(charge_now, idempotent=True)  # type: ignore[arg-type]


async def answered_by_the_block() -> Receipt:
    """A block swallows nothing: no answer is missing after it."""
    async with payments.once() as attempt:
        return await charge(attempt)


def called() -> None:
    """The pipeline for threads."""
    assert_type(blocking.call(charge_now, idempotent=True), Receipt)
    assert_type(find_now(7, deep=True), Receipt)
    with blocking.once() as attempt, within(5) as scope:
        assert_type(attempt, Attempt)
        assert_type(scope, Attempt)
    find_now("7")  # type: ignore[arg-type]
    blocking.call(charge_now)  # type: ignore[call-arg]


def refused(error: CallRejected) -> None:
    """What a refusal says."""
    assert_type(error.policy, str)
    assert_type(error.reason, str)
    assert_type(error.retry_after_ns, int)
    CallRejected("bulkhead")  # type: ignore[call-arg]


Pipeline(retri={"attempts": 3})  # type: ignore[call-arg]
