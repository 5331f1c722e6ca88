"""Run a program: build its world, advance it in a worker thread, collect the Run."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tenfold import __version__
from tenfold.engine import loop, world
from tenfold.engine.arena import Arena
from tenfold.engine.collect import collect
from tenfold.engine.jit import fingerprint_text
from tenfold.engine.state import NEEDS_ROOM, TOO_MANY
from tenfold.errors import UsageError
from tenfold.program.program import Program
from tenfold.results.run import Run

WATCH_S = 0.05
"""How often the watching thread looks at the progress array."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: simulated time in ns, of how much, requests and events so far, wall time in s.

    is_compiled: whether the engine is there: compiled now, or loaded from the disk.
    """

    now_ns: int
    asked_ns: int
    requests: int
    events: int
    wall_s: float
    is_compiled: bool = True


def simulate(
    program: Program,
    seed: int,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> Run:
    """Simulate a program from rest to its end.

    Args:
        program: the lowered design and scenario.
        seed: chooses the random streams; equal seeds give equal arrivals to designs that share flows.
        progress: called about 20 times a second from the calling thread.
        stop: when set, the run ends at the next bin and keeps what it has.

    Returns:
        The Run; `is_complete` is False when it was stopped.

    Raises:
        UsageError: more requests are in flight, or messages waiting, than the stated memory bound holds.
        KeyboardInterrupt: Ctrl-C before the first event, while the engine compiles. Later it stops the run as `stop`
            does, and the Run is returned.
    """
    worker = _Worker(program, world.build(program, seed))
    worker.start()
    begun = time.perf_counter()
    while not worker.ended.is_set():
        _watch(worker, program, progress, stop, begun)
    if worker.error is not None:
        raise worker.error
    return collect(program, worker.world, seed, __version__, fingerprint_text())


def _watch(
    worker: "_Worker",
    program: Program,
    progress: Callable[[Progress], None] | None,
    stop: threading.Event | None,
    begun: float,
) -> None:
    """Wait a moment, hand on stop requests, report."""
    try:
        worker.ended.wait(WATCH_S)
        if stop is not None and stop.is_set():
            worker.world.stop[0] = 1
        if progress is not None:
            now_ns, requests, events = (int(x) for x in worker.world.progress)
            wall_s = time.perf_counter() - begun
            progress(Progress(now_ns, program.lasts_ns, requests, events, wall_s, worker.is_compiled))
    except KeyboardInterrupt:
        if not worker.is_compiled:
            raise
        worker.world.stop[0] = 1


class _Worker(threading.Thread):
    """Advances a world; the compiled loop gives up the GIL, so the caller stays responsive."""

    def __init__(self, program: Program, prepared: Arena) -> None:
        super().__init__(name="tenfold-engine", daemon=True)
        self.world = prepared
        self._program = program
        self.is_compiled = False
        # Not is_alive(): Ctrl-C in the middle of join() makes Python 3.11 take a running thread for a dead one.
        self.ended = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Advance to the end, making room when tasks need it."""
        try:
            loop.prepare(self.world)
            self.is_compiled = True
            loop.begin(self.world)
            while (why := loop.advance(self.world)) == NEEDS_ROOM:
                self._make_room()
            if why == TOO_MANY:
                self._refuse_messages()
            loop.finish(self.world)
        except BaseException as caught:  # handed to the caller's thread
            self.error = caught
        finally:
            self.ended.set()

    def _refuse_messages(self) -> None:
        log = self._program.logs[int(self.world.clock[0]["full_log"])]
        size = world.MESSAGES_MAX // len(self._program.logs)
        raise UsageError(
            f"more than {size:,} messages wait at {self._program.components[log.component]}",
            "state a smaller max_length, let more be consumed, or lower the load: memory for more is not spent",
        )

    def _make_room(self) -> None:
        if len(self.world.tasks) >= world.TASKS_MAX:
            seconds = int(self.world.clock[0]["now_ns"]) / 1e9
            raise UsageError(
                f"more than {world.TASKS_MAX:,} requests are in flight after {seconds:,.0f} s",
                "bound a queue on their way, set a timeout, or lower the load: memory for more is not spent",
            )
        world.grow(self.world)
