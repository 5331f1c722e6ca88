"""Tasks: taking and freeing rows, waiting lists, the ready list, timer lists."""

from numba import njit

from tenfold.engine.heap import ID_MASK, push
from tenfold.engine.prefetch import prefetch
from tenfold.engine.state import (
    NONE,
    NOTHING,
    TIMER_ATTEMPT,
    TIMERS_PER_TASK,
)

FIRST_LIST = 3
"""Ids in the heap: 0 the bin's end, 1 the next fault, 2 spare, then timer lists, then sources, then tasks."""


@njit
def take(w, kind, flow, pc):
    """A fresh task. The loop makes sure that there is room before every event."""
    clock = w.clock[0]
    t = clock.free_head
    task = w.tasks[t]
    clock.free_head = task.next
    clock.free_count -= 1
    task.pc = pc
    task.kind = kind
    task.flow = flow
    task.parent = NONE
    task.child = NONE
    task.wait = NOTHING
    task.next = NONE
    task.woken = 0
    task.is_marked = 0
    task.key = 0
    task.leads = NONE
    task.loads = NONE
    task.waiters_head = NONE
    task.waiters_tail = NONE
    return t


@njit
def spawn(w, parent, kind, pc):
    """A task that works for `parent`: it knows the parent's key, lease, deadline and registers."""
    above = w.tasks[parent]
    t = take(w, kind, above.flow, pc)
    task = w.tasks[t]
    task.parent = parent
    task.key = above.key
    task.loads = above.loads
    task.token = above.token
    task.load_from_ns = above.load_from_ns
    task.started_ns = above.started_ns
    task.deadline_ns = above.deadline_ns
    for number in range(w.registers.shape[1]):
        w.registers[t, number] = w.registers[parent, number]
    return t


@njit
def free(w, t):
    """Give the row back. The task must stand in no list."""
    clock = w.clock[0]
    w.tasks[t].next = clock.free_head
    clock.free_head = t
    clock.free_count += 1


@njit(forceinline=True)
def sleep(w, t, until_ns, wait):
    """The task goes on at `until_ns`."""
    clock = w.clock[0]
    w.tasks[t].wait = wait
    push(w.heap, clock, until_ns, clock.specials + t)
    prefetch(w.tasks, (w.heap[0, 1] & ID_MASK) - clock.specials)  # most likely the next to go on


@njit
def make_ready(w, t, woken):
    """The task goes on in this very instant, after those that are ready already."""
    clock = w.clock[0]
    task = w.tasks[t]
    task.woken = woken
    task.next = NONE
    if clock.ready_tail == NONE:
        clock.ready_head = t
    else:
        w.tasks[clock.ready_tail].next = t
    clock.ready_tail = t


@njit(forceinline=True)
def next_ready(w):
    """Take the first ready task, or NONE."""
    clock = w.clock[0]
    t = clock.ready_head
    if t != NONE:
        clock.ready_head = w.tasks[t].next
        if clock.ready_head == NONE:
            clock.ready_tail = NONE
        w.tasks[t].next = NONE
    return t


@njit
def append(w, line, t):
    """Put a task at the end of a line (anything with head and tail)."""
    task = w.tasks[t]
    task.next = NONE
    task.prev = line.tail
    if line.tail == NONE:
        line.head = t
    else:
        w.tasks[line.tail].next = t
    line.tail = t


@njit
def unlink(w, line, t):
    """Take a task out of a line, wherever it stands."""
    task = w.tasks[t]
    if task.prev == NONE:
        line.head = task.next
    else:
        w.tasks[task.prev].next = task.next
    if task.next == NONE:
        line.tail = task.prev
    else:
        w.tasks[task.next].prev = task.prev
    task.next = NONE
    task.prev = NONE


@njit
def start_timer(w, number, t, which, at_ns):
    """Stand in timer list `number` until `at_ns`. Mostly the list's last; earlier when a deadline was handed down."""
    i = t * TIMERS_PER_TASK + which
    timer = w.timers[i]
    line = w.lists[number]
    timer.at_ns = at_ns
    timer.list = number
    before = line.tail
    while before != NONE and w.timers[before].at_ns > at_ns:
        before = w.timers[before].prev
    after = line.head if before == NONE else w.timers[before].next
    timer.prev = before
    timer.next = after
    if before == NONE:
        line.head = i
    else:
        w.timers[before].next = i
    if after == NONE:
        line.tail = i
    else:
        w.timers[after].prev = i
    if line.is_armed and before == NONE and after != NONE:
        push(w.heap, w.clock[0], at_ns, FIRST_LIST + number)
    if not line.is_armed:
        line.is_armed = 1
        push(w.heap, w.clock[0], at_ns, FIRST_LIST + number)


@njit
def stop_timer(w, t, which):
    """Leave the timer list, if the task stands in one."""
    timer = w.timers[t * TIMERS_PER_TASK + which]
    if timer.list == NONE:
        return
    line = w.lists[timer.list]
    if timer.prev == NONE:
        line.head = timer.next
    else:
        w.timers[timer.prev].next = timer.next
    if timer.next == NONE:
        line.tail = timer.prev
    else:
        w.timers[timer.next].prev = timer.prev
    timer.list = NONE


@njit
def attempt_list(arrow):
    """The timer list of an arrow's attempts; the one of its whole calls is the next."""
    return 2 * arrow + TIMER_ATTEMPT
