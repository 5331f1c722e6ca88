"""A world where time passes when nothing else is left to do, and the dice are loaded.

    world = World(seed=1)
    pipeline = Pipeline([retry.Config()], clock_ns=world.clock_ns, draw=world.draw)
    world.run(pipeline.call(fn, idempotent=True))     # an hour of pauses takes milliseconds

The event loop is asyncio's own with a selector that jumps to the next timer instead of waiting for it: `asyncio.sleep`,
`asyncio.timeout`, locks and tasks work as they are. Sockets and threads do not: nothing outside this world can happen.
"""

import asyncio
import random
import selectors
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


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

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end in this world; tasks it leaves behind are cancelled, as asyncio.run does.

        Raises:
            RuntimeError: every task waits and no timer is set: nothing can ever happen again.
        """
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self)) as runner:
            return runner.run(main)


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on a world's clock."""

    def __init__(self, world: World) -> None:
        self._world = world
        super().__init__(_Jump(world))
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """The world's time, in s."""
        return self._world.now_ns / 1e9


class _Jump(selectors.SelectSelector):
    """Passes the time the loop would wait."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits and no timer is set: nothing can ever happen again")
        self._world.now_ns += max(0, round(timeout * 1e9))
        return []
