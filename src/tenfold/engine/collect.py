"""Turn a world's arrays into a Run."""

import numpy as np

from tenfold.engine import state
from tenfold.engine.arena import Arena
from tenfold.program.program import Program
from tenfold.results.run import CAUSES, ArrowRun, ComponentRun, FlowRun, Latency, Run, Trigger


def collect(program: Program, world: Arena, seed: int, version: str, fingerprint: str) -> Run:
    """The Run of a world that has come to rest, complete or stopped."""
    clock = world.clock[0]
    bins = int(clock["bin"])
    return Run(
        title=program.title,
        design_path=program.design_path,
        design=program.design,
        scenario=program.scenario,
        source="simulated",
        seed=seed,
        version=version,
        fingerprint=fingerprint,
        lasts_ns=min(int(clock["now_ns"]), program.lasts_ns),
        asked_ns=program.lasts_ns,
        bin_ns=program.bin_ns,
        warmup_ns=program.warmup_ns,
        load_factor=program.load_factor,
        flows={name: _flow(world, program, i, bins) for i, name in enumerate(program.flows)},
        components=_components(world, program, bins),
        arrows=_arrows(world, program),
        triggers=tuple(Trigger(*trigger) for trigger in program.triggers),
        requests=int(clock["requests"]),
        events=int(clock["events"]),
    )


def _ints(array: np.ndarray) -> tuple[int, ...]:
    return tuple(int(x) for x in array)


def _flow(world: Arena, program: Program, number: int, bins: int) -> FlowRun:
    series = world.flow_series[number, :, :bins]
    failed = {cause: _ints(series[state.FAILED + i]) for i, cause in enumerate(CAUSES)}
    ended = int(series[state.GOOD].sum()) + sum(sum(values) for values in failed.values())
    return FlowRun(
        offered=_ints(series[state.OFFERED]),
        attempts=_ints(series[state.TRIED if series[state.TRIED].any() else state.OFFERED]),
        good=_ints(series[state.GOOD]),
        failed={cause: values for cause, values in failed.items() if any(values)},
        p50_ns=_ints(series[state.P50]),
        p95_ns=_ints(series[state.P95]),
        p99_ns=_ints(series[state.P99]),
        latency=_latency(world, number),
        unfinished=int(series[state.OFFERED].sum()) - ended,
        is_triggered=any(source.flow == number and source.log >= 0 for source in program.sources),
    )


def _latency(world: Arena, number: int) -> Latency:
    totals = world.totals[number]
    count = int(totals[state.COUNT])
    mean = float(totals[state.SUM_NS]) / count if count else 0.0
    variance = float(totals[state.SQUARES]) / count - mean * mean if count else 0.0
    p50, p95, p99, p999 = _ints(world.percentiles[number])
    return Latency(
        count=count,
        mean_ns=mean,
        p50_ns=p50,
        p95_ns=p95,
        p99_ns=p99,
        p999_ns=p999,
        max_ns=int(totals[state.LARGEST_NS]),
        sd_ns=max(0.0, variance) ** 0.5,
    )


def _components(world: Arena, program: Program, bins: int) -> dict[str, ComponentRun]:
    """Components that have nodes; clients have none."""
    served = {node.component for node in program.nodes}
    names = enumerate(program.components)
    return {name: _component(world, program, i, bins) for i, name in names if i in served}


def _component(world: Arena, program: Program, number: int, bins: int) -> ComponentRun:
    rows = [len(program.components) + i for i, owner in enumerate(program.node_rows) if owner == number]
    series = world.component_series[[number, *rows], :, :bins].sum(axis=0)
    calls = np.maximum(series[state.CALLS], 1)
    waited = series[state.QUEUED_NS] + series[state.LINE_NS]
    is_cache = any(cache.component == number for cache in program.caches)
    is_log = any(log.component == number for log in program.logs)
    return ComponentRun(
        calls=_ints(series[state.CALLS]),
        failed=_ints(series[state.MISSED]),
        utilisation={**_hottest(world, program, number, rows, bins), **_utilisation(program, number, series)},
        queue=tuple(float(x) for x in waited / program.bin_ns),
        wait_ns=_ints(waited // calls),
        hits=_ints(series[state.HITS]) if is_cache else (),
        misses=_ints(series[state.MISSES]) if is_cache else (),
        loads=_ints(series[state.LOADS]) if is_cache else (),
        backlog=_ints(series[state.BACKLOG]) if is_log else (),
    )


def _utilisation(program: Program, number: int, series: np.ndarray) -> dict[str, tuple[float, ...]]:
    """Busy share of each resource the component has, 0..1 by construction."""
    names = program.resources.get(number, ("servers", "slots"))
    servers = sum(node.servers for node in program.nodes if node.component == number)
    slots = sum(node.slots for node in program.nodes if node.component == number)
    shares = {}
    if servers:
        shares[names[0]] = tuple(float(x) for x in series[state.BUSY_NS] / (servers * program.bin_ns))
    if slots:
        shares[names[1]] = tuple(float(x) for x in series[state.HELD_NS] / (slots * program.bin_ns))
    return shares


def _hottest(world: Arena, program: Program, number: int, rows: list[int], bins: int) -> dict[str, tuple[float, ...]]:
    """Busy share of the node that is busiest in each bin, by whichever of its resources is."""
    shares = []
    for row in rows:
        nodes = [node for node in program.nodes if node.row == row]
        series = world.component_series[row, :, :bins]
        offers = ((state.BUSY_NS, sum(n.servers for n in nodes)), (state.HELD_NS, sum(n.slots for n in nodes)))
        shares += [series[column] / (offer * program.bin_ns) for column, offer in offers if offer]
    if not shares:
        return {}
    return {program.resources[number][2]: tuple(float(x) for x in np.max(shares, axis=0))}


def _arrows(world: Arena, program: Program) -> dict[str, ArrowRun]:
    """Counters by arrow; an arrow that several places call through has several rows, which share their states."""
    counts: dict[str, dict[str, int]] = {}
    for row, arrow, name in zip(world.arrow_counts, program.arrows, program.arrow_names, strict=False):
        if name not in counts:
            states = world.circuit_breaker_state[arrow.state_first : arrow.state_first + arrow.instances]
            counts[name] = dict.fromkeys(row.dtype.names, 0) | {"breaker_opened": int(states["opened_count"].sum())}
        for column in row.dtype.names:
            counts[name][column] += int(row[column])
    return {name: ArrowRun(**sums) for name, sums in counts.items()}
