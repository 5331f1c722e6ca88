"""Draw docs/pictures/stampede.svg from two real runs: `uv run python docs/pictures/stampede.py`.

The shipped timeline's stampede as it is and with the fix, the same arrivals: share of reads answered, and calls that
reach the database, second by second. Only presentation attributes, no style sheet; the colours are about as far from
white as from black, so the picture reads on either.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).with_suffix(".svg")
FIX = ("components.timeline_cache.lock=true", "components.timeline_cache.ttl_jitter=10%")
FLOW, DATABASE, EXPIRES_S = "read_timeline", "tweets_db", 60
GREY, FAINT, NAIVE, FIXED = "#757c85", "#8b929b", "#dd3f49", "#0f8f83"
WIDTH, LEFT, RIGHT, HEIGHT = 780, 64, 28, 130
FONT = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Series:
    """One run, second by second: share of reads answered, calls per s that reach the database."""

    answered: Sequence[float]
    calls_per_s: Sequence[float]


def run(overrides: Sequence[str]) -> Series:
    """Simulate the stampede through the command line."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "run.json"
        options = [word for override in overrides for word in ("--set", override)]
        command = [sys.executable, "-m", "tenfold", "simulate", "timeline", "-s", "stampede", *options]
        done = subprocess.run([*command, "--output", str(target)], check=False)  # noqa: S603 (our own command)
        if done.returncode > 1:  # 1: an expectation was missed, which is the point
            sys.exit(done.returncode)
        return read(target)


def read(path: Path) -> Series:
    """The series of a saved run."""
    saved = json.loads(path.read_text(encoding="utf-8"))["runs"][0]["run"]
    flow, second = saved["flows"][FLOW], saved["bin_ns"] / 1e9
    failed = [sum(causes) for causes in zip(*flow["failed"].values(), strict=True)] or [0] * len(flow["good"])
    answered = [good / max(1, good + bad) for good, bad in zip(flow["good"], failed, strict=True)]
    return Series(answered, [calls / second for calls in saved["components"][DATABASE]["calls"]])


def text(x: float, y: float, words: str, colour: str = GREY, anchor: str = "start", weight: str = "normal") -> str:
    """Words at a place."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}" '
        f'font-family="{FONT}" font-size="13">{words}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "none") -> str:
    """A thin straight line."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="1" '
        f'stroke-dasharray="{dashes}"/>'
    )


@dataclass(frozen=True)
class Panel:
    """One chart: where it stands, what it counts, up to which value."""

    top: float
    title: str
    most: float
    ticks: Sequence[float]
    written: Callable[[float], str]
    seconds: int

    def x(self, second: float) -> float:
        """Where a second stands."""
        return LEFT + second / self.seconds * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Where a value stands."""
        return self.top + HEIGHT * (1 - value / self.most)

    def frame(self) -> list[str]:
        """Title, grid and the moment of the incident."""
        parts = [text(LEFT, self.top - 14, self.title, weight="bold")]
        for tick in self.ticks:
            parts.append(line(LEFT, self.y(tick), WIDTH - RIGHT, self.y(tick), FAINT, "1 5"))
            parts.append(text(LEFT - 8, self.y(tick) + 4, self.written(tick), anchor="end"))
        parts.append(line(self.x(EXPIRES_S), self.top, self.x(EXPIRES_S), self.top + HEIGHT, GREY, "4 3"))
        return parts

    def curve(self, values: Sequence[float], colour: str) -> str:
        """One run's line."""
        places = " ".join(f"{self.x(i + 0.5):.1f},{self.y(value):.1f}" for i, value in enumerate(values))
        return (
            f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round" '
            f'stroke-linecap="round"/>'
        )


def picture(naive: Series, fixed: Series) -> str:
    """The whole drawing."""
    seconds = len(naive.answered)
    most = max(*naive.calls_per_s, *fixed.calls_per_s)
    step = 10_000 if most > 20_000 else 5_000
    ticks = [float(tick) for tick in range(0, int(most) + step, step)]
    share = Panel(72, "reads answered", 1.0, (0.0, 0.5, 1.0), lambda v: f"{v:.0%}", seconds)
    calls = Panel(
        262, "database calls per second", ticks[-1], ticks, lambda v: f"{v / 1000:.0f}k" if v else "0", seconds
    )
    parts = [
        text(LEFT, 26, "ttl 5 min for every key", NAIVE, weight="bold"),
        text(LEFT + 178, 26, "lock: true, ttl_jitter: 10%", FIXED, weight="bold"),
        text(WIDTH - RIGHT, 26, "the same arrivals in both", anchor="end"),
        *share.frame(),
        share.curve(fixed.answered, FIXED),
        share.curve(naive.answered, NAIVE),
        text(share.x(EXPIRES_S) - 8, share.top + HEIGHT / 2 - 6, "the cache expires", anchor="end"),
        *calls.frame(),
        calls.curve(fixed.calls_per_s, FIXED),
        calls.curve(naive.calls_per_s, NAIVE),
        *(
            text(calls.x(s), calls.top + HEIGHT + 20, f"{s // 60}:{s % 60:02}", anchor="middle")
            for s in range(0, seconds + 1, 30)
        ),
    ]
    body = "\n".join(parts)
    name = "Stampede on the home timeline: share of reads answered and database calls, as it was and fixed"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 424" width="{WIDTH}" height="424" role="img" '
        f'aria-label="{name}">\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    runs = [read(Path(name)) for name in sys.argv[1:3]] or [run(()), run(FIX)]
    TARGET.write_text(picture(*runs), encoding="utf-8")
