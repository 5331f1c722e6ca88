"""What an attempt knows: which one it is, how much time is left, and its idempotency key."""

import contextlib
import dataclasses
import functools
import secrets
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tenfold.policies.call.call import Call
from tenfold.policies.verbs import NEVER

if TYPE_CHECKING:
    Base = Call
else:
    # A `Call` whose fields are attributes of the class until they are set: an attempt costs only what it changes.
    Base = type("Base", (), {field.name: field.default for field in dataclasses.fields(Call)})


class Attempt(Base):
    """The record of a call as its policies keep it, with what the function that makes an attempt wants to know.

    One object per call: every attempt of the call is told the same one, in its state of then.
    """

    clock_ns: Callable[[], int]
    given_key = ""
    # A time limit on it: see `expiry`.
    task: Any = None
    cancelling = 0
    is_over = False
    timer: Any = None
    limit_ns = 0

    @property
    def number(self) -> int:
        """Which attempt this is; 1 is the first."""
        return max(self.attempt_count, 1)

    @property
    def ends_ns(self) -> int:
        """When this attempt must have ended, on the pipeline's clock; NEVER when nothing limits it."""
        return min(self.attempt_deadline_ns, self.deadline_ns)

    @property
    def remaining_ns(self) -> int:
        """Time left for this attempt, to be handed on to the callee; NEVER when nothing limits it."""
        return NEVER if self.ends_ns >= NEVER else max(0, self.ends_ns - self.clock_ns())

    @property
    def remaining_s(self) -> float | None:
        """The same in seconds, None when nothing limits it: what most clients take as their `timeout`."""
        return None if self.ends_ns >= NEVER else self.remaining_ns / 1e9

    @property
    def key(self) -> str:
        """An idempotency key: the same for every attempt of this call, and for no other call."""
        if not self.given_key:
            self.given_key = secrets.token_hex(16)
        return self.given_key


@functools.lru_cache(maxsize=32)  # `within` is called for every request of a server
def attempts_on(clock_ns: Callable[[], int]) -> type[Attempt]:
    """The class of the attempts of a pipeline: they know its clock."""
    return type("Attempt", (Attempt,), {"clock_ns": staticmethod(clock_ns)})


CURRENT: ContextVar[Attempt | None] = ContextVar("tenfold_attempt", default=None)
"""The attempt with a time limit that is being made in this task or thread: pipelines further in keep within it."""


@contextlib.contextmanager
def within(
    limit_ns: int, clock_ns: Callable[[], int] = time.monotonic_ns, *, is_marked: bool = False
) -> Iterator[Attempt]:
    """Give every pipeline called in this block `limit_ns` at most, as a server does with what its caller has left.

    Nested blocks and pipelines only ever shorten it. Nothing is cancelled by the block itself.

    Args:
        limit_ns: time from now, in ns; NEVER: no limit of this block's.
        clock_ns: the pipelines' clock.
        is_marked: the request that is answered says "do not retry": nothing below does.
    """
    outer, scope = CURRENT.get(), attempts_on(clock_ns)()
    scope.deadline_ns = min(clock_ns() + limit_ns, NEVER if outer is None else outer.ends_ns)
    scope.is_marked = int(is_marked or (outer is not None and bool(outer.is_marked)))
    token = CURRENT.set(scope)
    try:
        yield scope
    finally:
        CURRENT.reset(token)
