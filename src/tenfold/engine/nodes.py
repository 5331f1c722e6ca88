"""Nodes: servers that work first come first served, and slots that are held while a task waits elsewhere.

A server's queue needs no events: with first come first served the end of the work is known on arrival (Kiefer and
Wolfowitz, 1955: the task takes the server that is free first). Slots are held for a time nobody knows, so tasks wait
for them in a list.
"""

import numpy as np
from numba import njit

from tenfold.engine import stats
from tenfold.engine.dice import draw, duration_ns, node_of_key
from tenfold.engine.heap import replace_least
from tenfold.engine.prefetch import prefetch
from tenfold.engine.state import (
    ATTEMPT,
    CALLS,
    EXTRA,
    FAR_NS,
    MISSED,
    NONE,
    OVERLOAD,
    REFUSED,
    SLOT,
    TIME,
    TIMEOUT,
)
from tenfold.engine.tasks import append, make_ready, sleep, unlink
from tenfold.program.program import (
    BY_CHANCE,
    BY_FIRST,
    BY_KEY,
    BY_RANGE,
    BY_REGISTER,
    DROP_EXPIRED,
    LEAST_IN_FLIGHT,
    LIFO,
    RANDOM,
    ROUND_ROBIN,
)

GOT, QUEUED, NO_SLOT, DEAD = range(4)
GAVE_UP = 5

EPOCH_BITS = 32
NODE_MASK = (1 << EPOCH_BITS) - 1


@njit
def failed(w, t, op, cause):
    """The task's operation failed: go to its landing pad."""
    task = w.tasks[t]
    task.cause = cause
    task.pc = op.error
    return t


@njit
def _crowd(w, number):
    """Tasks a node has in flight or waiting."""
    node = w.nodes[number]
    return node.in_use + node.waiting


@njit
def _turn(w, group):
    """Round robin among the nodes believed alive; among all when none is: nobody knows better."""
    g = w.groups[group]
    turn = w.turns[group]
    for _ in range(g.size):
        number = g.first + turn.next
        turn.next = turn.next + 1 if turn.next + 1 < g.size else 0
        if w.nodes[number].hidden_count == 0:
            return number
    number = g.first + turn.next
    turn.next = turn.next + 1 if turn.next + 1 < g.size else 0
    return number


@njit
def _random_node(w, group):
    """A random node believed alive (a few tries, then round robin)."""
    g = w.groups[group]
    for _ in range(8):
        number = g.first + np.int64(draw(w.dice, g.stream) * g.size)
        if w.nodes[number].hidden_count == 0:
            return number
    return _turn(w, group)


@njit
def _least(w, group):
    """The node believed alive (any, when none is) with the fewest tasks; ties in turn."""
    g = w.groups[group]
    best = _turn(w, group)
    is_any = w.nodes[best].hidden_count > 0
    for number in range(g.first, g.first + g.size):
        if (is_any or w.nodes[number].hidden_count == 0) and _crowd(w, number) < _crowd(w, best):
            best = number
    return best


@njit
def _balanced(w, group):
    g = w.groups[group]
    if g.balance == RANDOM:
        return _random_node(w, group)
    if g.balance == LEAST_IN_FLIGHT:
        return _least(w, group)
    one, other = _random_node(w, group), _random_node(w, group)
    return one if _crowd(w, one) <= _crowd(w, other) else other


@njit
def choose(w, t, op):
    """The node an operation goes to."""
    g = w.groups[op.target]
    if op.choice == BY_REGISTER:
        return w.registers[t, op.register] & NODE_MASK
    if op.choice == BY_KEY:
        return g.first + node_of_key(w.tasks[t].key, g.size)
    if op.choice == BY_RANGE:
        return g.first + w.tasks[t].key * g.size // op.count
    if op.choice == BY_FIRST or g.size == 1:
        return g.first
    if op.choice == BY_CHANCE:
        return g.first + np.int64(draw(w.dice, g.stream) * g.size)
    if g.balance == ROUND_ROBIN:
        return _turn(w, op.target)
    return _balanced(w, op.target)


@njit
def work(w, t, op):
    """Occupy a server; the task goes on when the answer is back."""
    clock = w.clock[0]
    number = choose(w, t, op)
    node = w.nodes[number]
    component = node.component
    if op.choice != BY_REGISTER:
        w.component_series[component, CALLS, clock.bin] += 1  # else the visit was counted when it took its slot
    if node.down_count > 0:
        w.component_series[component, MISSED, clock.bin] += 1
        return failed(w, t, op, REFUSED)
    scale = op.scale * node.slow_factor
    if node.contention_factor > 0.0 and node.in_use > node.servers:
        scale *= 1.0 + node.contention_factor * (node.in_use - node.servers)
    service_ns = duration_ns(w.timings[op.timing], w.samples, w.dice, op.stream, scale)
    start_ns = clock.now_ns
    if node.servers > 0 and w.free_ns[node.servers_first] > start_ns:
        start_ns = w.free_ns[node.servers_first]
        stats.in_line(w, component, start_ns)
    end_ns = min(start_ns + service_ns, FAR_NS)
    if node.servers > 0:
        replace_least(w.free_ns, node.servers_first, node.servers, end_ns)
        stats.busy(w, component, start_ns, end_ns)
    task = w.tasks[t]
    task.node = number
    task.epoch = node.epoch
    task.start_ns = start_ns
    sleep(w, t, end_ns + op.latency_ns, TIME)
    return NONE


@njit(forceinline=True)
def prefetch_entry(w, number, key):
    """A cache's entry of a key is about to be looked up."""
    cache = w.caches[number]
    if cache.sets == 0:
        prefetch(w.entries, cache.first + key)


@njit
def worked(w, t, op):
    """The answer is back, if the node lived to give it."""
    task = w.tasks[t]
    if w.nodes[task.node].epoch != task.epoch:
        w.component_series[w.nodes[task.node].component, MISSED, w.clock[0].bin] += 1
        return failed(w, t, op, REFUSED)
    if op.choice == BY_KEY and op.count > 0:
        prefetch_entry(w, op.count - 1, task.key)
    task.pc += 1
    return t


@njit
def acquire(w, t, op):
    """Take a slot of a node, or wait for one."""
    task = w.tasks[t]
    if task.woken:
        return _acquired(w, t, op)
    number = choose(w, t, op)
    node = w.nodes[number]
    if node.down_count > 0:
        return _turned_away(w, t, op, node, REFUSED)
    w.registers[t, op.register] = number | (node.epoch << EPOCH_BITS)
    if node.in_use < node.slots:
        stats.settle(w, node.component)
        node.in_use += 1
        w.levels[node.component].in_use += 1
        w.component_series[node.component, CALLS, w.clock[0].bin] += 1
        task.pc += 1
        return t
    if node.queue_limit >= 0 and node.waiting >= node.queue_limit:
        return _turned_away(w, t, op, node, OVERLOAD)
    return _queue_up(w, t, number)


@njit
def _turned_away(w, t, op, node, cause):
    w.component_series[node.component, CALLS, w.clock[0].bin] += 1
    w.component_series[node.component, MISSED, w.clock[0].bin] += 1
    return failed(w, t, op, cause)


@njit
def _queue_up(w, t, number):
    node = w.nodes[number]
    stats.settle(w, node.component)
    append(w, node, t)
    node.waiting += 1
    w.levels[node.component].waiting += 1
    task = w.tasks[t]
    task.wait = SLOT
    task.where = number
    return NONE


@njit
def _acquired(w, t, op):
    """A waiter goes on with its slot (3), or without: the node died (2), it waited too long (4), it gave up (5)."""
    task = w.tasks[t]
    woken = task.woken
    task.woken = 0
    if woken == GAVE_UP:
        return failed(w, t, op, TIMEOUT)  # it never got beyond the caller's own pool: no visit
    node = w.nodes[w.registers[t, op.register] & NODE_MASK]
    if woken == 3:
        w.component_series[node.component, CALLS, w.clock[0].bin] += 1
        task.pc += 1
        return t
    return _turned_away(w, t, op, node, REFUSED if woken == 2 else OVERLOAD)


@njit
def leave_queue(w, t):
    """Take a waiting task out of its node's queue."""
    task = w.tasks[t]
    node = w.nodes[task.where]
    stats.settle(w, node.component)
    unlink(w, node, t)
    node.waiting -= 1
    w.levels[node.component].waiting -= 1


@njit
def _is_expired(w, t):
    """Nobody waits for this task any more: its caller hung up, or its deadline has passed."""
    task = w.tasks[t]
    is_call = task.kind in (ATTEMPT, EXTRA)
    return task.deadline_ns <= w.clock[0].now_ns or (is_call and task.parent == NONE)


@njit
def _hand_over(w, number):
    """Give a free slot to the next waiter."""
    node = w.nodes[number]
    while node.waiting > 0:
        t = node.tail if node.discipline == LIFO else node.head
        leave_queue(w, t)
        if node.discipline == DROP_EXPIRED and _is_expired(w, t):
            make_ready(w, t, 4)
            continue
        node.in_use += 1
        w.levels[node.component].in_use += 1
        make_ready(w, t, 3)
        return


@njit
def release(w, t, op):
    """Give the slot back; if the node died meanwhile, its answer died with it."""
    held = w.registers[t, op.register]
    number = held & NODE_MASK
    node = w.nodes[number]
    task = w.tasks[t]
    if node.epoch != held >> EPOCH_BITS:
        if op.error == NONE:
            task.pc += 1
            return t
        return failed(w, t, op, REFUSED)
    stats.settle(w, node.component)
    node.in_use -= 1
    w.levels[node.component].in_use -= 1
    if node.waiting > 0:
        _hand_over(w, number)
    task.pc += 1
    return t


@njit
def kill(w, number):
    """The node dies: what it held and what waited for it is lost; its backlog too."""
    node = w.nodes[number]
    stats.settle(w, node.component)
    node.down_count += 1
    node.epoch += 1
    w.levels[node.component].in_use -= node.in_use
    node.in_use = 0
    while node.waiting > 0:
        t = node.head
        leave_queue(w, t)
        make_ready(w, t, 2)
    for server in range(node.servers_first, node.servers_first + node.servers):
        # The backlog of a server has no gaps: what it would have worked off from now on it does not.
        if w.free_ns[server] > w.clock[0].now_ns:
            stats.idle(w, node.component, w.clock[0].now_ns, w.free_ns[server])
            w.free_ns[server] = w.clock[0].now_ns
