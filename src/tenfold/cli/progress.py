"""A progress bar on standard error: simulated time, speed against real time, time to go."""

from typing import TYPE_CHECKING, TextIO

from tenfold.report.style import Style
from tenfold.verdict.words import clock, duration, factor

if TYPE_CHECKING:
    from tenfold.engine.run import Progress

COMPILING = "compiling the engine, once per version: about a minute"
_COMPILES_AFTER_S = 2.0
"""A cached engine is loaded by then; one that is not is being compiled."""
_EVERY_S = 0.1
_BAR = 24


class Bar:
    """Draws itself over one line; on anything but a terminal it only announces the compilation."""

    def __init__(self, title: str, stream: TextIO, style: Style) -> None:
        self._title = title
        self._stream = stream
        self._style = style
        self._is_terminal = stream.isatty()
        self._is_announced = False
        self._started_s = 0.0
        self._drawn_s = -1.0
        self._length = 0

    def __call__(self, progress: "Progress") -> None:
        """Show how far the run is."""
        if not progress.is_compiled:
            self._wait(progress.wall_s)
        elif self._is_terminal and progress.now_ns > 0 and progress.wall_s - self._drawn_s >= _EVERY_S:
            self._drawn_s = progress.wall_s
            self._draw(self._line(progress))

    def close(self) -> None:
        """Take the line away."""
        if self._length:
            self._stream.write("\r" + " " * self._length + "\r")
            self._stream.flush()
            self._length = 0

    def _wait(self, wall_s: float) -> None:
        self._started_s = wall_s  # compiling counts for nothing
        if wall_s >= _COMPILES_AFTER_S and not self._is_announced:
            self._is_announced = True
            self._stream.write(COMPILING + "\n")
            self._stream.flush()

    def _line(self, progress: "Progress") -> str:
        """`stampede  ######----  3:12 of 15:00  22x real time  28 s to go`."""
        share = min(1.0, progress.now_ns / progress.asked_ns)
        full, empty = ("█", "░") if self._style.unicode else ("#", "-")
        drawn = (full * round(share * _BAR)).ljust(_BAR, empty)
        took_s = max(1e-3, progress.wall_s - self._started_s)
        speed = progress.now_ns / 1e9 / took_s
        left_s = (progress.asked_ns - progress.now_ns) / 1e9 / max(speed, 1e-9)
        times = f"{clock(progress.now_ns)} of {clock(progress.asked_ns)}"
        to_go = f"{duration(round(left_s) * 1e9)} to go"
        return f"{self._title}  {drawn}  {times}  {factor(speed)} real time  {to_go}"

    def _draw(self, line: str) -> None:
        shown = line[: self._style.width - 1]
        self._stream.write("\r" + shown.ljust(self._length))
        self._stream.flush()
        self._length = len(shown)


class Counter:
    """Counts replications on a terminal: `stampede  12 of 40 runs`."""

    def __init__(self, title: str, total: int, stream: TextIO) -> None:
        self._title = title
        self._total = total
        self._stream = stream
        self._done = 0

    def __call__(self, seed: int, verdict: object) -> None:
        """One more run has ended."""
        self._done += 1
        if self._stream.isatty():
            self._stream.write(f"\r{self._line()}")
            self._stream.flush()

    def close(self) -> None:
        """Take the line away."""
        if self._done and self._stream.isatty():
            self._stream.write("\r" + " " * (len(self._line()) + 2) + "\r")
            self._stream.flush()

    def _line(self) -> str:
        return f"{self._title}  {self._done} of {self._total} runs"
