"""What an attempt knows: which one it is, how much time is left, and its idempotency key."""

import contextlib
import dataclasses
import secrets
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from tenfold.policies.call.call import Call
from tenfold.policies.verbs import NEVER

if TYPE_CHECKING:
    Base = Call
else:
    # A `Call` whose rare fields are attributes of the class until they are set: an attempt costs only what it changes.
    Base = type("Base", (), {field.name: field.default for field in dataclasses.fields(Call)})


class Attempt(Base):
    """The record of a call as its policies keep it, with what the function that makes an attempt wants to know.

    One object per call: every attempt of the call is told the same one, in its state of then.
    """

    # What every call writes: a slot costs a quarter of an attribute. See `begin`.
    if not TYPE_CHECKING:
        __slots__ = (
            "attempt_count",
            "attempt_deadline_ns",
            "attempt_started_ns",
            "cancelling",
            "deadline_ns",
            "limit_ns",
            "started_ns",
            "ticket_generation",
        )

    clock_ns: Callable[[], int] = staticmethod(time.monotonic_ns)
    given_key = ""
    is_late = False  # set by the shell: it ended this attempt, or this wait, because its time was up
    # A time limit on it, see `expiry`; `limit_ns` and `cancelling` belong to it, too.
    expired: Any = None
    timer: Any = None
    limit_ns: int
    cancelling: int

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


def attempts_on(clock_ns: Callable[[], int]) -> type[Attempt]:
    """The class of the attempts of a pipeline: they know its clock. The usual clock needs no class of its own."""
    if clock_ns is time.monotonic_ns:
        return Attempt
    return type("Attempt", (Attempt,), {"__slots__": (), "clock_ns": staticmethod(clock_ns)})


CURRENT: ContextVar[Attempt | None] = ContextVar("tenfold_attempt", default=None)
"""The attempt with a time limit that is being made in this task or thread: pipelines further in keep within it."""


def begin(call: Attempt, started_ns: int, deadline_ns: int) -> None:
    """Fill the slots. Not `__init__`: a call of it costs more than it does, and `Pipeline.call` does without."""
    call.started_ns, call.deadline_ns, call.attempt_deadline_ns = started_ns, deadline_ns, NEVER
    call.attempt_count = call.attempt_started_ns = call.ticket_generation = 0


def restore(token: "Token[Attempt | None]") -> None:
    """Undo a `CURRENT.set`, wherever the block ends.

    A block that is a generator may be left in another context than it was entered in: a framework closes it in another
    thread, the collector in none. The context it was entered in is gone then, and nothing is left to undo.
    """
    try:  # noqa: SIM105 - `suppress` costs as much as a policy
        CURRENT.reset(token)
    except ValueError:
        pass


def no_answer(call: Attempt) -> TimeoutError:
    """What is raised when the time of an attempt is up."""
    begun_ns = call.attempt_started_ns or call.started_ns  # without `retry` nobody notes when the attempt began
    return TimeoutError(f"no answer within {(call.ends_ns - begun_ns) / 1e9:.6g} s")


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
    outer, now_ns = CURRENT.get(), clock_ns()
    scope = Attempt()
    scope.clock_ns = clock_ns
    begin(scope, now_ns, min(now_ns + limit_ns, NEVER if outer is None else outer.ends_ns))
    scope.is_marked = int(is_marked or (outer is not None and bool(outer.is_marked)))
    token = CURRENT.set(scope)
    try:
        yield scope
    finally:
        restore(token)
