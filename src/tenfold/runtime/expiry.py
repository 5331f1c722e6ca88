"""Time limits for tasks that cost little when they do not fire: one timer for all calls with the same limit.

A limit that starts later ends later, so limits of one length stand in a line and only the first needs a timer of the
event loop (the engine keeps its timers the same way). Starting and ending a limit is one insertion into a dict and one
removal; the loop's own timer costs more than all policies of a call together. The end is exact: no ticks.
"""

import asyncio
from asyncio import current_task
from collections.abc import Callable
from threading import get_ident
from typing import Any, Protocol

from tenfold.errors import UsageError
from tenfold.policies.verbs import NEVER


class Limited(Protocol):
    """What a limit is kept in: the attempt itself, so that nothing has to be made for it."""

    limit_ns: int  # when it ends
    cancelling: int  # cancellations of the task that had been asked for before
    timer: Any  # its own, when it ends before one that began earlier
    expired: Any  # the task, once its time was up and it was cancelled
    is_late: bool  # after the end: whether the limit alone has cancelled the block


class Limits:
    """Limits of the tasks of one event loop, in the order of their ends.

    Args:
        clock_ns: the clock ends are given in.
    """

    __slots__ = ("_clock_ns", "_fires_ns", "_last_ns", "_loop", "_thread", "_timer", "line")

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self.line: dict[Limited, asyncio.Task[Any]] = {}
        self._last_ns = 0  # the end of the last in line, or later
        self._timer: asyncio.TimerHandle | None = None
        self._fires_ns = NEVER  # when the timer does; never later than the end of the first in line

    def start(self, limited: Limited, at_ns: int) -> None:
        """Let the current task be cancelled at `at_ns`, unless `end` is called before.

        Raises:
            UsageError: calls of another event loop are still under way.
        """
        task = current_task(self._loop) if get_ident() == self._thread else None
        if task is None:
            task = self._move()
        limited.cancelling = task.cancelling()
        limited.limit_ns = at_ns
        if at_ns < self._last_ns and self._is_early(limited, at_ns, task):
            return
        self._last_ns = at_ns
        self.line[limited] = task
        if at_ns < self._fires_ns:
            self._arm(at_ns)

    def end(self, limited: Limited) -> None:
        """Forget the limit. To be called once, however the block ended."""
        if self.line.pop(limited, None) is None:
            self.end_apart(limited)

    def end_apart(self, limited: Limited) -> None:
        """Forget a limit that is not in line: it had a timer of its own, or its time was up.

        A cancellation that nobody but the limit asked for ends here; one from outside goes on (as `asyncio.timeout`).
        """
        if limited.timer is not None:
            limited.timer.cancel()
            limited.timer = None
        if limited.expired is not None:
            limited.is_late = limited.expired.uncancel() <= limited.cancelling
            limited.expired = None  # a failed task would hold itself by its own traceback

    def _move(self) -> "asyncio.Task[Any]":
        """Begin anew in the running event loop.

        Limits of a loop that was closed are gone with their tasks. Those of one that may go on must not be lost.
        """
        loop, used = asyncio.get_running_loop(), self._loop
        if used is not None and used is not loop:
            if used.is_running() or (self.line and not used.is_closed()):
                raise UsageError("a pipeline belongs to one event loop at a time", "make one for each")
            self.line.clear()
            self._disarm()
            self._last_ns = 0
        task = current_task(loop)
        assert task is not None, "a time limit needs a task to cancel"
        self._loop, self._thread = loop, get_ident()
        return task

    def _is_early(self, limited: Limited, at_ns: int, task: "asyncio.Task[Any]") -> bool:
        """Give a limit that ends before the last in line a timer of its own."""
        if not self.line or next(reversed(self.line)).limit_ns <= at_ns:
            return False
        assert self._loop is not None
        limited.timer = self._loop.call_later((at_ns - self._clock_ns()) / 1e9, _expire, limited, task)
        return True

    def _arm(self, at_ns: int) -> None:
        """Set the timer for the first in line; it may have been set for one that ended since, and later."""
        assert self._loop is not None
        self._disarm()
        self._timer = self._loop.call_later((at_ns - self._clock_ns()) / 1e9, self._fire)
        self._fires_ns = at_ns

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._fires_ns = None, NEVER

    def _fire(self) -> None:
        """Expire those whose time is up; set the timer for the next."""
        self._timer, self._fires_ns = None, NEVER
        now_ns, due = self._clock_ns(), []
        for limited, task in self.line.items():
            if limited.limit_ns > now_ns:
                self._arm(limited.limit_ns)
                break
            due.append((limited, task))
        for limited, task in due:
            del self.line[limited]
            _expire(limited, task)


def _expire(limited: Limited, task: "asyncio.Task[Any]") -> None:
    """Cancel the task's block."""
    limited.expired = task
    task.cancel()
