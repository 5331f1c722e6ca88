"""A limit on the time of a block in the current task: one timer, no child task."""

import asyncio
from types import TracebackType


class TimeLimit:
    """`with TimeLimit(wait_ns): await ...` raises TimeoutError when the block takes longer.

    Does what `asyncio.timeout` does, for less: a cancellation from outside stays a CancelledError, also when it comes
    in the same instant. The block is cancelled and has ended when the error is raised: nothing is left running.
    """

    __slots__ = ("_cancelling", "_is_over", "_task", "_timer", "_wait_ns")

    def __init__(self, wait_ns: int) -> None:
        self._wait_ns = wait_ns
        self._is_over = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a time limit needs a task to cancel"
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(self._wait_ns / 1e9, self._expire)

    def _expire(self) -> None:
        self._is_over = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if not self._is_over:
            return
        is_ours = self._task.uncancel() <= self._cancelling
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError(f"no answer within {self._wait_ns} ns") from error
