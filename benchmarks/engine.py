"""How fast is the engine, and what does it cost to start: every figure against what is required of it.

Run it from a checkout: `uv run python benchmarks/engine.py` (`--json` for machines). Exits 1 when a requirement is
missed. Times are CPU seconds of this process or of a child, except where wall time is what people wait for.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import simpy

import tenfold
from tenfold import api
from tenfold.design.load import parse
from tenfold.design.schema import Design, Scenario
from tenfold.engine.run import simulate
from tenfold.kinds import KINDS
from tenfold.program.lower import lower
from tenfold.results.run import Run

S = 1_000_000_000
UTILISATION = 0.8
SIMPY_CUSTOMERS = 60_000

MM1 = """
tenfold: 1
title: One server
requirements: {peak: 1x}
components:
  server: {kind: external, in_flight: 1}
flows:
  visit: {rate: 80000/s, steps: [{call: server, takes: 10 us}]}
"""

THREE_TIERS = """
tenfold: 1
title: Three tiers
requirements: {peak: 1x, data: {item: {size: 1 KB, count: 100k, popularity: zipf 0.9}}}
components:
  api: {kind: service, replicas: 20, cores: 8, workers: 64}
  cache: {kind: redis, nodes: 4, holds: item, ttl: 1 min, ttl_jitter: 10%}
  db: {kind: postgres, cores: 32, pool: 200}
flows:
  read:
    rate: 100k/s
    steps:
      - {run: api, cpu: 1 ms}
      - get: cache
        on_miss: [{query: db, takes: 2 ms}, {set: cache}]
"""

MANY_KEYS = """
tenfold: 1
title: Ten million keys
requirements: {peak: 1x, data: {item: {size: 1 KB, count: 10M, popularity: zipf 0.9}}}
components:
  cache: {kind: redis, nodes: 4, memory: 64 GB, holds: item}
  db: {kind: postgres, cores: 32, pool: 400}
flows:
  read: {rate: 50k/s, steps: [{get: cache, on_miss: [{query: db}, {set: cache}]}]}
scenarios:
  day: {lasts: 10 s}
"""

SMALL = """
tenfold: 1
title: Small shop
requirements: {peak: 1x, data: {item: {size: 1 KB, count: 10k, popularity: zipf 1}}}
components:
  api: {kind: service, replicas: 2}
  cache: {kind: redis, holds: item}
  db: {kind: postgres}
flows:
  read:
    rate: 500/s
    steps: [{run: api, cpu: 1 ms}, {get: cache, on_miss: [{query: db}, {set: cache}]}]
policies:
  api -> db: {timeout: 1 s, retry: {attempts: 2}}
scenarios:
  minute: {lasts: 1 min}
"""


@dataclass(frozen=True)
class Figure:
    """One line of the table. `required` is None for what is only reported; `at_least` says which way it counts."""

    name: str
    measured: float
    unit: str
    required: float | None = None
    at_least: bool = True

    @property
    def is_met(self) -> bool:
        """Whether the requirement, if there is one, is met."""
        if self.required is None:
            return True
        return self.measured >= self.required if self.at_least else self.measured <= self.required


def _designed(text: str) -> Design:
    """The design of a text of this file."""
    return parse(text, "benchmark.yaml", KINDS)


def _timed(design: Design, lasts_s: int) -> tuple[Run, float]:
    """A run of the peak load, and its CPU seconds: building, warming up, events, statistics and collecting."""
    begun = time.process_time()
    run = simulate(lower(design, Scenario("steady", lasts_s * S)), 1)
    return run, time.process_time() - begun


def _simpy_per_s() -> float:
    """Customers per CPU second of the same M/M/1 in SimPy, sojourn times recorded in a list."""
    dice, sojourns = random.Random(1), []
    env = simpy.Environment()
    server = simpy.Resource(env, capacity=1)

    def customer():  # type: ignore[no-untyped-def]
        arrived = env.now
        with server.request() as turn:
            yield turn
            yield env.timeout(dice.expovariate(1.0))
        sojourns.append(env.now - arrived)

    def source():  # type: ignore[no-untyped-def]
        for _ in range(SIMPY_CUSTOMERS):
            yield env.timeout(dice.expovariate(UTILISATION))
            env.process(customer())

    env.process(source())
    begun = time.process_time()
    env.run()
    return len(sojourns) / (time.process_time() - begun)


def against_simpy() -> list[Figure]:
    """M/M/1 at 80 % in both engines, with all statistics the engine always keeps."""
    simulate(lower(_designed(MM1), Scenario("first", S)), 1)  # compiles, or loads what was compiled
    run, cpu_s = _timed(_designed(MM1), 200)
    ours, theirs = run.requests / cpu_s, _simpy_per_s()
    return [
        Figure("M/M/1, customers per CPU second", ours, "/s"),
        Figure("M/M/1 in SimPy, customers per CPU second", theirs, "/s"),
        Figure("M/M/1, times faster than SimPy", ours / theirs, "x", 60),
    ]


def three_tiers() -> list[Figure]:
    """Requests through an API pool, a cache and a database pool."""
    run, cpu_s = _timed(_designed(THREE_TIERS), 60)
    return [
        Figure("three tiers, requests per CPU second", run.requests / cpu_s, "/s", 1_000_000),
        Figure("three tiers, events per CPU second", run.events / cpu_s, "/s"),
    ]


def timeline() -> list[Figure]:
    """The shipped timeline at its peak: every policy, retry, cache entry and statistic."""
    run, cpu_s = _timed(api.load("timeline"), 60)
    reads_per_s = sum(run.flows["read_timeline"].offered) / 60
    return [
        Figure("timeline, reads per simulated second", reads_per_s, "/s"),
        Figure("timeline, simulated seconds per CPU second", 60 / cpu_s, "x", 8),
        Figure("timeline, requests per CPU second", run.requests / cpu_s, "/s"),
    ]


def _child(arguments: list[str], **env: str) -> tuple[float, float, str]:
    """CPU seconds, wall seconds and output of a Python process."""
    home = str(Path(tenfold.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH", "")]))
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **env},
        check=False,
    )
    wall_s, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in (0, 1), f"{arguments}: {done.stderr}"  # 1: a promise of the design is not kept
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_s, wall_s, done.stdout


def _least(arguments: list[str], times: int = 5) -> tuple[float, float]:
    """The least CPU and wall seconds of several processes: what is left when others on the machine keep still."""
    runs = [_child(arguments) for _ in range(times)]
    return min(cpu for cpu, _, _ in runs), min(wall for _, wall, _ in runs)


_MEMORY = """
import resource, sys
from tenfold import api
api.simulate(api.load(sys.argv[1]), "day")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def memory(folder: Path) -> list[Figure]:
    """The largest resident set of a process that simulates a cache of 10 M keys."""
    design = _written(folder, "keys.yaml", MANY_KEYS)
    _, _, text = _child(["-c", _MEMORY, design])
    per_mib = 2**20 if sys.platform == "darwin" else 2**10  # getrusage counts bytes there, KiB elsewhere
    return [Figure("10 M keys, resident memory", int(text) / per_mib, "MiB", 2048, at_least=False)]


def starts(folder: Path) -> list[Figure]:
    """The first run on a machine, which compiles, and the runs after it."""
    small = _written(folder, "small.yaml", SMALL)
    simulated = ["-m", "tenfold", "simulate", small, "-s", "minute"]
    cache = str(folder / "numba")
    cold_cpu_s, _, _ = _child(simulated, NUMBA_CACHE_DIR=cache)
    _child(simulated)
    warm_cpu_s, warm_s = _least(simulated, 3)
    _, timeline_s = _least(["-m", "tenfold", "simulate", "timeline", "-s", "steady"], 1)
    return [
        Figure("simulate, first run with compilation, CPU", cold_cpu_s, "s"),
        Figure("simulate, 1 min of a small design, CPU", warm_cpu_s, "s"),
        Figure("simulate, 1 min of a small design, wall", warm_s, "s", 2, at_least=False),
        Figure("simulate, 1 min of the timeline, wall", timeline_s, "s"),
    ]


def commands() -> list[Figure]:
    """Commands that must not pay for the simulator."""
    help_s, _ = _least(["-m", "tenfold", "--help"])
    size_s, _ = _least(["-m", "tenfold", "size", "timeline"])
    return [
        Figure("tenfold --help, CPU", help_s * 1000, "ms", 150, at_least=False),
        Figure("tenfold size timeline, CPU", size_s * 1000, "ms", 400, at_least=False),
    ]


def _written(folder: Path, name: str, text: str) -> str:
    """A design as a file; its path."""
    path = folder / name
    path.write_text(text)
    return str(path)


def measured() -> list[Figure]:
    """Every figure, in the order of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: list[Callable[[], list[Figure]]] = [
            against_simpy,
            three_tiers,
            timeline,
            lambda: memory(folder),
            lambda: starts(folder),
            commands,
        ]
        return [figure for part in parts for figure in part()]


def table(figures: list[Figure]) -> str:
    """The figures as text: required, measured, verdict."""
    lines = [f"{'':48} {'required':>14} {'measured':>14}  verdict"]
    for figure in figures:
        sign = ">=" if figure.at_least else "<="
        required = "" if figure.required is None else f"{sign} {_shown(figure.required)}"
        verdict = "" if figure.required is None else ("ok" if figure.is_met else "MISSED")
        lines.append(f"{figure.name:48} {required:>14} {_shown(figure.measured):>14}  {figure.unit:4} {verdict}")
    return "\n".join(lines)


def _shown(value: float) -> str:
    """A number with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> int:
    """Measure, print, and say by the exit code whether everything required is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    figures = measured()
    if options.json:
        print(json.dumps([{**asdict(figure), "is_met": figure.is_met} for figure in figures], indent=1))
    else:
        print(table(figures))
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
