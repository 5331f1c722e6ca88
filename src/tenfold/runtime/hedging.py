"""An attempt that is made once more when its answer is late: the first success wins, the others are cancelled.

`hedge` says when (`call.hedge_at_ns`) and whether (`extra`); this keeps the tasks. Nothing is left running when the
attempt has ended, however it ended.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tenfold.policies.verbs import NEVER
from tenfold.runtime.attempt import Attempt
from tenfold.runtime.stages import Stages

T = TypeVar("T")


async def hedged(fn: Callable[[Attempt], Awaitable[T]], call: Attempt, stages: Stages) -> T:
    """The first success among an attempt's calls; the last failure when all of them fail.

    Args:
        fn: makes one call.
        call: the attempt; `hedge_at_ns` says when to ask for an extra call.
        stages: allow extra calls, and count.
    """
    running = [_started(fn, call)]
    first, error = running[0], None
    try:
        while running:
            done, _ = await asyncio.wait(running, timeout=until_hedge_s(call), return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in running if task in done]:  # in the order they were started
                running.remove(task)
                error = _trouble_of(task)
                if error is None:
                    stages.note("hedges_won", int(task is not first))
                    return task.result()
            if not done and stages.extra(call):
                running.append(_started(fn, call))
        assert error is not None
        raise error
    finally:
        error = None  # its traceback holds this frame: do not leave a cycle behind
        await _cancelled(running)


def until_hedge_s(call: Attempt) -> float | None:
    """Time until an extra call is to be asked for, in s; None: it is not."""
    return None if call.hedge_at_ns >= NEVER else max(0, call.hedge_at_ns - call.clock_ns()) / 1e9


def _started(fn: Callable[[Attempt], Awaitable[T]], call: Attempt) -> "asyncio.Task[T]":
    async def made() -> T:
        return await fn(call)

    return asyncio.get_running_loop().create_task(made())


def _trouble_of(task: "asyncio.Task[Any]") -> BaseException | None:
    """What a call has raised."""
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def _cancelled(tasks: "list[asyncio.Task[Any]]") -> None:
    """Cancel the calls that lost, and see them end."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
        for task in tasks:
            _trouble_of(task)  # looked at, or the loop would complain that nobody did
