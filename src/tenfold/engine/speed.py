"""What changes for work that is under way or in line when its servers become slower or faster, or die.

The end of every visit is known from its arrival on, so a new speed moves ends that stand in the event list. With first
come first served all that lies ahead of a node stretches by one factor: what was planned at `now + x` comes at
`now + factor x`, for the servers' free times, the starts and the ends alike. Nothing changes its place: this is exact.
It costs one pass over the event list for each change of speed, and nothing for any visit.
"""

import numpy as np
from numba import njit

from tenfold.engine import stats
from tenfold.engine.heap import ID_MASK, restore
from tenfold.engine.state import FAR_NS, NONE, TIME
from tenfold.program.program import WORK


@njit
def _moved(now_ns, planned_ns, factor):
    """When something planned for later comes, with so many times the time in between."""
    return now_ns + np.int64(min((planned_ns - now_ns) * factor, float(FAR_NS - now_ns)))


@njit
def _worker_at(w, i, first, size):
    """The task whose work at one of these nodes ends with event `i` of the heap, or NONE."""
    t = (w.heap[i, 1] & ID_MASK) - w.clock[0].specials
    if t < 0 or w.tasks[t].wait != TIME or w.ops[w.tasks[t].pc].code != WORK:
        return NONE
    number = w.tasks[t].node
    if number < first or number >= first + size or w.nodes[number].epoch != w.tasks[t].epoch:
        return NONE
    return t


@njit
def change(w, first, size, slow_factor):
    """From now on the work at these nodes takes `slow_factor` times its usual time, also what is left of it."""
    clock = w.clock[0]
    for i in range(clock.has_hole, clock.heap_size):
        t = _worker_at(w, i, first, size)
        if t != NONE:
            _retime(w, i, t, slow_factor)
    restore(w.heap, clock)
    for number in range(first, first + size):
        _stretch(w, number, slow_factor)


@njit
def _retime(w, i, t, slow_factor):
    """Move the start and the end of a task's work, unless they have been; the way back takes as long as before."""
    now_ns = w.clock[0].now_ns
    task = w.tasks[t]
    node = w.nodes[task.node]
    factor = slow_factor / node.slow_factor
    back_ns = w.ops[task.pc].latency_ns
    end_ns = w.heap[i, 0] - back_ns
    if end_ns > now_ns:
        w.heap[i, 0] = _moved(now_ns, end_ns, factor) + back_ns
    if task.start_ns > now_ns:
        planned_ns = task.start_ns
        task.start_ns = _moved(now_ns, planned_ns, factor)
        stats.leaves_line(w, node.component, planned_ns, task.start_ns)


@njit
def _stretch(w, number, slow_factor):
    """Move the times at which a node's servers are free. Their backlogs have no gaps: busy time moves along."""
    now_ns = w.clock[0].now_ns
    node = w.nodes[number]
    for server in range(node.servers_first, node.servers_first + node.servers):
        planned_ns = w.free_ns[server]
        if planned_ns > now_ns:
            w.free_ns[server] = _moved(now_ns, planned_ns, slow_factor / node.slow_factor)
            stats.idle(w, node.component, now_ns, planned_ns)
            stats.busy(w, node.component, now_ns, w.free_ns[server])
    node.slow_factor = slow_factor


@njit
def clear_lines(w, first, size):
    """These nodes are about to die: nobody waits for their servers any more."""
    clock = w.clock[0]
    for i in range(clock.has_hole, clock.heap_size):
        t = _worker_at(w, i, first, size)
        if t != NONE and w.tasks[t].start_ns > clock.now_ns:
            stats.leaves_line(w, w.nodes[w.tasks[t].node].component, w.tasks[t].start_ns, clock.now_ns)
