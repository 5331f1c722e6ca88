"""The design file as types: what a whole system is, after loading and before any verb looks at it.

Numbers an engineer guesses (users, rates, sizes, service times) are `Range`s: sizing answers low, likely and high.
Numbers an engineer sets (pool sizes, TTLs, policy settings) are plain. Durations are int nanoseconds, sizes bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenfold.design.kind import Kind
    from tenfold.runtime.cache.cache import Cache
    from tenfold.runtime.cache.store import Store
    from tenfold.runtime.pipeline import Pipeline
    from tenfold.runtime.threads import ThreadPipeline

Path = tuple[str | int, ...]
"""Where a value stands in the file: ("components", "api", "replicas")."""

CLIENT = "client"
"""The reserved component every flow without a trigger starts at."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in the text; lines and columns are 1-based, ends exclusive."""

    line: int
    column: int
    line_end: int
    column_end: int


@dataclass(frozen=True, slots=True)
class Source:
    """The text of the file and the place of every key and value in it."""

    path: str
    text: str
    values: Mapping[Path, Place]
    keys: Mapping[Path, Place]

    def where(self, path: Path) -> str:
        """`design.yaml:23` for a value; of the nearest value around it when the file does not state it."""
        while path and path not in self.values:
            path = path[:-1]
        return f"{self.path}:{self.values[path].line}" if path in self.values else self.path

    def line_of(self, path: Path) -> int:
        """The 1-based line of a value, or 0 when the file does not state it."""
        return self.values[path].line if path in self.values else 0


@dataclass(frozen=True, slots=True)
class Range:
    """A guessed number: low <= likely <= high. A plain number has all three equal."""

    low: float
    likely: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> "Range":
        """A number without doubt."""
        return cls(value, value, value)


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happens: `value` events per `period_ns`, for each user when `is_per_user`."""

    value: Range
    period_ns: int
    is_per_user: bool


@dataclass(frozen=True, slots=True)
class Count:
    """How many items a data set has: a number, one per user, or a number that grows (`1/user/day`)."""

    value: Range
    is_per_user: bool = False
    period_ns: int = 0  # 0: a standing number; otherwise items per period, kept for `DataSet.keep_ns`


@dataclass(frozen=True, slots=True)
class Popularity:
    """How requests choose among the items: uniform, or Zipf with P(i) proportional to i^-exponent."""

    exponent: float = 0.0  # 0 is uniform


@dataclass(frozen=True, slots=True)
class DataSet:
    """What is stored: one item's size, how many, how long, how many copies, and what indexes add."""

    name: str
    size_bytes: Range
    count: Count
    keep_ns: Range | None = None
    copies: int = 1
    index_ratio: Range = Range(0.0, 0.0, 0.0)
    backups: int = 0  # full backup copies kept besides
    popularity: Popularity = Popularity()
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the system must carry."""

    users: Range | None = None
    peak_factor: Range = Range(2.0, 2.0, 2.0)  # busiest second / average second
    headroom_ratio: float = 0.3
    consistency: str = "eventual"
    data: Mapping[str, DataSet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a step takes: a distribution over nanoseconds.

    shape and params: constant (), exponential (), lognormal (mu, sigma of ln ns), uniform (low_ns, high_ns),
    pareto (scale_ns, alpha), empirical (samples in ns, sorted). `mean_ns` is always the mean.
    """

    shape: str
    mean_ns: Range
    params: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """One way of a `choose` (with its share) or of a `parallel` (weight 1)."""

    weight: float
    steps: tuple["Step", ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a flow: exactly one verb towards one component, or a block (`parallel`, `choose`).

    `through` and `run` open a scope: the steps after them happen inside it, and the component waits for them, unless
    the step lists its own `steps`, which closes the scope after those.
    """

    verb: str  # through run get set query insert call publish | parallel choose
    target: str = ""  # the component; "" for blocks
    cpu: Timing | None = None
    takes: Timing | None = None
    times: Range = Range(1.0, 1.0, 1.0)
    hit_ratio: Range | None = None
    size_bytes: Range | None = None  # payload on the wire; None: the kind's or the data set's
    errors_ratio: float = 0.0  # share of calls that fail on their own
    only_present: bool = False  # set: change in place what is cached; create nothing, keep its expiry (Redis LPUSHX)
    data: str = ""  # data set read or written; "" for what the component holds
    on_miss: tuple["Step", ...] = ()
    steps: tuple["Step", ...] | None = None
    branches: tuple[Branch, ...] = ()
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """An operation's path through the system. It starts at `client` at `rate`, or once per message of `trigger`."""

    name: str
    steps: tuple[Step, ...]
    rate: Rate | None = None
    trigger: str = ""
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Component:
    """One box of the design: its kind and what the file says of it (`spec` is an instance of `kind.Spec`)."""

    name: str
    kind: "Kind"
    spec: Any
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Arrow:
    """The policies of one named arrow `caller -> callee`: policy name -> its Config.

    on_failure: "" passes the failure on; "miss" treats a failed cache read as a miss; "skip" goes on without answer.
    """

    caller: str
    callee: str
    policies: Mapping[str, Any]
    on_failure: str = ""
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Slo:
    """What a flow promises: latency limits by percentile (50.0, 95.0, 99.0, 99.9 -> ns) and availability (0..1)."""

    flow: str
    latency_ns: Mapping[float, int]
    availability_ratio: float | None = None
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong at `at_ns`, for `for_ns` (0: an instant, or until the end for kill and partition).

    verb: expire (all entries of a cache were written together and reach their TTL from `at_ns` on), kill (nodes of a
    component; 0 = all), slow (service times x `by_factor`), drop (`share_ratio` of the calls to a component, or on an
    arrow, get no answer), partition (no call on the arrow gets through).
    """

    at_ns: int
    verb: str
    target: str = ""
    arrow: tuple[str, str] | None = None
    for_ns: int = 0
    by_factor: float = 1.0
    share_ratio: float = 1.0
    nodes: int = 0
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line of `expect`, parsed.

    kind "recovers": back to baseline at most `limit` ns after the last trigger is gone.
    kind "metric": `subject.metric` compared with `limit`: latencies in ns, ratios in 0..1, rates per s.
    metric: p50 p95 p99 p99.9 mean errors availability goodput (flow); utilisation calls hit_ratio queue (component).
    """

    text: str
    kind: str
    limit: float
    subject: str = ""
    metric: str = ""
    comparison: str = "<"  # < <= > >=
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens over time: load as steps of (from_ns, factor of the peak load), faults, expectations."""

    name: str
    lasts_ns: int
    load: tuple[tuple[int, float], ...] = ((0, 1.0),)
    faults: tuple[Fault, ...] = ()
    expect: tuple[Expectation, ...] = ()
    warmup_ns: int | None = None  # None: the engine's rule
    starts: str = "warm"  # warm: caches as after hours of this load; cold: empty
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Ignore:
    """A finding the author has decided to live with, and why."""

    rule: str
    at: str
    because: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Design:
    """A whole design file."""

    title: str
    requirements: Requirements
    components: Mapping[str, Component]
    flows: Mapping[str, Flow]
    policies: Mapping[tuple[str, str], Arrow]
    slo: Mapping[str, Slo]
    scenarios: Mapping[str, Scenario]
    ignore: tuple[Ignore, ...]
    source: Source
    fingerprint: str  # of the text with its overrides, 16 hex digits

    def pipeline(self, arrow: str, **options: Any) -> "Pipeline":
        """The running policies of an arrow, for asyncio: the ones that are simulated, set by the same lines.

            tweets_db = tenfold.load("timeline.yaml").pipeline("api -> tweets_db")
            rows = await tweets_db.call(query, idempotent=True)

        Args:
            arrow: `caller -> callee`, as in the file's `policies`; one without policies gives a pipeline without.
            options: as for `Pipeline`: `is_failure`, `fallback`, `on_decision`, clocks. Without a `fallback`,
                `on_failure: skip` or `miss` answers None instead of failing.

        Raises:
            UsageError: the design has no such arrow.
        """
        from tenfold.design.running import pipeline

        return pipeline(self, arrow, options)

    def thread_pipeline(self, arrow: str, **options: Any) -> "ThreadPipeline":
        """The running policies of an arrow, for threads; arguments and errors as for `pipeline`."""
        from tenfold.design.running import thread_pipeline

        return thread_pipeline(self, arrow, options)

    def cache(self, component: str, store: "Store", *, caller: str = "", **options: Any) -> "Cache":
        """The running cache of a component that is one (`kind: redis`), with the freshness that is simulated.

            timelines = tenfold.load("timeline.yaml").cache("timeline_cache", RedisStore("redis://cache-1"))
            timeline = await timelines.get("user:17", load_timeline)

        Args:
            component: its name in the file; also the cache's name, in front of every key.
            store: where the records live.
            caller: whose arrow to the cache counts, when several components have policies on theirs. `on_failure`
                says what a caller gets while the store is down: `miss` loads, without it the read fails. A circuit
                breaker goes around the store; a `timeout` must be kept by the store itself.
            options: as for `Cache`: `local`, `soft_timeout`, `serializer`, `loads_in_flight`, ...

        Raises:
            UsageError: no such cache in the design, or its arrow asks for what a cache cannot do.
        """
        from tenfold.design.running import cache

        return cache(self, component, store, caller, options)
