"""The loop: take the first event, let its task run until it waits, again. One compiled function, cached on disk.

Numba's disk cache does not see edits in callees of other files, so the entry point closes over the fingerprint of all
it is made of: closure contents are part of its key.
"""

from numba import njit, typeof

from tenfold.engine import caches, calls, dice, faults, flows, nodes, stats
from tenfold.engine.arena import Arena, declared_text
from tenfold.engine.dice import draw
from tenfold.engine.heap import pop, push
from tenfold.engine.jit import compiled_fingerprint
from tenfold.engine.nodes import failed
from tenfold.engine.state import (
    ERROR,
    FINISHED,
    NEEDS_ROOM,
    NO_ANSWER,
    NONE,
    NOTHING,
    STOPPED,
    TIME,
    TIMER_ATTEMPT,
    TIMER_LEASE,
    TIMERS_PER_TASK,
    TOO_MANY,
)
from tenfold.engine.tasks import FIRST_LIST, free, make_ready, next_ready, sleep, stop_timer
from tenfold.policies.verbs import FAILURE, SUCCESS
from tenfold.program import program as p

BIN_ID = 0
ROOM = 256
"""Free tasks there must be before a task goes on: none starts more, except a wide fork, which asks for its own."""


@njit
def _lose(w, t, op):
    """The call gets lost while its switch says so: TCP sends it again until it gives up."""
    task = w.tasks[t]
    if task.wait == TIME:
        task.wait = NOTHING
        return _send_again(w, t, op)
    share = w.switches[op.target]
    if share <= 0.0 or draw(w.dice, op.stream) >= share:
        task.pc += 1
        return t
    task.start_ns = w.clock[0].now_ns
    sleep(w, t, task.start_ns + p.RESEND_NS, TIME)
    return NONE


@njit
def _send_again(w, t, op):
    """What was lost gets through when the fault is over; each pause is twice as long as the one before."""
    task = w.tasks[t]
    if op.count == 1 and task.parent == NONE:
        free(w, t)  # its caller has hung up
        return NONE
    if w.switches[op.target] <= 0.0:
        task.pc += 1
        return t
    passed_ns = w.clock[0].now_ns - task.start_ns
    if passed_ns >= op.latency_ns:
        return failed(w, t, op, NO_ANSWER)
    sleep(w, t, task.start_ns + min(2 * passed_ns + p.RESEND_NS, op.latency_ns), TIME)
    return NONE


@njit
def _delay(w, t, op):
    """Network time passes."""
    task = w.tasks[t]
    if task.wait == TIME:
        task.wait = NOTHING
        task.pc += 1
        return t
    sleep(w, t, w.clock[0].now_ns + op.latency_ns, TIME)
    return NONE


@njit(forceinline=True)
def _step(w, t, op):
    """Do one operation; the task to go on with, or NONE."""
    task = w.tasks[t]
    code = op.code
    if code == p.WORK:
        if task.wait == TIME:
            task.wait = NOTHING
            return nodes.worked(w, t, op)
        return nodes.work(w, t, op)
    if code == p.CALL:
        return calls.proceed(w, t, op)
    if code == p.ACQUIRE:
        task.wait = NOTHING
        return nodes.acquire(w, t, op)
    if code == p.RELEASE:
        return nodes.release(w, t, op)
    if code == p.LOOKUP:
        task.wait = NOTHING
        return caches.lookup(w, t, op)
    if code == p.RETURN:
        return flows.end(w, t, SUCCESS)
    return _rarer_step(w, t, op)


@njit
def _rarer_step(w, t, op):
    task = w.tasks[t]
    code = op.code
    if code == p.DRAW_KEY:
        task.key = dice.key(w.laws[op.target], w.dice, op.stream)
        if op.register >= 0:
            w.registers[t, op.register] = task.key
    elif code == p.STORE:
        return caches.store(w, t, op)
    elif code == p.LOADED:
        return caches.loaded(w, t, op)
    elif code == p.LOAD_FAILED:
        return caches.load_failed(w, t, op)
    elif code == p.FAIL:
        return flows.end(w, t, FAILURE)
    elif code == p.FORK:
        return flows.fork(w, t, op)
    elif code == p.PUBLISH:
        return flows.publish(w, t, op)
    elif code == p.LOSE:
        return _lose(w, t, op)
    elif code == p.RAISE:
        return failed(w, t, op, ERROR)
    elif code == p.DELAY:
        return _delay(w, t, op)
    else:
        return _jumps(w, t, op)
    task.pc += 1
    return t


@njit
def _jumps(w, t, op):
    task = w.tasks[t]
    code = op.code
    if code == p.JUMP:
        task.pc = op.jump
    elif code == p.FLIP:
        task.pc = op.jump if draw(w.dice, op.stream) < op.chance else task.pc + 1
    elif code == p.RECALL_KEY:
        task.key = w.registers[t, op.register]
        task.pc += 1
    elif code == p.COUNT:
        w.registers[t, op.register] = op.count
        task.pc += 1
    elif code == p.REPEAT:
        w.registers[t, op.register] -= 1
        task.pc = op.jump if w.registers[t, op.register] > 0 else task.pc + 1
    return t


@njit
def _ring(w, number):
    """The first timers of a list are due. It stays armed meanwhile: timers started now must not arm it for later.

    Each may start an attempt; when room runs short the rest waits for the loop to make some, still in this instant.
    """
    clock = w.clock[0]
    line = w.lists[number]
    while line.head != NONE and w.timers[line.head].at_ns <= clock.now_ns and clock.free_count >= ROOM:
        i = line.head
        _due(w, i // TIMERS_PER_TASK, i % TIMERS_PER_TASK)
    line.is_armed = int(line.head != NONE)
    if line.is_armed:
        push(w.heap, clock, max(clock.now_ns, w.timers[line.head].at_ns), FIRST_LIST + number)


@njit
def _due(w, t, which):
    stop_timer(w, t, which)
    if which == TIMER_LEASE:
        caches.stop_leading(w, t, 5)
        return
    on = calls.timed_out(w, t) if which == TIMER_ATTEMPT else calls.deadline_passed(w, t)
    if on != NONE:
        make_ready(w, on, 0)


@njit
def _end_bin(w):
    """Close the bin, report progress, and say whether to go on."""
    clock = w.clock[0]
    flows.note_backlogs(w)
    stats.close_bin(w)
    w.progress[0] = clock.now_ns
    w.progress[1] = clock.requests
    w.progress[2] = clock.events
    if clock.full_log != NONE:
        return TOO_MANY
    if clock.now_ns >= clock.end_ns:
        return FINISHED
    push(w.heap, clock, min(clock.bin_end_ns, clock.end_ns), BIN_ID)
    return STOPPED if w.stop[0] else NONE


@njit(forceinline=True)
def _event(w, identity):
    """What the event stands for; the task that goes on, or NONE."""
    clock = w.clock[0]
    if identity >= clock.specials:
        return identity - clock.specials
    if identity >= FIRST_LIST + len(w.lists):
        return flows.arrive(w, identity - FIRST_LIST - len(w.lists))
    if identity >= FIRST_LIST:
        _ring(w, identity - FIRST_LIST)
    else:
        faults.strike(w)
    return NONE


@njit
def _schedule(w):
    """Constants of the key laws, warm caches, and the first events: arrivals, fault, bin."""
    clock = w.clock[0]
    for number in range(len(w.laws)):
        dice.prepare_law(w.laws[number])
    if clock.starts_warm:
        for number in range(len(w.caches)):
            caches.warm_up(w, number)
    for number in range(clock.source_count):
        if w.sources[number].rate_per_s > 0.0:
            push(w.heap, clock, flows.next_arrival_ns(w, number, 0), FIRST_LIST + len(w.lists) + number)
    faults.schedule_next(w)
    push(w.heap, clock, min(clock.bin_end_ns, clock.end_ns), BIN_ID)


def _build(fingerprint):
    """The compiled entry points. They close over the fingerprint, or edits elsewhere would go unseen."""

    @njit(cache=True, nogil=True)
    def begin(w):
        """Before the first event."""
        _schedule(w)
        return fingerprint

    @njit(cache=True, nogil=True)
    def advance(w):
        """Run until the end, until told to stop, or until tasks need room; the reason."""
        clock = w.clock[0]
        while True:
            if clock.free_count < clock.room:
                return NEEDS_ROOM
            clock.room = ROOM
            t = next_ready(w)
            if t == NONE:
                at_ns, identity = pop(w.heap, clock)
                clock.now_ns = at_ns
                clock.events += 1
                if identity == BIN_ID:
                    why = _end_bin(w)
                    if why != NONE:
                        return why
                    continue
                t = _event(w, identity)
            while t != NONE:
                t = _step(w, t, w.ops[w.tasks[t].pc])
        return fingerprint

    @njit(cache=True, nogil=True)
    def finish(w):
        """After the last event."""
        stats.summarise(w)
        return fingerprint

    return begin, advance, finish


begin, advance, finish = _build(compiled_fingerprint(declared_text()))


def prepare(world: Arena) -> None:
    """Compile the entry points, or load them from the disk cache."""
    signature = (typeof(world),)
    for entry in (begin, advance, finish):
        entry.compile(signature)
