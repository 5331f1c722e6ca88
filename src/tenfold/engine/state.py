"""What the engine remembers while it runs, as dataclasses: NumPy row types are derived from them."""

from dataclasses import dataclass

from tenfold.engine.jit import Small

NONE = -1

# What a task waits for.
NOTHING, TIME, CHILD, SLOT, PERMIT, LOAD, BRANCHES, BACKOFF, TURN, DUE = range(10)

# What a task is.
ROOT, ATTEMPT, BRANCH, REFRESH, MESSAGE, EXTRA, HEDGER = range(7)

# Causes of failure, in the order of tenfold.results.run.CAUSES.
TIMEOUT, DEADLINE, REFUSED, OVERLOAD, THROTTLED, CIRCUIT_OPEN, RATE_LIMITED, LIMITED, BULKHEAD_FULL = range(9)
NO_ANSWER, ERROR = 9, 10
CAUSE_COUNT = 11

# Timers of a task: one per list it can stand in.
TIMER_ATTEMPT, TIMER_TOTAL, TIMER_LEASE = range(3)
TIMERS_PER_TASK = 3

# How a stretch of the loop ended.
FINISHED, NEEDS_ROOM, STOPPED, TOO_MANY = range(4)


@dataclass(slots=True)
class Clock:
    """One row: the time, the counters and the free list."""

    now_ns: int = 0
    sequence: int = 0
    events: int = 0
    heap_size: int = 0
    has_hole: int = 0  # the root of the heap has been taken and not yet replaced
    free_head: int = NONE
    free_count: int = 0
    room: int = 0  # free tasks there must be before the next task goes on
    ready_head: int = NONE
    ready_tail: int = NONE
    bin: int = 0
    bin_start_ns: int = 0
    bin_end_ns: int = 0
    bin_count: int = 0
    bin_ns: int = 0
    warmup_ns: int = 0
    end_ns: int = 0
    client_latency_ns: int = 0
    starts_warm: int = 0
    requests: int = 0
    load_step: int = 0
    fault: int = 0
    specials: int = 0  # ids below this in the heap are not tasks
    fault_count: int = 0
    source_count: int = 0
    full_log: int = NONE  # the log that has more messages waiting than memory was claimed for


@dataclass(slots=True)
class Task:
    """One line of execution: a client's request, one attempt of a call, a branch, a refresh, a message."""

    pc: Small = 0
    kind: Small = ROOT
    flow: Small = 0
    source: Small = 0
    parent: Small = NONE
    child: Small = NONE  # the call being waited for; when the attempt is hedged, the first of several
    arrow: Small = NONE  # of the call in progress
    via: Small = NONE  # an attempt: the arrow it came through
    wait: Small = NOTHING
    next: Small = (
        NONE  # neighbours in the one list it can stand in: a node's queue, a bulkhead's, a key's, the ready list
    )
    prev: Small = NONE
    where: Small = NONE  # that list's owner: a node, a policy state, a loading task
    woken: Small = 0  # why a waiter goes on: 1 a load succeeded, 2 a load failed, 3 it has got its slot or permit
    cause: Small = 0
    is_marked: Small = 0
    pending: Small = 0  # branches still running, or calls of a hedged attempt without an answer
    branch_failed: Small = 0
    sibling: Small = NONE  # one of the calls of a hedged attempt, or its hedger: the next of them
    key: int = 0
    loads: Small = NONE  # the cache it loads a key for
    token: int = 0
    load_from_ns: int = 0
    leads: Small = NONE  # row of the cache entry this task loads under a lease
    waiters_head: Small = NONE
    waiters_tail: Small = NONE
    started_ns: int = 0
    deadline_ns: int = 0
    node: Small = NONE
    epoch: Small = 0
    start_ns: int = 0  # when its server begins with it; when its call was first lost


@dataclass(slots=True)
class Timer:
    """A task's place in a timer list; lists are sorted because every list has one constant delay."""

    at_ns: int = 0
    next: Small = NONE
    prev: Small = NONE
    list: Small = NONE


@dataclass(slots=True)
class TimerList:
    """Timers with one delay, first to end first; at most one event in the heap stands for the whole list."""

    head: int = NONE
    tail: int = NONE
    is_armed: int = 0


@dataclass(slots=True)
class NodeState:
    """One server: what it is (copied from the program) and how it is."""

    component: int = 0  # whose series it counts in: a component's, or its own
    servers: int = 0
    servers_first: int = 0  # where its servers' free times stand
    slots: int = 0
    queue_limit: int = -1
    discipline: int = 0
    contention_factor: float = 0.0
    is_left: int = 0
    down_count: int = 0  # kills in force
    hidden_count: int = 0  # kills that callers have noticed
    epoch: int = 0  # counts its deaths
    slow_factor: float = 1.0
    in_use: int = 0
    waiting: int = 0
    head: int = NONE
    tail: int = NONE


@dataclass(slots=True)
class Level:
    """A component's slots held and callers waiting, integrated over the bin."""

    in_use: int = 0
    waiting: int = 0
    since_ns: int = 0


@dataclass(slots=True)
class Queue:
    """A first-in first-out list of tasks."""

    head: int = NONE
    tail: int = NONE


@dataclass(slots=True)
class LogState:
    """A log: messages being worked on, and the ring of those that wait (their publish times)."""

    in_flight: int = 0
    waiting: int = 0
    first: int = 0
    ring_first: int = 0
    ring_size: int = 1


@dataclass(slots=True)
class Turn:
    """Round robin's next node of a group."""

    next: int = 0


@dataclass(slots=True)
class ArrowCount:
    """What an arrow's policies did."""

    calls: int = 0
    attempts: int = 0
    retries: int = 0
    timeouts: int = 0
    rejected_by_breaker: int = 0
    rejected_by_bulkhead: int = 0
    budget_exhausted: int = 0
    deadlines: int = 0
    rejected_by_throttle: int = 0
    rejected_by_rate_limit: int = 0
    rejected_by_limit: int = 0
    hedges: int = 0
    hedges_won: int = 0


@dataclass(slots=True)
class KeyLaw:
    """Constants of one population's Zipf sampler (rejection-inversion)."""

    size: int = 1
    exponent: float = 0.0
    area_first: float = 0.0
    area_last: float = 0.0
    squeeze: float = 0.0


@dataclass(slots=True)
class CacheState:
    """Where a cache's entries stand, and how they are found: by key, or in sets of WAYS."""

    component: int = 0
    population: int = 0
    first: int = 0
    rows: int = 0
    sets: int = 0  # 0: entry of key k is row first + k
    stream: int = NONE
    lease_list: int = NONE
    nodes: int = 1
    is_ranged: int = 0
    reads_per_s: float = 0.0
    writes_per_s: float = 0.0


# Columns of World.flow_series[flow, column, bin].
OFFERED, TRIED, GOOD, FAILED = 0, 1, 2, 3  # FAILED + cause
P50 = FAILED + CAUSE_COUNT
P95 = P50 + 1
P99 = P50 + 2
FLOW_COLUMNS = P50 + 3

# Columns of World.component_series[component, column, bin].
CALLS, MISSED, BUSY_NS, HELD_NS, QUEUED_NS, LINE_NS, HITS, MISSES, LOADS, BACKLOG = range(10)
COMPONENT_COLUMNS = 10
# LINE_NS is time spent waiting for servers. In bins not yet closed it holds differences to the bin before: who waits
# over many bins is entered and taken out with two additions each.

# Columns of World.totals[flow]: after warm-up.
COUNT, SUM_NS, SQUARES, LARGEST_NS = range(4)
TOTAL_COLUMNS = 4

FAR_NS = 4_000_000_000_000_000_000
"""127 years: later than any run ends. Durations are cut here, so that sums of two fit into 64 bits."""

SHARES = (0.5, 0.95, 0.99, 0.999)
"""Percentiles of the whole run, columns of World.percentiles[flow]."""
