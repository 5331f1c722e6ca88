"""The same four policies from other libraries, each as its documentation composes them.

Time limit 1 s, 3 attempts, a breaker that opens after 5 failures, 100 calls in flight.
"""

import asyncio
import datetime
import functools
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import aiobreaker
import backoff
import circuitbreaker
import hyx.bulkhead
import hyx.circuitbreaker
import hyx.retry
import hyx.timeout
import purgatory
import pybreaker
import pyresilience
import stamina
import tenacity

Awaiting = Callable[..., Awaitable[Any]]
SLOTS = 100


def with_timeout(fn: Awaiting) -> Awaiting:
    """A time limit around everything."""

    async def limited() -> Any:
        async with asyncio.timeout(1):
            return await fn()

    return limited


def _in_slots(fn: Awaiting) -> Awaiting:
    """A semaphore innermost."""
    slots = asyncio.Semaphore(SLOTS)

    async def in_slot() -> Any:
        async with slots:
            return await fn()

    return in_slot


def with_backoff(fn: Awaiting) -> Awaiting:
    """backoff and circuitbreaker."""
    breaker = circuitbreaker.CircuitBreaker(failure_threshold=5, recovery_timeout=30)
    return with_timeout(backoff.on_exception(backoff.expo, ConnectionError, max_tries=3)(breaker(_in_slots(fn))))


def with_hyx(fn: Awaiting) -> Awaiting:
    """Hyx has all four."""
    slotted = hyx.bulkhead.bulkhead(max_concurrency=SLOTS, max_capacity=SLOTS)(_unnamed(fn))
    breaking = hyx.circuitbreaker.consecutive_breaker(failure_threshold=5, recovery_time_secs=30)(slotted)
    return hyx.timeout.timeout(1)(hyx.retry.retry(attempts=3)(breaking))  # type: ignore[no-any-return]


def with_stamina(fn: Awaiting) -> Awaiting:
    """stamina and purgatory."""
    slotted, breakers = _in_slots(fn), purgatory.AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=30)

    async def broken() -> Any:
        async with await breakers.get_breaker("dependency"):
            return await slotted()

    return with_timeout(stamina.retry(on=ConnectionError, attempts=3)(broken))


def with_tenacity(fn: Awaiting) -> Awaiting:
    """tenacity and aiobreaker."""
    breaker = aiobreaker.CircuitBreaker(fail_max=5, timeout_duration=datetime.timedelta(seconds=30))
    slotted = _in_slots(fn)

    async def broken() -> Any:
        return await breaker.call_async(slotted)

    return with_timeout(tenacity.retry(stop=tenacity.stop_after_attempt(3))(broken))


def with_pyresilience(fn: Awaiting) -> Awaiting:
    """pyresilience has all four."""
    return pyresilience.resilient(  # type: ignore[no-any-return]
        retry=pyresilience.RetryConfig(max_attempts=3),
        timeout=pyresilience.TimeoutConfig(seconds=1),
        circuit_breaker=pyresilience.CircuitBreakerConfig(failure_threshold=5),
        bulkhead=pyresilience.BulkheadConfig(max_concurrent=SLOTS),
    )(_unnamed(fn))


def _unnamed(fn: Awaiting) -> Awaiting:
    """A function of its own without arguments: some libraries keep state by function."""

    @functools.wraps(fn)
    async def one() -> Any:
        return await fn()

    return one


AWAITED: dict[str, Callable[[Awaiting], Awaiting]] = {
    "asyncio.timeout > backoff > circuitbreaker > Semaphore": with_backoff,
    "hyx": with_hyx,
    "pyresilience": with_pyresilience,
    "asyncio.timeout > stamina > purgatory > Semaphore": with_stamina,
    "asyncio.timeout > tenacity > aiobreaker > Semaphore": with_tenacity,
}


def sync_backoff(fn: Callable[..., Any]) -> Callable[..., Any]:
    """backoff and circuitbreaker, without a time limit."""
    breaker = circuitbreaker.CircuitBreaker(failure_threshold=5, recovery_timeout=30)
    return backoff.on_exception(backoff.expo, ConnectionError, max_tries=3)(breaker(_in_thread_slots(fn)))


def sync_tenacity(fn: Callable[..., Any]) -> Callable[..., Any]:
    """tenacity and pybreaker, without a time limit."""
    breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)
    return tenacity.retry(stop=tenacity.stop_after_attempt(3))(breaker(_in_thread_slots(fn)))


def _in_thread_slots(fn: Callable[..., Any]) -> Callable[..., Any]:
    slots = threading.Semaphore(SLOTS)

    def in_slot() -> Any:
        with slots:
            return fn()

    return in_slot


CALLED: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "backoff > circuitbreaker > Semaphore": sync_backoff,
    "tenacity > pybreaker > Semaphore": sync_tenacity,
}
