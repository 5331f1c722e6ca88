"""The public door: one function per verb. The only place where the tables of kinds and policies meet the machinery.

Heavy parts (NumPy, Numba, YAML) are imported by the function that needs them, so that `import tenfold` costs nothing.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tenfold.errors import UsageError, one_of

if TYPE_CHECKING:
    from tenfold.design.schema import Design, Scenario
    from tenfold.engine.run import Progress
    from tenfold.partition import Newcomer, Ring, Skew, SlotTable
    from tenfold.partition import Plan as Moves
    from tenfold.report.defaults import Default
    from tenfold.results.run import Run
    from tenfold.sizing import Plan
    from tenfold.verdict import Comparison, Replications, Verdict

DEFAULT_SEED = 1
"""A fixed seed: the same command gives the same answer."""

STEADY = "steady"
"""The scenario every design has without writing it: a minute of peak load, nothing goes wrong."""


class Judged(NamedTuple):
    """A run and what it means."""

    run: "Run"
    verdict: "Verdict"


class Skewed(NamedTuple):
    """A skew and the map it was found on."""

    skew: "Skew"
    map: "Ring | SlotTable"


class Planned(NamedTuple):
    """What has to move between two maps, and what chance would move, when nodes only come or only go."""

    moves: "Moves"
    old: "Ring | SlotTable"
    new: "Ring | SlotTable"
    expected: "Newcomer | None"


def load(design: str | os.PathLike[str], overrides: Sequence[str] = ()) -> "Design":
    """Read a design file.

    Args:
        design: a path, or the name of a shipped system (`timeline`).
        overrides: `path=value` each, as in `components.timeline_cache.lock=true`.

    Raises:
        DesignError: the file cannot be used; carries every mistake with its place.
        UsageError: there is no such file or system, or an override is no `path=value`.
    """
    path = _design_path(design)

    from tenfold.design.load import load as load_design
    from tenfold.kinds import KINDS
    from tenfold.policies.call import CALL_POLICIES_BY_NAME

    return load_design(path, KINDS, CALL_POLICIES_BY_NAME, tuple(overrides))


def size(design: "Design") -> "Plan":
    """What the design's parts need, each number with its formula and its place in the file."""
    from tenfold.sizing import plan

    return plan(design)


def multiples(design: "Design") -> tuple[tuple[str, float], ...]:
    """The static plan's answer to "what breaks first": components by the multiple of the peak load that fills them."""
    first: dict[str, float] = {}
    for saturation in size(design).saturation:
        first.setdefault(saturation.component, saturation.at_multiple.likely)
    return tuple(first.items())


def simulate(
    design: "Design",
    scenario: str,
    *,
    load_factor: float = 1.0,
    seed: int = DEFAULT_SEED,
    settings: Mapping[str, str] | None = None,
    progress: "Callable[[Progress], None] | None" = None,
    stop: threading.Event | None = None,
) -> Judged:
    """Simulate one scenario and judge it.

    Args:
        design: what `load` gave.
        scenario: name of one of its scenarios, or `steady`.
        load_factor: multiplies the whole load.
        seed: chooses the random numbers; the same seed gives two designs the same arrivals.
        settings: overrides in force, recorded in the run.
        progress: called about 20 times a second.
        stop: when set, the run ends soon and keeps what it has.

    Returns:
        The run and its verdict. `run.is_complete` is False when it was stopped, by `stop` or by Ctrl-C.

    Raises:
        UsageError: no such scenario, or the simulator's parts are not installed.
    """
    chosen = scenario_of(design, scenario)
    lower, run_program = _engine()
    program = lower(design, chosen, load_factor)
    run = replace(run_program(program, seed, progress=progress, stop=stop), settings=dict(settings or {}))
    return Judged(run, _judge(design, chosen, run))


def simulate_many(
    design: "Design",
    scenario: str,
    seeds: Sequence[int],
    *,
    load_factor: float = 1.0,
    ended: "Callable[[int, Verdict], None] | None" = None,
    stop: threading.Event | None = None,
    workers: int | None = None,
) -> "Replications":
    """Simulate one scenario with many seeds on all cores: how often does it get stuck?

    The compiled loop holds no lock, so threads use every core and share one compilation; only verdicts are kept.

    Args:
        design, scenario, load_factor: as for `simulate`.
        seeds: one run each.
        ended: told every verdict as it comes, from the calling thread.
        stop: when set, no further run begins and those under way count for nothing.
        workers: runs at a time; None is one per core.

    Returns:
        Shares over the runs that ended; fewer than planned after `stop` or Ctrl-C.
    """
    from tenfold.verdict import replications

    chosen = scenario_of(design, scenario)
    lower, run_program = _engine()
    program = lower(design, chosen, load_factor)
    stop = stop or threading.Event()

    def one(seed: int) -> "Verdict | None":
        if stop.is_set():
            return None
        run = run_program(program, seed, stop=stop)
        return _judge(design, chosen, run) if run.is_complete else None

    verdicts = _in_threads(one, seeds, workers or cores(), stop, ended or (lambda seed, verdict: None))
    return replications(verdicts, len(seeds))


def compare(a: Judged, b: Judged) -> "Comparison":
    """Two runs side by side."""
    from tenfold.verdict import compare as compare_runs

    return compare_runs(a.run, a.verdict, b.run, b.verdict)


def schema() -> dict[str, Any]:
    """The JSON Schema of design files, for completion and hover in editors."""
    from tenfold.design.schema_json import json_schema
    from tenfold.kinds import KINDS
    from tenfold.policies.call import CALL_POLICIES_BY_NAME

    return json_schema(KINDS, CALL_POLICIES_BY_NAME)


def new(title: str) -> str:
    """The text of a small commented design file to start from."""
    from tenfold.design.template import template

    return template(title)


def explain(design: "Design") -> "tuple[Default, ...]":
    """Every setting the file leaves open, with the value in force and its source."""
    from tenfold.report.defaults import defaults

    return defaults(design)


def saved(path: str | os.PathLike[str]) -> tuple[Judged, ...]:
    """Runs written by `tenfold simulate --format json`.

    Raises:
        UsageError: the file cannot be read, or is something else.
    """
    from tenfold.report.run_json import read_runs

    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {_reason(error)}", "give the path of a saved run") from error
    return tuple(Judged(run, verdict) for run, verdict in read_runs(text, str(path)))


def partition_skew(
    path: str | os.PathLike[str],
    nodes: str,
    *,
    key: str | None = None,
    load: str | None = None,
    points: int | None = None,
    slots: int | None = None,
    top: int = 10,
) -> Skewed:
    """How evenly nodes would share the keys of a file, against what chance does.

    Args:
        path: a CSV or Parquet file.
        nodes: `a,b=2,c`, or a number.
        key, load: columns; None takes `key` and `load`, or the only one.
        points: of a ring, per weight of 1; None is the default.
        slots: take a table of so many slots instead of a ring.
        top: how many of the hottest keys to name.

    Raises:
        DesignError: the file cannot be used; carries every mistake with its place.
        UsageError: there is no such file, the nodes cannot be read, or a package is missing.
    """
    from tenfold.partition import skew
    from tenfold.runtime.partition.loads import Columns, parse_nodes, read_loads

    (weights,) = parse_nodes([("--nodes", nodes)])
    spread_over = _map_of(weights, points, slots)
    return Skewed(skew(read_loads(path, Columns(key, load)), spread_over, top), spread_over)


def partition_plan(old: str, new: str, *, points: int | None = None, slots: int | None = None) -> Planned:
    """What has to move when nodes come, go, or change their weight.

    Args:
        old, new: nodes as `a,b=2,c`, or a number.
        points: of a ring, per weight of 1; None is the default.
        slots: take a table of so many slots instead of a ring.

    Raises:
        UsageError: the nodes cannot be read, or a package is missing.
    """
    from tenfold.partition import Ring, newcomer, plan
    from tenfold.runtime.partition.loads import parse_nodes
    from tenfold.runtime.partition.ring import points_of

    before, after = parse_nodes([("--from", old), ("--to", new)])
    first = _map_of(before, points, slots)
    second = _map_of(after, points, slots) if isinstance(first, Ring) else first.with_nodes(after)
    more = {**before, **after}
    expected = None
    if isinstance(first, Ring) and isinstance(second, Ring) and more in (before, after) and before != after:
        (most, fewer) = (first, before.keys() - after.keys()) if more == before else (second, after.keys() - before)
        counts = {node.name: points_of(node, most.points) for node in most.nodes}
        changed = sum(counts[name] for name in fewer)
        expected = newcomer(changed, sum(counts.values()) - changed)
    return Planned(plan(first, second), first, second, expected)


def scenario_of(design: "Design", name: str) -> "Scenario":
    """A scenario of the design by name; `steady` is always there.

    Raises:
        UsageError: no such scenario.
    """
    from tenfold.design.schema import Scenario

    if name in design.scenarios:
        return design.scenarios[name]
    if name == STEADY:
        return Scenario(STEADY, 60_000_000_000)
    raise UsageError(f"the design has no scenario {name!r}", one_of(name, [*design.scenarios, STEADY]))


def shipped() -> tuple[str, ...]:
    """Names of the systems that come with Tenfold."""
    return tuple(sorted(path.parent.name for path in _SYSTEMS.glob("*/design.yaml")))


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# Systems stand above this floor: they use the public door, so they are found as files, never imported.
_SYSTEMS = Path(__file__).with_name("systems")


def _design_path(design: str | os.PathLike[str]) -> str:
    """The path of a design given by path or by a shipped system's name."""
    text = os.fspath(design)
    is_shipped = text in shipped()
    if os.path.exists(text) and not (is_shipped and os.path.isdir(text)):
        return text
    if is_shipped:
        return str(_SYSTEMS / text / "design.yaml")
    if os.sep in text or text.endswith((".yaml", ".yml")):
        raise UsageError(f"there is no file {text}", f"give the path of a design file, or {_shipped_text(text)}")
    raise UsageError(f"there is neither a file nor a shipped system {text!r}", one_of(text, shipped()))


def _shipped_text(name: str) -> str:
    return f"the name of a shipped system ({', '.join(shipped())}); `tenfold new {Path(name).stem}` writes a file"


def _map_of(weights: Mapping[str, float], points: int | None, slots: int | None) -> "Ring | SlotTable":
    """A ring, or a table when slots are given."""
    from tenfold.partition import Ring, SlotTable
    from tenfold.runtime.partition.ring import POINTS

    if slots is None:
        return Ring(weights, points=POINTS if points is None else points)
    if points is not None:
        raise UsageError("a slot table has no points", "give --points for a ring or --slots for a table, not both")
    return SlotTable(weights, slots=slots)


def _engine() -> tuple[Callable[..., Any], Callable[..., "Run"]]:
    """Lowering and the engine; both need NumPy and Numba."""
    try:
        from tenfold.engine.run import simulate as run_program
        from tenfold.program.lower import lower
    except ModuleNotFoundError as error:
        if error.name not in ("numba", "numpy", "llvmlite"):
            raise
        raise UsageError(f"the simulator needs {error.name}", "install it with: pip install 'tenfold[sim]'") from error
    return lower, run_program


def _judge(design: "Design", scenario: "Scenario", run: "Run") -> "Verdict":
    from tenfold.verdict import judge

    return judge(design, scenario, run)


def _in_threads(
    one: "Callable[[int], Verdict | None]",
    seeds: Sequence[int],
    workers: int,
    stop: threading.Event,
    ended: "Callable[[int, Verdict], None]",
) -> "list[tuple[int, Verdict]]":
    """Run `one` for every seed, `workers` at a time; Ctrl-C keeps what has ended. Answers by order of the seeds."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    verdicts: dict[int, Verdict] = {}
    with ThreadPoolExecutor(workers, "tenfold-replication") as pool:
        futures = {pool.submit(one, seed): seed for seed in seeds}
        try:
            for future in as_completed(futures):
                verdict = future.result()
                if verdict is not None:
                    verdicts[futures[future]] = verdict
                    ended(futures[future], verdict)
        except BaseException as error:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            if not isinstance(error, KeyboardInterrupt):
                raise
    return [(seed, verdicts[seed]) for seed in seeds if seed in verdicts]


def _reason(error: Exception) -> str:
    """Why a file could not be read, without the path, which the message has already."""
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
