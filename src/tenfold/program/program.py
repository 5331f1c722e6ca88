"""The program: a design and a scenario as flat tables of numbers. Plain Python; the engine turns rows into arrays.

A task executes operations one after another. Every operation that can fail names its landing pad (`error`), where the
slots taken so far are given back, as a compiler's exception tables do. A task of a flow starts at `Source.entry`; a
call through policies starts a child task at `Op.jump` for every attempt, because work that its caller has given up
still runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What an operation does. Operands in brackets are fields of Op.
JUMP = 0  # go to [jump]
WORK = 1  # occupy a server of group [target] (node by [choice]) for [timing] x [scale], answer after [latency_ns]
ACQUIRE = 2  # take a slot of a node of group [target] (chosen by [choice]) into register [register]; may wait
RELEASE = 3  # give the slot in register [register] back; fails when its node died meanwhile
CALL = 4  # call through arrow [target]: child tasks start at [jump]; success goes on, failure to [error]
RETURN = 5  # the task ends well: tell its parent
FAIL = 6  # the task ends badly: tell its parent why
DRAW_KEY = 7  # draw the task's key from population [target]; keep it in register [register] unless -1
LOOKUP = 8  # ask cache [target] for the key: a hit jumps to [jump], a miss goes on
STORE = 9  # write the key into cache [target]; [count] 1: only when present
LOADED = 10  # the miss branch ended well: wake those who wait for the key
LOAD_FAILED = 11  # the miss branch failed: wake them with the failure; stale to [jump], else to [error]
FLIP = 12  # with probability [chance] go to [jump]
COUNT = 13  # put [count] into register [register]
REPEAT = 14  # count register [register] down; not yet zero: go to [jump]
FORK = 15  # start [count] children at the [jump] of the operations that follow; go on when all have ended
PUBLISH = 16  # put a message on log [target]; fails when it is full
LOSE = 17  # the call gets lost with a probability while fault [target] lasts; sent again until [latency_ns] have passed
RAISE = 18  # fail with an error of the component's own
DELAY = 19  # let [latency_ns] pass
RECALL_KEY = 20  # the task's key is the one in register [register]

CODES = (
    *("JUMP", "WORK", "ACQUIRE", "RELEASE", "CALL", "RETURN", "FAIL", "DRAW_KEY", "LOOKUP", "STORE"),
    *("LOADED", "LOAD_FAILED", "FLIP", "COUNT", "REPEAT", "FORK", "PUBLISH", "LOSE", "RAISE", "DELAY"),
    "RECALL_KEY",
)
"""Names of the operations, by number."""

RESEND_NS = 1_000_000_000
"""A lost call is sent again after 1 s, then after pauses twice as long each: TCP's first timeout and its back-off (RFC
6298, 2.1 and 5.5)."""

NO_ANSWER_NS = 127_000_000_000
"""A lost call fails after 127 s: Linux gives up connecting after six retries (tcp_syn_retries), 1 + 2 + ... + 64 s."""

# How WORK and ACQUIRE choose a node of the group.
BY_BALANCE = 0  # the group's own rule among the nodes believed alive
BY_REGISTER = 1  # the node whose slot is in the register
BY_KEY = 2  # hash of the task's key
BY_FIRST = 3  # the primary
BY_RANGE = 4  # the task's key among [count] keys in order: equal ranges of neighbours
BY_CHANCE = 5  # any node, dead or alive: the hash of a key that nobody models

# Queue disciplines of slots and balancing rules, in the order of the kinds' choices.
FIFO, LIFO, DROP_EXPIRED = 0, 1, 2
ROUND_ROBIN, RANDOM, LEAST_IN_FLIGHT, TWO_CHOICES = 0, 1, 2, 3

# Shapes of Timing.
CONSTANT, EXPONENTIAL, LOGNORMAL, UNIFORM, PARETO, EMPIRICAL = range(6)
SHAPES = ("constant", "exponential", "lognormal", "uniform", "pareto", "empirical")

REGISTERS = 8
"""Registers of a task: as many slots and loops may be nested in one task."""

# Faults, as the engine applies them.
EXPIRE, KILL, REVIVE, SLOW, LOSS, REJOIN, LEAVE = range(7)


@dataclass(frozen=True, slots=True)
class Op:
    """One operation. Unused fields keep their defaults."""

    code: int
    target: int = -1
    jump: int = -1
    error: int = -1
    register: int = -1
    choice: int = BY_BALANCE
    timing: int = -1
    stream: int = -1
    count: int = 0  # of WORK: the cache that is looked up next, plus one
    latency_ns: int = 0
    chance: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class TimingRow:
    """A distribution over ns: constant (a), exponential (mean a), lognormal (mu a, sigma b), uniform (a, b), pareto
    (scale a, alpha b), empirical (samples[first : first + size])."""

    shape: int
    a: float = 0.0
    b: float = 0.0
    first: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """One server of a component: `servers` that work (0: no limit) and `slots` that are held (0: none)."""

    component: int
    servers: int = 0
    slots: int = 0
    queue_limit: int = -1  # callers that may wait for a slot; -1: no limit
    discipline: int = FIFO
    contention_factor: float = 0.0
    is_left: int = 0  # callers that give up leave its queue: a pool on their own side, not a queue on the server's
    row: int = -1  # whose series it counts in; -1: its component's own


@dataclass(frozen=True, slots=True)
class Group:
    """The nodes of one component."""

    component: int
    first: int
    size: int
    balance: int = ROUND_ROBIN
    stream: int = -1


@dataclass(frozen=True, slots=True)
class ArrowRow:
    """A policied arrow: which slot of each policy's table it uses; -1: not there.

    Every caller instance has its own policy state, as every process has in production: states stand at
    `state_first + instance`, `instances` of them. `caller_register` says which register of the calling task holds the
    caller's node (-1: one shared instance), `caller_first` the id of the caller's first node.
    """

    deadline: int = -1
    retry: int = -1
    throttle: int = -1
    circuit_breaker: int = -1
    rate_limit: int = -1
    adaptive_limit: int = -1
    bulkhead: int = -1
    timeout: int = -1
    hedge: int = -1
    state_first: int = 0
    instances: int = 1
    caller_register: int = -1
    caller_first: int = 0
    is_idempotent: int = 1
    late_fill_cache: int = -1
    stream: int = -1


@dataclass(frozen=True, slots=True)
class Population:
    """Keys 0..size-1, key i drawn with probability proportional to (i+1)^-exponent."""

    size: int
    exponent: float


@dataclass(frozen=True, slots=True)
class CacheRow:
    """A cache: its freshness policy's config stands at the same index of `Program.cache_configs`."""

    component: int
    population: int
    capacity: int  # entries that fit into its memory
    read_rate_per_s: float  # lookups per s at load 1, for the warm start
    write_rate_per_s: float = 0.0  # writes that do not follow a miss
    stream: int = -1
    is_ranged: int = 0  # keys lie on its nodes in equal ranges, not by hash


@dataclass(frozen=True, slots=True)
class LogRow:
    """A log and the flow its messages start (-1: none)."""

    component: int
    source: int
    consumers: int  # messages worked on at once
    max_length: int


@dataclass(frozen=True, slots=True)
class Source:
    """What starts a flow: arrivals at `rate_per_s` x the load (Poisson), or messages of a log."""

    flow: int
    entry: int  # operation of its tasks
    rate_per_s: float = 0.0
    log: int = -1
    stream: int = -1


@dataclass(frozen=True, slots=True)
class LoadStep:
    """From `from_ns` on, the load is `factor` times the rate of the sources."""

    from_ns: int
    factor: float


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One thing that happens at `at_ns`: EXPIRE a cache; KILL, REVIVE, SLOW, LEAVE, REJOIN nodes; LOSS on a switch."""

    at_ns: int
    action: int
    target: int  # cache, first node, or loss switch
    size: int = 1  # nodes
    value: float = 0.0  # factor or share


@dataclass(frozen=True, slots=True)
class Program:
    """Everything the engine needs for one run."""

    ops: tuple[Op, ...]
    timings: tuple[TimingRow, ...]
    samples: tuple[float, ...]
    nodes: tuple[Node, ...]
    groups: tuple[Group, ...]
    arrows: tuple[ArrowRow, ...]
    policy_configs: Mapping[str, tuple[Any, ...]]  # policy name -> configs, indexed by ArrowRow's fields
    instances: int  # policy states needed of each kind
    populations: tuple[Population, ...]
    caches: tuple[CacheRow, ...]
    cache_configs: tuple[Any, ...]
    logs: tuple[LogRow, ...]
    sources: tuple[Source, ...]
    load: tuple[LoadStep, ...]
    faults: tuple[FaultRow, ...]
    switches: int
    stream_names: tuple[str, ...]  # a random stream's name: designs that share it see the same numbers
    flows: tuple[str, ...]
    components: tuple[str, ...]
    arrow_names: tuple[str, ...]
    lasts_ns: int
    bin_ns: int
    warmup_ns: int
    client_latency_ns: int
    starts_warm: bool
    load_factor: float
    title: str = ""
    design_path: str = ""
    design: str = ""
    scenario: str = ""
    triggers: tuple[tuple[str, int, int], ...] = ()
    resources: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # component -> names of (servers, slots)
    node_rows: tuple[int, ...] = ()  # components of the series after those of all components: a node's each
