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


class Limited(Protocol):
    """What a limit is kept in: the attempt itself, so that nothing has to be made for it."""

    task: Any  # the task to cancel
    cancelling: int  # cancellations of the task that had been asked for before
    is_over: bool
    timer: Any  # its own, when it ends before one that began earlier
    limit_ns: int  # when it ends


class Limits:
    """Limits of the tasks of one event loop, in the order of their ends.

    Args:
        clock_ns: the clock ends are given in.
    """

    __slots__ = ("_armed", "_clock_ns", "_last_ns", "_loop", "_thread", "line")

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._loop: asyncio.AbstractEventLoop | None = None
        self.line: dict[Limited, None] = {}
        self._last_ns = 0  # the end of the last in line, or later
        self._armed = False
        self._thread = 0

    def start(self, limited: Limited, at_ns: int) -> None:
        """Let the current task be cancelled at `at_ns`, unless `end` is called before."""
        task = current_task(self._loop) if get_ident() == self._thread else None
        if task is None:
            task = self._move()
        limited.task = task
        limited.cancelling = task.cancelling()
        limited.limit_ns = at_ns
        if at_ns < self._last_ns and self._is_early(limited, at_ns):
            return
        self._last_ns = at_ns
        self.line[limited] = None
        if not self._armed:
            self._arm(at_ns)

    def _move(self) -> "asyncio.Task[Any]":
        """Begin anew in another event loop: what stood in line belonged to tasks that are gone.

        Raises:
            RuntimeError: the loop used so far still runs, in another thread.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop and self._loop.is_running():
            raise RuntimeError("a pipeline belongs to one event loop: make one for each")
        task = current_task(loop)
        assert task is not None, "a time limit needs a task to cancel"
        self.line.clear()
        self._loop, self._last_ns, self._armed = loop, 0, False
        self._thread = get_ident()
        return task

    def _is_early(self, limited: Limited, at_ns: int) -> bool:
        """Give a limit that ends before the last in line a timer of its own."""
        if not self.line or next(reversed(self.line)).limit_ns <= at_ns:
            return False
        assert self._loop is not None
        limited.timer = self._loop.call_later((at_ns - self._clock_ns()) / 1e9, _expire, limited)
        return True

    def end(self, limited: Limited) -> None:
        """Forget the limit."""
        if limited.timer is not None:
            limited.timer.cancel()
            limited.timer = None
        else:
            self.line.pop(limited, None)

    def _arm(self, at_ns: int) -> None:
        assert self._loop is not None
        self._armed = True
        self._loop.call_later((at_ns - self._clock_ns()) / 1e9, self._fire, self._loop)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Expire those whose time is up; arm the timer for the next."""
        if loop is not self._loop:
            return
        line = self.line
        self._armed = False
        now_ns = self._clock_ns()
        while line:
            first = next(iter(line))
            if first.limit_ns > now_ns:
                self._arm(first.limit_ns)
                return
            del line[first]
            _expire(first)


def _expire(limited: Limited) -> None:
    """Cancel the task's block."""
    limited.is_over = True
    limited.task.cancel()


def is_ours(limited: Limited, error: BaseException) -> bool:
    """Whether a block ended because of its expired limit: then it is a timeout; a cancellation from outside stays one.

    To be called once, when the block of an expired limit has ended, whatever it raised.
    """
    limited.is_over = False
    is_alone = limited.task.uncancel() <= limited.cancelling
    return is_alone and isinstance(error, asyncio.CancelledError)
