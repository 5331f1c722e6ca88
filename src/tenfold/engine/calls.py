"""Calls through policies: the engine's shell around the kernels, as the runtime's pipeline is the service's.

Order, outermost first: deadline, retry, circuit breaker, bulkhead, timeout. A refusal ends the call and is no outcome
of the dependency. Every attempt is a task of its own, which goes on when its caller has given up.
"""

from numba import njit

from tenfold.engine.dice import draw
from tenfold.engine.nodes import GAVE_UP, NODE_MASK, leave_queue
from tenfold.engine.state import ATTEMPT as ATTEMPT_TASK
from tenfold.engine.state import (
    BACKOFF,
    BULKHEAD_FULL,
    CHILD,
    CIRCUIT_OPEN,
    DEADLINE,
    NONE,
    NOTHING,
    PERMIT,
    ROOT,
    SLOT,
    TIMEOUT,
    TIMER_ATTEMPT,
    TIMER_TOTAL,
    TRIED,
)
from tenfold.engine.tasks import append, attempt_list, make_ready, sleep, spawn, start_timer, stop_timer, unlink
from tenfold.policies.call import bulkhead, circuit_breaker, deadline, retry, timeout
from tenfold.policies.call.call import BUDGET
from tenfold.policies.verbs import FAILURE, IGNORED, QUEUE, REJECT, RETRY, WAKE


@njit
def _state_of(w, t, arrow):
    """Which policy state this caller instance uses."""
    if arrow.caller_register < 0:
        return arrow.state_first
    return arrow.state_first + (w.registers[t, arrow.caller_register] & NODE_MASK) - arrow.caller_first


@njit
def call(w, t, op):
    """Begin a call through the arrow of the operation."""
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
    return attempt(w, t, op)


@njit
def attempt(w, t, op):
    """Ask the policies for one more attempt, and make it."""
    arrow = w.arrows[op.target]
    s = _state_of(w, t, arrow)
    now_ns = w.clock[0].now_ns
    record = w.calls[t]
    if arrow.deadline >= 0:
        answer, _ = deadline.acquire(w.deadline_config[arrow.deadline], w.deadline_state[s], record, now_ns, 0.0)
        if answer == REJECT:
            return over(w, t, op, DEADLINE)
    if arrow.retry >= 0:
        retry.acquire(w.retry_config[arrow.retry], w.retry_state[s], record, now_ns, 0.0)
    if arrow.circuit_breaker >= 0:
        config = w.circuit_breaker_config[arrow.circuit_breaker]
        answer, _ = circuit_breaker.acquire(config, w.circuit_breaker_state[s], record, now_ns, 0.0)
        if answer == REJECT:
            w.arrow_counts[op.target].rejected_by_breaker += 1
            return over(w, t, op, CIRCUIT_OPEN)
    if arrow.bulkhead >= 0:
        answer, _ = bulkhead.acquire(w.bulkhead_config[arrow.bulkhead], w.bulkhead_state[s], record, now_ns, 0.0)
        if answer == QUEUE:
            append(w, w.queues[s], t)
            w.tasks[t].wait = PERMIT
            w.tasks[t].where = s
            return NONE
        if answer == REJECT:
            w.arrow_counts[op.target].rejected_by_bulkhead += 1
            _tell_breaker(w, t, op, s, IGNORED)
            return over(w, t, op, BULKHEAD_FULL)
    return admitted(w, t, op)


@njit
def admitted(w, t, op):
    """All policies let the attempt pass: start it."""
    arrow = w.arrows[op.target]
    task = w.tasks[t]
    now_ns = w.clock[0].now_ns
    if now_ns >= w.calls[t].deadline_ns:
        return _too_late(w, t, op)
    if arrow.timeout >= 0:
        config = w.timeout_config[arrow.timeout]
        timeout.acquire(config, w.timeout_state[0], w.calls[t], now_ns, 0.0)
        start_timer(w, attempt_list(op.target), t, TIMER_ATTEMPT, w.calls[t].attempt_deadline_ns)
    w.arrow_counts[op.target].attempts += 1
    if task.kind == ROOT and op.count == 1:
        w.flow_series[task.flow, TRIED, w.clock[0].bin] += 1
    child = spawn(w, t, ATTEMPT_TASK, op.jump)
    w.tasks[child].deadline_ns = w.calls[t].deadline_ns
    w.tasks[child].via = op.target
    task.child = child
    task.wait = CHILD
    return child


@njit
def _too_late(w, t, op):
    """The call's time ran out while it waited for its permit."""
    s = _state_of(w, t, w.arrows[op.target])
    _tell_bulkhead(w, t, op, s, IGNORED)
    _tell_breaker(w, t, op, s, IGNORED)
    return over(w, t, op, DEADLINE)


@njit
def _tell_breaker(w, t, op, s, outcome):
    arrow = w.arrows[op.target]
    if arrow.circuit_breaker >= 0:
        config = w.circuit_breaker_config[arrow.circuit_breaker]
        state = w.circuit_breaker_state[s]
        before = state.phase
        circuit_breaker.record(config, state, w.calls[t], w.clock[0].now_ns, outcome, 0.0)
        if state.phase != before and state.phase == circuit_breaker.OPEN:
            w.arrow_counts[op.target].breaker_opened += 1


@njit
def _tell_bulkhead(w, t, op, s, outcome):
    arrow = w.arrows[op.target]
    if arrow.bulkhead >= 0:
        config = w.bulkhead_config[arrow.bulkhead]
        answer, _ = bulkhead.record(config, w.bulkhead_state[s], w.calls[t], w.clock[0].now_ns, outcome, 0.0)
        if answer == WAKE:
            line = w.queues[s]
            waiter = line.head
            unlink(w, line, waiter)
            make_ready(w, waiter, 3)


@njit
def attempt_over(w, t, op, outcome, cause):
    """An attempt has an outcome: tell the policies, inside out, and do as the retry says."""
    arrow = w.arrows[op.target]
    s = _state_of(w, t, arrow)
    task = w.tasks[t]
    task.child = NONE
    task.wait = NOTHING
    stop_timer(w, t, TIMER_ATTEMPT)
    _tell_bulkhead(w, t, op, s, outcome)
    _tell_breaker(w, t, op, s, outcome)
    if arrow.retry >= 0:
        state = w.retry_state[s]
        record = w.calls[t]
        answer, wait_ns = retry.record(
            w.retry_config[arrow.retry], state, record, w.clock[0].now_ns, outcome, draw(w.dice, arrow.stream)
        )
        if answer == RETRY:
            w.arrow_counts[op.target].retries += 1
            if wait_ns <= 0:
                return attempt(w, t, op)
            sleep(w, t, w.clock[0].now_ns + wait_ns, BACKOFF)
            return NONE
        if outcome == FAILURE and record.stop_reason == BUDGET:
            w.arrow_counts[op.target].budget_exhausted += 1
    return over(w, t, op, cause if outcome == FAILURE else NONE)


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


@njit
def child_ended(w, child, outcome, cause):
    """An attempt's task came to its end while its caller waits; the caller goes on."""
    t = w.tasks[child].parent
    if outcome == FAILURE and w.tasks[child].is_marked:
        w.calls[t].is_marked = 1
    return attempt_over(w, t, w.ops[w.tasks[t].pc], outcome, cause)


@njit
def _abandon(w, t):
    """The caller gives up on its attempt, which goes on without it, unless it still waits in a pool of the caller's."""
    child = w.tasks[t].child
    if child != NONE:
        task = w.tasks[child]
        task.parent = NONE
        if task.wait == SLOT and task.woken == 0 and w.nodes[task.where].is_left:
            leave_queue(w, child)
            make_ready(w, child, GAVE_UP)
    w.tasks[t].child = NONE


@njit
def timed_out(w, t):
    """The attempt's time is up."""
    op = w.ops[w.tasks[t].pc]
    w.arrow_counts[op.target].timeouts += 1
    _abandon(w, t)
    return attempt_over(w, t, op, FAILURE, TIMEOUT)


@njit
def deadline_passed(w, t):
    """The whole call's time is up, wherever it stands."""
    task = w.tasks[t]
    op = w.ops[task.pc]
    arrow = w.arrows[op.target]
    s = _state_of(w, t, arrow)
    if task.wait == PERMIT and task.woken:
        return NONE  # it has its permit and goes on in this instant: `admitted` sees that it is too late
    if task.wait == CHILD:
        _abandon(w, t)
        stop_timer(w, t, TIMER_ATTEMPT)
        _tell_bulkhead(w, t, op, s, FAILURE)
        _tell_breaker(w, t, op, s, FAILURE)
        if arrow.retry >= 0:
            # Its time is up, so retry says no; it marks the failure for those above when it is told to.
            config = w.retry_config[arrow.retry]
            retry.record(config, w.retry_state[s], w.calls[t], w.clock[0].now_ns, FAILURE, draw(w.dice, arrow.stream))
    elif task.wait == PERMIT:
        unlink(w, w.queues[s], t)
        bulkhead.leave(w.bulkhead_config[arrow.bulkhead], w.bulkhead_state[s], w.calls[t], w.clock[0].now_ns)
        _tell_breaker(w, t, op, s, IGNORED)
    return over(w, t, op, DEADLINE)
