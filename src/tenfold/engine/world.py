"""The world: every array of a run, built from a program and grown when tasks need room."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tenfold.engine import dice, state
from tenfold.engine.arena import Arena, declare
from tenfold.engine.jit import dtype_of, empty_rows, rows_of
from tenfold.policies.cache import freshness
from tenfold.policies.call import CALL_POLICIES
from tenfold.policies.call.call import Call
from tenfold.program import program as p
from tenfold.program.program import Program

TASKS_FIRST = 1 << 12
TASKS_MAX = 1 << 22
"""More requests in flight than this end the run: some 370 bytes each, 1.5 GB."""

MESSAGES_MAX = 1 << 27
"""More messages waiting at all logs than this end the run: 8 bytes each, 1 GB."""

WAYS = 8
"""Entries of one set when a cache holds fewer entries than there are keys."""

_PROGRAM_TABLES = {
    "ops": p.Op,
    "timings": p.TimingRow,
    "groups": p.Group,
    "arrows": p.ArrowRow,
    "logs": p.LogRow,
    "sources": p.Source,
    "load": p.LoadStep,
    "faults": p.FaultRow,
}
Table = np.ndarray[Any, np.dtype[Any]]

_INTS = np.dtype(np.int64)
_FLOATS = np.dtype(np.float64)

declare(
    {
        **{name: (dtype_of(cls), 1) for name, cls in _PROGRAM_TABLES.items()},
        **{f"{x.NAME}_config": (dtype_of(x.Config), 1) for x in CALL_POLICIES},
        **{f"{x.NAME}_state": (dtype_of(x.State), 1) for x in CALL_POLICIES},
        "clock": (dtype_of(state.Clock), 1),
        "heap": (_INTS, 2),
        "tasks": (dtype_of(state.Task), 1),
        "calls": (dtype_of(Call), 1),
        "registers": (_INTS, 2),
        "timers": (dtype_of(state.Timer), 1),
        "samples": (_FLOATS, 1),
        "nodes": (dtype_of(state.NodeState), 1),
        "free_ns": (_INTS, 1),
        "levels": (dtype_of(state.Level), 1),
        "queues": (dtype_of(state.Queue), 1),
        "log_states": (dtype_of(state.LogState), 1),
        "rings": (_INTS, 1),
        "turns": (dtype_of(state.Turn), 1),
        "arrow_counts": (dtype_of(state.ArrowCount), 1),
        "lists": (dtype_of(state.TimerList), 1),
        "laws": (dtype_of(state.KeyLaw), 1),
        "caches": (dtype_of(state.CacheState), 1),
        "cache_config": (dtype_of(freshness.Config), 1),
        "entries": (dtype_of(freshness.Entry), 1),
        "owners": (np.dtype(np.int32), 1),
        "tags": (_INTS, 1),
        "touched": (_INTS, 1),
        "switches": (_FLOATS, 1),
        "dice": (np.dtype(np.uint64), 1),
        "flow_series": (_INTS, 3),
        "component_series": (_INTS, 3),
        "recent": (_INTS, 2),
        "whole": (_INTS, 2),
        "totals": (_FLOATS, 2),
        "percentiles": (_INTS, 2),
        "progress": (_INTS, 1),
        "stop": (_INTS, 1),
    }
)


def build(program: Program, seed: int) -> Arena:
    """All arrays for one run of `program`, everything at rest at time 0."""
    bins = -(-program.lasts_ns // program.bin_ns)
    tables = {name: _rows(getattr(program, name), cls) for name, cls in _PROGRAM_TABLES.items()}
    nodes, free_ns = _nodes(program)
    caches, rows, sets_used = _caches(program)
    logs, rings = _logs(program)
    return Arena(
        {
            "clock": _clock(program, bins),
            "heap": np.zeros((_heap_room(TASKS_FIRST, program), 2), np.int64),
            **_task_arrays(),
            **tables,
            **_policies(program),
            "samples": np.array(program.samples or (0.0,), np.float64),
            "nodes": nodes,
            "free_ns": free_ns,
            "levels": empty_rows(state.Level, max(1, rows_counted(program))),
            "queues": rows_of([state.Queue()] * max(1, program.instances)),
            "log_states": logs,
            "rings": rings,
            "turns": empty_rows(state.Turn, max(1, len(program.groups))),
            "arrow_counts": empty_rows(state.ArrowCount, max(1, len(program.arrows))),
            "lists": rows_of([state.TimerList()] * max(1, 2 * len(program.arrows) + len(program.caches))),
            "laws": _laws(program),
            "caches": caches,
            "cache_config": _rows(program.cache_configs, freshness.Config),
            "entries": empty_rows(freshness.Entry, max(1, rows)),
            "owners": np.full(max(1, rows), state.NONE, np.int32),
            "tags": np.full(rows if sets_used else 1, state.NONE, np.int64),
            "touched": np.zeros(rows if sets_used else 1, np.int64),
            "switches": np.zeros(max(1, program.switches), np.float64),
            "dice": dice.streams(program.stream_names, seed),
            "flow_series": np.zeros((len(program.flows), state.FLOW_COLUMNS, bins), np.int64),
            "component_series": np.zeros((rows_counted(program), state.COMPONENT_COLUMNS, bins + 1), np.int64),
            "recent": np.zeros((len(program.flows), BUCKETS), np.int64),
            "whole": np.zeros((len(program.flows), BUCKETS), np.int64),
            "totals": np.zeros((len(program.flows), state.TOTAL_COLUMNS), np.float64),
            "percentiles": np.zeros((len(program.flows), len(state.SHARES)), np.int64),
            "progress": np.zeros(3, np.int64),
            "stop": np.zeros(1, np.int64),
        }
    )


def grow(world: Arena) -> None:
    """Make room for twice as many tasks, in place: no array is copied unless the system has to move it."""
    size = len(world.tasks)
    clock = world.clock[0]
    for name, (blank, per_task) in _PER_TASK.items():
        array = getattr(world, name)
        array.resize((2 * size * per_task, *array.shape[1:]), refcheck=False)
        array[size * per_task :] = blank
    world.tasks["next"][size:] = np.arange(size + 1, 2 * size + 1)
    world.heap.resize((len(world.heap) + size, 2), refcheck=False)
    world.tasks[-1]["next"] = clock["free_head"]
    clock["free_head"] = size
    clock["free_count"] += size
    world.refresh()


BUCKET_BITS = 6
BUCKETS = (64 - BUCKET_BITS) * (1 << BUCKET_BITS)
"""Buckets of a latency histogram: 64 per power of two, so a bucket's middle is within 0.8 % of every value in it."""


def _rows(items: Sequence[Any], cls: type[Any]) -> Table:
    """Rows of a program table; an empty table keeps one unused row, which compiled code never reads."""
    if not items:
        return empty_rows(cls, 1)
    return rows_of(list(items), cls)


_PER_TASK = {
    "tasks": (rows_of([state.Task()])[0], 1),
    "calls": (rows_of([Call()])[0], 1),
    "registers": (0, 1),
    "timers": (rows_of([state.Timer()])[0], state.TIMERS_PER_TASK),
}
"""Arrays with rows per task: a blank row, and how many a task has."""


def _task_arrays() -> dict[str, Table]:
    """The first tasks, chained as a free list."""
    arrays = {
        name: np.empty(TASKS_FIRST * n, getattr(blank, "dtype", np.int64)) for name, (blank, n) in _PER_TASK.items()
    }
    arrays["registers"] = np.zeros((TASKS_FIRST, p.REGISTERS), np.int64)
    for name, (blank, _) in _PER_TASK.items():
        arrays[name][:] = blank
    arrays["tasks"]["next"] = np.arange(1, TASKS_FIRST + 1)
    arrays["tasks"]["next"][-1] = state.NONE
    return arrays


def _heap_room(tasks: int, program: Program) -> int:
    return tasks + _specials(program) + 8


def _specials(program: Program) -> int:
    """Ids in the heap that are not tasks: the bin's end, the next fault, the load, sources, timer lists."""
    return 3 + len(program.sources) + max(1, 2 * len(program.arrows) + len(program.caches))


def _clock(program: Program, bins: int) -> Table:
    return rows_of(
        [
            state.Clock(
                bin_end_ns=program.bin_ns,
                bin_count=bins,
                bin_ns=program.bin_ns,
                warmup_ns=program.warmup_ns,
                end_ns=program.lasts_ns,
                client_latency_ns=program.client_latency_ns,
                starts_warm=int(program.starts_warm),
                free_head=0,
                free_count=TASKS_FIRST,
                specials=_specials(program),
                fault_count=len(program.faults),
                source_count=len(program.sources),
            )
        ]
    )


def _nodes(program: Program) -> tuple[Table, Table]:
    """Node states, and one slot of free time per server."""
    states, first = [], 0
    for node in program.nodes:
        states.append(
            state.NodeState(
                component=node.component if node.row < 0 else node.row,
                servers=node.servers,
                servers_first=first,
                slots=node.slots,
                queue_limit=node.queue_limit,
                discipline=node.discipline,
                contention_factor=node.contention_factor,
                is_left=node.is_left,
            )
        )
        first += node.servers
    return rows_of(states or [state.NodeState()]), np.zeros(max(1, first), np.int64)


def rows_counted(program: Program) -> int:
    """Rows of component series: one per component, then one per node of those whose nodes count apart."""
    return len(program.components) + len(program.node_rows)


def _policies(program: Program) -> dict[str, Table]:
    """Configs of every policy as the program lists them; states for every caller instance."""
    tables = {}
    for policy in CALL_POLICIES:
        configs = program.policy_configs.get(policy.NAME, ())
        tables[f"{policy.NAME}_config"] = _rows(configs, policy.Config)
        tables[f"{policy.NAME}_state"] = np.repeat(rows_of([policy.State()]), max(1, program.instances))
    return tables


def _logs(program: Program) -> tuple[Table, Table]:
    """Log states, and room for the messages that wait: claimed when touched, shared evenly by logs without bound."""
    states, first = [], 0
    for log in program.logs:
        size = max(1, min(log.max_length, MESSAGES_MAX // len(program.logs)))
        states.append(state.LogState(ring_first=first, ring_size=size))
        first += size
    return rows_of(states or [state.LogState()]), np.zeros(max(1, first), np.int64)


def _laws(program: Program) -> Table:
    rows = [state.KeyLaw(size=x.size, exponent=x.exponent) for x in program.populations]
    return rows_of(rows or [state.KeyLaw()])


def _caches(program: Program) -> tuple[Table, int, bool]:
    """Cache states; how many entry rows they need; whether any finds its entries in sets."""
    states, first, sets_used = [], 0, False
    for number, cache in enumerate(program.caches):
        keys = program.populations[cache.population].size
        sets = 0 if cache.capacity >= keys else max(1, cache.capacity // WAYS)
        rows = keys if sets == 0 else sets * WAYS
        sets_used |= sets > 0
        nodes = next((g.size for g in program.groups if g.component == cache.component), 1)
        states.append(
            state.CacheState(
                component=cache.component,
                population=cache.population,
                first=first,
                rows=rows,
                sets=sets,
                stream=cache.stream,
                lease_list=2 * len(program.arrows) + number,
                nodes=nodes,
                is_ranged=cache.is_ranged,
                reads_per_s=cache.read_rate_per_s,
                writes_per_s=cache.write_rate_per_s,
            )
        )
        first += rows
    return rows_of(states or [state.CacheState()]), first, sets_used
