"""Calls through policies: the engine's shell around the kernels, as the runtime's pipeline is the service's.

Order, outermost first: deadline, retry, the gates (`gates.py`), timeout, hedge. A refusal ends the call and is no
outcome of the dependency. Every call an attempt makes is a task of its own, which goes on when its caller has given up.
"""

import numpy as np
from numba import njit

from tenfold.engine.dice import draw
from tenfold.engine.gates import DEPTHS, EVERY_GATE, entrance, slots_of, tell
from tenfold.engine.nodes import GAVE_UP, NODE_MASK, leave_queue
from tenfold.engine.state import ATTEMPT as ATTEMPT_TASK
from tenfold.engine.state import (
    BACKOFF,
    CHILD,
    DEADLINE,
    DUE,
    EXTRA,
    HEDGER,
    NONE,
    NOTHING,
    PERMIT,
    ROOT,
    SLOT,
    TIMEOUT,
    TIMER_ATTEMPT,
    TIMER_TOTAL,
    TRIED,
    TURN,
)
from tenfold.engine.tasks import attempt_list, free, make_ready, sleep, spawn, start_timer, stop_timer, take, unlink
from tenfold.policies.call import bulkhead, deadline, hedge, retry, timeout
from tenfold.policies.call.call import BUDGET
from tenfold.policies.verbs import FAILURE, IGNORED, NEVER, PROCEED, REJECT, RETRY, SUCCESS

_FIRST, _BULKHEAD, _RATE_LIMIT = np.int64(0), DEPTHS["bulkhead"], DEPTHS["rate_limit"]

# As variables: Numba compiles a function once more for every literal it is given.
_FAILURE, _IGNORED, _NO_CAUSE, _DEADLINE, _TIMEOUT = map(np.int64, (FAILURE, IGNORED, NONE, DEADLINE, TIMEOUT))


@njit(forceinline=True)
def _state_of(w, t, arrow):
    """Which policy state this caller instance uses."""
    if arrow.caller_register < 0:
        return arrow.state_first
    return arrow.state_first + (w.registers[t, arrow.caller_register] & NODE_MASK) - arrow.caller_first


@njit
def over(w, t, op, cause):
    """The call has ended: with the answer (cause NONE), or with the last attempt's cause."""
    task = w.tasks[t]
    stop_timer(w, t, TIMER_TOTAL)
    task.arrow = NONE
    task.wait = NOTHING
    if cause == NONE:
        task.pc += 1
    else:
        if cause == DEADLINE and w.arrows[op.target].deadline >= 0:
            w.arrow_counts[op.target].deadlines += 1
        task.cause = cause
        task.is_marked = w.calls[t].is_marked
        task.pc = op.error
    return t


@njit(forceinline=True)
def _invoke(w, t, op, kind):
    """Make the attempt's call, or one more: a task of its own."""
    task = w.tasks[t]
    if task.kind == ROOT and op.count == 1:
        w.flow_series[task.flow, TRIED, w.clock[0].bin] += 1
    number = spawn(w, t, kind, op.jump)
    child = w.tasks[number]
    child.deadline_ns = w.calls[t].deadline_ns
    child.via = op.target
    task.child = number
    task.wait = CHILD
    return number


@njit
def _start(w, t, op, s, depth):
    """All gates let the attempt pass: make its call."""
    arrow = w.arrows[op.target]
    record = w.calls[t]
    now_ns = w.clock[0].now_ns
    if now_ns >= record.deadline_ns:  # it ran out while the attempt waited
        tell(w, t, op, s, _IGNORED, EVERY_GATE)
        return over(w, t, op, _DEADLINE)
    if arrow.timeout >= 0:
        timeout.acquire(w.timeout_config[arrow.timeout], w.timeout_state[0], record, now_ns, 0.0)
        start_timer(w, attempt_list(op.target), t, TIMER_ATTEMPT, record.attempt_deadline_ns)
    w.arrow_counts[op.target].attempts += 1
    number = _invoke(w, t, op, ATTEMPT_TASK)
    if arrow.hedge >= 0:
        hedge.acquire(w.hedge_config[arrow.hedge], w.hedge_state[s], record, now_ns, 0.0)
        w.tasks[t].pending = 1
        w.tasks[number].sibling = _hedger(w, t)
    return number


@njit
def _hedger(w, t):
    """A task that wakes when an extra call is due, or NONE. It need not be stopped: alone, it only ends."""
    at_ns = w.calls[t].hedge_at_ns
    if at_ns >= NEVER:
        return NONE
    task = w.tasks[t]
    number = take(w, HEDGER, task.flow, task.pc)
    w.tasks[number].parent = t
    w.tasks[number].sibling = NONE
    sleep(w, number, at_ns, DUE)
    return number


_enter = entrance(_start, over)


@njit(forceinline=True)
def _begin(w, t, op):
    """A call through the arrow of the operation begins."""
    task = w.tasks[t]
    record = w.calls[t]
    arrow = w.arrows[op.target]
    task.arrow = op.target
    w.arrow_counts[op.target].calls += 1
    record.started_ns = w.clock[0].now_ns
    record.deadline_ns = task.deadline_ns
    record.attempt_count = 0
    record.retry_after_ns = 0
    record.backoff_ns = 0
    record.is_marked = 0
    record.is_idempotent = arrow.is_idempotent
    if arrow.deadline >= 0:
        config = w.deadline_config[arrow.deadline]
        ends_ns = min(record.deadline_ns, record.started_ns + config.total_ns)
        start_timer(w, attempt_list(op.target) + 1, t, TIMER_TOTAL, ends_ns)


@njit(forceinline=True)
def _may_attempt(w, t, op, s):
    """Ask for one more attempt the policies that span them."""
    arrow = w.arrows[op.target]
    now_ns = w.clock[0].now_ns
    record = w.calls[t]
    if arrow.deadline >= 0:
        answer, _ = deadline.acquire(w.deadline_config[arrow.deadline], w.deadline_state[s], record, now_ns, 0.0)
        if answer == REJECT:
            return False
    if arrow.retry >= 0:
        retry.acquire(w.retry_config[arrow.retry], w.retry_state[s], record, now_ns, 0.0)
    return True


@njit
def _forget(w, t, number):
    """Take one of the calls under way out of the caller's list."""
    task = w.tasks[t]
    if task.child == number:
        task.child = w.tasks[number].sibling
        return
    before = task.child
    while w.tasks[before].sibling != number:
        before = w.tasks[before].sibling
    w.tasks[before].sibling = w.tasks[number].sibling


@njit
def _once_more(w, t, op):
    """An extra call, beside those under way."""
    w.arrow_counts[op.target].hedges += 1
    task = w.tasks[t]
    first = task.child
    number = _invoke(w, t, op, EXTRA)
    w.tasks[number].sibling = first
    task.pending += 1
    return number


@njit
def _hedge_due(w, h, op):
    """The time of an extra call: make it, if its attempt is still without an answer and the hedge says so."""
    t = np.int64(w.tasks[h].parent)
    if t == NONE:
        free(w, h)
        return NONE
    arrow = w.arrows[op.target]
    s = _state_of(w, t, arrow)
    record = w.calls[t]
    answer, _ = hedge.extra(w.hedge_config[arrow.hedge], w.hedge_state[s], record, w.clock[0].now_ns, 0.0)
    if answer == PROCEED and record.hedge_at_ns < NEVER:
        sleep(w, h, record.hedge_at_ns, DUE)
    else:
        _forget(w, t, h)
        free(w, h)
    return _once_more(w, t, op) if answer == PROCEED else NONE


@njit
def proceed(w, t, op):
    """Begin a call, or go on with the one the task waited in: after a pause, at its turn, or with its permit."""
    task = w.tasks[t]
    wait = task.wait
    if wait == DUE:
        return _hedge_due(w, t, op)
    task.wait = NOTHING
    arrow = w.arrows[op.target]
    s = _state_of(w, t, arrow)
    if wait == TURN:
        return _enter(w, t, op, s, _RATE_LIMIT)
    if wait == PERMIT:
        task.woken = 0
    else:
        if wait == NOTHING:
            _begin(w, t, op)
        if not _may_attempt(w, t, op, s):
            return over(w, t, op, _DEADLINE)
        if slots_of(arrow) >= 0:
            return _enter(w, t, op, s, _FIRST)
    return _start(w, t, op, s, EVERY_GATE)


@njit
def _abandon(w, t, op):
    """The caller gives up on the calls under way, which go on without it, unless they still wait in a pool of its."""
    number = w.tasks[t].child
    is_hedged = w.arrows[op.target].hedge >= 0
    while number != NONE:
        child = w.tasks[number]
        child.parent = NONE
        if child.wait == SLOT and child.woken == 0 and w.nodes[child.where].is_left:
            leave_queue(w, number)
            make_ready(w, number, GAVE_UP)
        number = np.int64(child.sibling) if is_hedged else np.int64(NONE)
    w.tasks[t].child = NONE


@njit
def _tell(w, t, op, s, outcome):
    """Tell the policies inside retry an attempt's outcome, innermost first."""
    arrow = w.arrows[op.target]
    stop_timer(w, t, TIMER_ATTEMPT)
    if arrow.hedge >= 0:
        config = w.hedge_config[arrow.hedge]
        hedge.record(config, w.hedge_state[s], w.calls[t], w.clock[0].now_ns, outcome, 0.0)
    if slots_of(arrow) >= 0:
        tell(w, t, op, s, outcome, EVERY_GATE)


@njit
def _attempt_over(w, t, op, outcome, cause):
    """An attempt has an outcome: tell the policies, inside out, and do as the retry says."""
    arrow = w.arrows[op.target]
    s = _state_of(w, t, arrow)
    w.tasks[t].child = NONE
    w.tasks[t].wait = NOTHING
    _tell(w, t, op, s, outcome)
    if arrow.retry >= 0:
        state = w.retry_state[s]
        record = w.calls[t]
        dice = draw(w.dice, arrow.stream) if outcome == FAILURE else 0.0
        answer, wait_ns = retry.record(w.retry_config[arrow.retry], state, record, w.clock[0].now_ns, outcome, dice)
        if answer == RETRY:
            w.arrow_counts[op.target].retries += 1
            if wait_ns <= 0:
                w.tasks[t].wait = BACKOFF
                return t
            sleep(w, t, w.clock[0].now_ns + wait_ns, BACKOFF)
            return NONE
        if outcome == FAILURE and record.stop_reason == BUDGET:
            w.arrow_counts[op.target].budget_exhausted += 1
    return over(w, t, op, cause if outcome == FAILURE else _NO_CAUSE)


@njit
def _decides(w, t, op, number, outcome):
    """Whether one of the calls of a hedged attempt ends it: by its success, or as the last to fail."""
    task = w.tasks[t]
    task.pending -= 1
    _forget(w, t, number)
    if outcome == FAILURE and task.pending > 0:
        return False
    _abandon(w, t, op)
    if outcome == SUCCESS and w.tasks[number].kind == EXTRA:
        w.arrow_counts[op.target].hedges_won += 1
    return True


@njit
def child_ended(w, number, outcome, cause):
    """A call has ended while its caller waits; the caller goes on, unless another call may still succeed."""
    child = w.tasks[number]
    t = np.int64(child.parent)
    task = w.tasks[t]
    if outcome == FAILURE and child.is_marked:
        w.calls[t].is_marked = 1
    op = w.ops[task.pc]
    if w.arrows[op.target].hedge >= 0 and not _decides(w, t, op, number, outcome):
        return NONE
    return _attempt_over(w, t, op, np.int64(outcome), np.int64(cause))


@njit
def timed_out(w, t):
    """The attempt's time is up."""
    op = w.ops[w.tasks[t].pc]
    w.arrow_counts[op.target].timeouts += 1
    _abandon(w, t, op)
    return _attempt_over(w, t, op, _FAILURE, _TIMEOUT)


@njit
def deadline_passed(w, t):
    """The whole call's time is up, wherever it stands."""
    task = w.tasks[t]
    op = w.ops[task.pc]
    arrow = w.arrows[op.target]
    s = _state_of(w, t, arrow)
    if task.wait == PERMIT and task.woken:
        return NONE  # it has its permit and goes on in this instant: `_start` sees that it is too late
    if task.wait == CHILD:
        _abandon(w, t, op)
        _tell(w, t, op, s, _FAILURE)
        if arrow.retry >= 0:
            # Its time is up, so retry says no; it marks the failure for those above when it is told to.
            config = w.retry_config[arrow.retry]
            retry.record(config, w.retry_state[s], w.calls[t], w.clock[0].now_ns, FAILURE, draw(w.dice, arrow.stream))
    elif task.wait == PERMIT:
        unlink(w, w.queues[s], t)
        bulkhead.leave(w.bulkhead_config[arrow.bulkhead], w.bulkhead_state[s], w.calls[t], w.clock[0].now_ns)
        tell(w, t, op, s, _IGNORED, _BULKHEAD)
    return over(w, t, op, _DEADLINE)
