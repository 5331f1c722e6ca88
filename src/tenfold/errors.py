"""Errors a user can act on. Programmer errors are assertions, not classes."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong with the user's file: where, what, and what to do about it.

    Lines and columns are 1-based; `line` 0 means the file as a whole. `column_end` is exclusive.
    """

    path: str
    line: int
    column: int
    column_end: int
    message: str
    remedy: str = ""
    source_line: str = ""


class TenfoldError(Exception):
    """Base of every error Tenfold raises on purpose."""


class DesignError(TenfoldError):
    """The user's file cannot be used. Carries every mistake found, not only the first."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(f"{m.path}:{m.line}:{m.column} {m.message}" for m in mistakes))
        self.mistakes = mistakes


class UsageError(TenfoldError):
    """The request cannot be carried out as asked: what is wrong, and the remedy."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class CallRejected(TenfoldError):
    """A policy refused the call before it was made.

    Args:
        policy: its name.
        reason: the word for it in results: "circuit_open".
        retry_after_ns: when to come back, in ns from now; 0: unknown.
    """

    # Made as a plain exception is, without code of its own: what is refused in an outage should cost little.
    if TYPE_CHECKING:

        def __init__(self, policy: str, reason: str, retry_after_ns: int) -> None: ...

    policy: str = property(lambda self: self.args[0])  # type: ignore[assignment]
    reason: str = property(lambda self: self.args[1])  # type: ignore[assignment]
    retry_after_ns: int = property(lambda self: self.args[2])  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self.policy} refused the call ({self.reason}); retry after {self.retry_after_ns} ns"


class EngineFault(TenfoldError):
    """The simulator broke one of its own invariants. Seed and event reproduce it."""

    def __init__(self, message: str, seed: int, event: int) -> None:
        super().__init__(f"{message} (seed {seed}, event {event}): please report this with the design file")
        self.seed = seed
        self.event = event


def one_of(name: str, names: Iterable[str]) -> str:
    """A remedy for a name that does not exist: the nearest there is, and all of them."""
    known = list(names)
    near = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(known) or "none"
    return f"did you mean {near[0]!r}? There are: {listed}" if near else f"there are: {listed}"
