"""Flows: arrivals, messages, branches, and what happens when a task comes to its end."""

import numpy as np
from numba import njit

from tenfold.engine import caches, calls, dice, stats
from tenfold.engine.heap import push
from tenfold.engine.nodes import failed
from tenfold.engine.state import (
    ATTEMPT,
    BACKLOG,
    BRANCH,
    BRANCHES,
    EXTRA,
    FAILED,
    FAR_NS,
    GOOD,
    MESSAGE,
    MISSED,
    NONE,
    NOTHING,
    OFFERED,
    OVERLOAD,
    REFRESH,
    ROOT,
)
from tenfold.engine.tasks import FIRST_LIST, free, make_ready, spawn, take
from tenfold.policies.verbs import FAILURE, NEVER, SUCCESS


@njit(forceinline=True)
def next_arrival_ns(w, number, from_ns):
    """When a source fires next: an exponential amount of expected arrivals ahead, under the load's steps."""
    source = w.sources[number]
    left = dice.exponential(w.dice, source.stream)
    step = w.clock[0].load_step
    at_ns = float(from_ns)
    while True:
        rate_per_ns = source.rate_per_s * w.load[step].factor * 1e-9
        end_ns = float(w.load[step + 1].from_ns) if step + 1 < len(w.load) else float(FAR_NS)
        if rate_per_ns * (end_ns - at_ns) >= left:
            return np.int64(at_ns + left / rate_per_ns)
        if step + 1 >= len(w.load):
            return FAR_NS
        left -= rate_per_ns * (end_ns - at_ns)
        at_ns = end_ns
        step += 1


@njit
def arrive(w, number):
    """A request begins; its source fires again later."""
    clock = w.clock[0]
    source = w.sources[number]
    while clock.load_step + 1 < len(w.load) and w.load[clock.load_step + 1].from_ns <= clock.now_ns:
        clock.load_step += 1
    push(w.heap, clock, next_arrival_ns(w, number, clock.now_ns), FIRST_LIST + len(w.lists) + number)
    clock.requests += 1
    w.flow_series[source.flow, OFFERED, clock.bin] += 1
    return _begin(w, source.flow, source.entry, ROOT, number)


@njit
def _begin(w, flow, entry, kind, source):
    t = take(w, kind, flow, entry)
    task = w.tasks[t]
    task.source = source
    task.started_ns = w.clock[0].now_ns
    task.deadline_ns = NEVER
    task.arrow = NONE
    return t


@njit
def publish(w, t, op):
    """Put a message on a log: it is worked on at once when a consumer is free."""
    task = w.tasks[t]
    clock = w.clock[0]
    log = w.log_states[op.target]
    row = w.logs[op.target]
    if log.in_flight < row.consumers and row.source != NONE:
        log.in_flight += 1
        _deliver(w, op.target, clock.now_ns)
    elif log.waiting >= row.max_length:
        w.component_series[row.component, MISSED, clock.bin] += 1
        return failed(w, t, op, OVERLOAD)
    elif log.waiting >= log.ring_size:
        clock.full_log = op.target  # the run ends with the bin
    elif row.source != NONE:
        w.rings[log.ring_first + (log.first + log.waiting) % log.ring_size] = clock.now_ns
        log.waiting += 1
        stats.settle(w, row.component)
        w.levels[row.component].waiting += 1
    task.pc += 1
    return t


@njit
def _deliver(w, number, published_ns):
    """Start the log's flow for one message. Its time counts from the publish."""
    row = w.logs[number]
    source = w.sources[row.source]
    clock = w.clock[0]
    clock.requests += 1
    w.flow_series[source.flow, OFFERED, clock.bin] += 1
    message = _begin(w, source.flow, source.entry, MESSAGE, row.source)
    w.tasks[message].started_ns = published_ns
    make_ready(w, message, 0)


@njit
def _message_done(w, t):
    """A consumer is free: it takes the next message."""
    number = w.sources[w.tasks[t].source].log
    log = w.log_states[number]
    row = w.logs[number]
    if log.waiting == 0:
        log.in_flight -= 1
        return
    published_ns = w.rings[log.ring_first + log.first]
    log.waiting -= 1
    log.first = (log.first + 1) % log.ring_size if log.waiting > 0 else 0  # memory is touched as far as it is needed
    stats.settle(w, row.component)
    w.levels[row.component].waiting -= 1
    _deliver(w, number, published_ns)


@njit
def note_backlogs(w):
    """Write down how many messages wait at the end of the bin."""
    for number in range(len(w.logs)):
        component = w.logs[number].component
        if component >= 0 and w.clock[0].bin < w.clock[0].bin_count:
            w.component_series[component, BACKLOG, w.clock[0].bin] = w.log_states[number].waiting


@njit
def fork(w, t, op):
    """Start the branches; the task goes on when all have ended."""
    task = w.tasks[t]
    if task.woken:
        task.woken = 0
        task.wait = NOTHING
        if task.branch_failed:
            return failed(w, t, op, task.cause)
        task.pc += op.count + 1
        return t
    clock = w.clock[0]
    if clock.free_count < 2 * op.count:
        clock.room = 2 * op.count
        make_ready(w, t, 0)
        return NONE
    task.pending = op.count
    task.branch_failed = 0
    task.wait = BRANCHES
    pc = task.pc
    for number in range(op.count):
        child = spawn(w, t, BRANCH, w.ops[pc + 1 + number].jump)
        make_ready(w, child, 0)
    return NONE


@njit
def end(w, t, outcome):
    """The task has come to its end; whoever waits for it goes on."""
    task = w.tasks[t]
    kind = task.kind
    if kind in (ATTEMPT, EXTRA):
        return _end_attempt(w, t, outcome)
    if kind == BRANCH:
        return _end_branch(w, t, outcome)
    if kind == REFRESH:
        free(w, t)
        return NONE
    _count_end(w, t, outcome)
    if kind == MESSAGE:
        _message_done(w, t)
    free(w, t)
    return NONE


@njit
def _count_end(w, t, outcome):
    """A request or message has its result."""
    task = w.tasks[t]
    clock = w.clock[0]
    if outcome == SUCCESS:
        w.flow_series[task.flow, GOOD, clock.bin] += 1
        extra_ns = clock.client_latency_ns if task.kind == ROOT else 0
        stats.latency(w, task.flow, clock.now_ns - task.started_ns + extra_ns)
    else:
        w.flow_series[task.flow, FAILED + task.cause, clock.bin] += 1


@njit
def _end_attempt(w, t, outcome):
    task = w.tasks[t]
    parent = task.parent
    if parent == NONE:
        number = w.arrows[task.via].late_fill_cache
        if outcome == SUCCESS and number != NONE and task.loads == number:
            caches.fill(w, t, number)
        free(w, t)
        return NONE
    on = calls.child_ended(w, t, outcome, task.cause)
    free(w, t)
    return on


@njit
def _end_branch(w, t, outcome):
    task = w.tasks[t]
    above = w.tasks[task.parent]
    above.pending -= 1
    if outcome == FAILURE:
        above.branch_failed = 1
        above.cause = task.cause
    if above.pending == 0:
        make_ready(w, task.parent, 1)
    free(w, t)
    return NONE
