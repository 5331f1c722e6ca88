"""A world where time passes when nothing else is left to do, and the dice are loaded.

    world = World(seed=1)
    pipeline = Pipeline([retry.Config()], clock_ns=world.clock_ns, draw=world.draw)
    world.run(pipeline.call(fn, idempotent=True))     # an hour of pauses takes milliseconds

The event loop is asyncio's own with a selector that jumps to the next timer instead of waiting for it: `asyncio.sleep`,
`asyncio.timeout`, locks, queues, task groups work as they are. Nothing outside this world can happen: sockets, child
processes and threads are refused with an error that says so.

A `ThreadPipeline` needs no event loop: `ThreadPipeline(..., clock_ns=world.clock_ns, sleep_ns=world.pass_ns)`. That
holds for one thread; threads that wait for each other wait in real time.
"""

import asyncio
import random
import selectors
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

STAND_IN = "they take real time; give the code under test a stand-in that awaits asyncio.sleep"


class World:
    """Virtual time and dice.

    Args:
        seed: of the dice.
        draws: numbers the dice show first, before the seeded ones.
        start_ns: what the clock shows at first.

    `dice` are the seeded ones, for whatever else a test wants to draw (arrivals, service times).
    """

    def __init__(self, seed: int = 0, draws: Iterable[float] = (), start_ns: int = 0) -> None:
        self.now_ns = start_ns
        self._draws = iter(draws)
        self.dice = random.Random(seed)  # noqa: S311 - dice, not secrets

    def clock_ns(self) -> int:
        """The time, in ns."""
        return self.now_ns

    def draw(self) -> float:
        """A number in [0, 1)."""
        loaded = next(self._draws, None)
        return self.dice.random() if loaded is None else loaded

    async def sleep_ns(self, wait_ns: int) -> None:
        """Let so much time pass for this task."""
        await asyncio.sleep(wait_ns / 1e9)

    def pass_ns(self, wait_ns: int) -> None:
        """Let so much time pass at once: for code that blocks, and for work that keeps the event loop busy."""
        self.now_ns += max(0, wait_ns)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end in this world; tasks it leaves behind are cancelled, as asyncio.run does.

        Raises:
            RuntimeError: every task waits and no timer is set: nothing can ever happen again. Or something was asked
                for that is not of this world: a socket, a child process, a thread.
        """
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self)) as runner:
            return runner.run(main)


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on a world's clock."""

    def __init__(self, world: World) -> None:
        self._world = world
        super().__init__(_Jump(world))
        self._clock_resolution = 1e-9

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Refuse: a thread takes real time, and this clock would not wait for it."""
        raise RuntimeError(f"no threads in a World (to_thread, looking up a name): {STAND_IN}")

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse, for the same reason."""
        raise RuntimeError(f"no child processes in a World: {STAND_IN}")

    subprocess_shell = subprocess_exec

    def time(self) -> float:
        """The world's time, in s."""
        return self._world.now_ns / 1e9


class _Jump(selectors.SelectSelector):
    """Passes the time the loop would wait."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self.get_map():  # the first is the loop's own, by which threads wake it
            raise RuntimeError(f"no sockets and pipes in a World: {STAND_IN}")
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits and no timer is set: nothing can ever happen again")
        self._world.now_ns += max(0, round(timeout * 1e9))
        return []
