"""The builder: what a kind may emit. Labels stand for operations not yet placed; bodies of calls are emitted later."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tenfold.design.schema import Component, Design, Path, Step, Timing
from tenfold.errors import UsageError
from tenfold.program import program as p
from tenfold.program.program import Group, Node, Op, TimingRow

Emit = Callable[[], None]

MISS_GUESS = 0.1
"""How often a miss branch is reached, for the warm start of caches inside it; the warm-up cut hides the error."""


ROWS_MAX = 256
"""Nodes that are counted one by one; a component with more is counted as a whole."""

NODES_MAX = 1_000_000
SERVERS_MAX = 16_000_000
"""Nodes and servers of all components the engine keeps: some 150 and 8 bytes each, about 0.3 GB."""


class Label:
    """A place in the program, known once `Builder.place` has been called with it."""

    __slots__ = ("pc",)

    def __init__(self) -> None:
        self.pc = -1


@dataclass(frozen=True, slots=True)
class Where:
    """Who is calling, and what has to be undone: the compile-time side of a task's state."""

    flow: str
    caller: str
    error: Label  # landing pad
    depth: int = 0  # registers in use
    caller_register: int = -1  # the register that holds the caller's node
    loading: int = -1  # the cache whose miss branch this is
    is_client: bool = False
    rate_per_s: float = 0.0  # how often this place is reached at load 1, for warm starts


@dataclass(slots=True)
class _Pending:
    """A body emitted after the flow that calls it."""

    label: Label
    where: Where
    emit: Emit
    lose_switches: tuple[int, ...]
    frees: bool


@dataclass(slots=True)
class Tables:
    """The program's tables while they grow."""

    ops: list[dict[str, Any]] = field(default_factory=list)
    timings: list[TimingRow] = field(default_factory=list)
    samples: list[float] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    streams: dict[str, int] = field(default_factory=dict)


class Builder:
    """Emits operations into tables; keeps track of where the emitted code runs."""

    def __init__(self, design: Design, arrows: Any, switches: dict[Any, int]) -> None:
        self.design = design
        self.arrows = arrows
        self.switches = switches
        self.tables = Tables()
        self.caches: dict[str, int] = {}
        self.logs: dict[str, int] = {}
        self.populations: dict[str, int] = {}
        self.population_sizes: list[int] = []
        self.key_registers: dict[str, int] = {}  # of the flow under way, when it concerns several data sets
        self.reads: dict[str, float] = {}
        self.writes: dict[str, float] = {}
        self.component_numbers = {name: number for number, name in enumerate(design.components)}
        self.where = Where("", "", Label())
        self.resources: dict[int, tuple[str, ...]] = {}
        self.node_rows: list[int] = []
        self._pending: list[_Pending] = []
        self._servers = 0

    # What kinds declare.

    def group(
        self,
        component: Component,
        nodes: int,
        servers: int,
        *,
        slots: int = 0,
        queue: int = -1,
        discipline: int = p.FIFO,
        balance: int = p.ROUND_ROBIN,
        contention: float = 0.0,
        is_left: bool = False,
        resources: tuple[str, ...] = ("servers", "slots"),
        is_apart: bool = False,
    ) -> int:
        """Declare a component's nodes: `servers` that work and `slots` that are held on each; the group's number.

        With `is_apart` every node also counts by itself, for keys may make one busier than the others; the third of
        `resources` names the busiest.
        """
        number = self.component_numbers[component.name]
        first = len(self.tables.nodes)
        rows = self._rows_of(number, nodes if is_apart else 0)
        self._servers += nodes * servers
        _check_room(component, nodes, servers, first + nodes, self._servers)
        node = Node(number, servers, slots, queue, discipline, contention, int(is_left))
        self.tables.nodes.extend(replace(node, row=rows[i]) if rows else node for i in range(nodes))
        self.tables.groups.append(Group(number, first, nodes, balance, self.stream(f"{component.name}/balance")))
        self.resources[number] = resources
        return len(self.tables.groups) - 1

    def _rows_of(self, component: int, nodes: int) -> range:
        """Series of their own for a component's nodes; none for one, nor for more than anyone looks at."""
        first = len(self.design.components) + len(self.node_rows)
        count = nodes if 1 < nodes <= ROWS_MAX else 0
        self.node_rows += [component] * count
        return range(first, first + count)

    def part(self, group: int, first: int, size: int) -> int:
        """Declare some of a group's nodes, from its node `first` on, as a group of their own: its number."""
        whole = self.tables.groups[group]
        assert first + size <= whole.size, "a part lies within its group"
        self.tables.groups.append(replace(whole, first=whole.first + first, size=size))
        return len(self.tables.groups) - 1

    def timing(self, timing: Timing | int) -> int:
        """The number of a distribution; a plain number is a constant in ns."""
        if isinstance(timing, int):
            row = TimingRow(p.CONSTANT, float(timing))
        elif timing.shape in ("constant", "exponential"):
            row = TimingRow(p.SHAPES.index(timing.shape), timing.mean_ns.likely)
        elif timing.shape == "empirical":
            row = TimingRow(p.EMPIRICAL, first=len(self.tables.samples), size=len(timing.params))
            self.tables.samples.extend(timing.params)
        else:
            row = TimingRow(p.SHAPES.index(timing.shape), timing.params[0], timing.params[1])
        self.tables.timings.append(row)
        return len(self.tables.timings) - 1

    def stream(self, name: str) -> int:
        """The number of a random stream. Names make streams: designs that share a name see the same numbers."""
        return self.tables.streams.setdefault(name, len(self.tables.streams))

    # What kinds emit.

    def emit(self, code: int, **operands: Any) -> None:
        """Emit one operation; `jump` and `error` may be labels. Without `error` the current landing pad is used."""
        operands.setdefault("error", self.where.error)
        self.tables.ops.append({"code": code, **operands})

    def place(self, label: Label) -> None:
        """The next operation stands at this label."""
        label.pc = len(self.tables.ops)

    def work(
        self, step: Step, group: int, timing: int, choice: int, latency_ns: int, register: int = -1, keys: int = 0
    ) -> None:
        """Occupy a server of the group; then, if the step says so, fail sometimes on its own.

        `choice` BY_RANGE needs `keys`: how many there are in order.
        """
        cache = self.caches.get(step.target, -1) if choice == p.BY_KEY else -1
        stream = self.stream(f"{self._name(step.path)}/time")
        self.emit(
            p.WORK,
            target=group,
            timing=timing,
            stream=stream,
            choice=choice,
            latency_ns=latency_ns,
            register=register,
            count=keys if choice == p.BY_RANGE else cache + 1,
        )
        self.sometimes_fail(step, step.errors_ratio)

    def branches(self, bodies: Sequence[Emit]) -> None:
        """Run bodies side by side, each in a task of its own; fails when one has failed, after all have ended."""
        outer = self.where
        starts, after = [Label() for _ in bodies], Label()
        self.emit(p.FORK, count=len(bodies))
        for start in starts:
            self.emit(p.JUMP, jump=start)
        self.emit(p.JUMP, jump=after)
        for start, body in zip(starts, bodies, strict=True):
            error = Label()
            self.place(start)
            self.where = replace(outer, error=error, is_client=False)
            body()
            self.emit(p.RETURN)
            self.place(error)
            self.emit(p.FAIL)
        self.where = outer
        self.place(after)

    def sometimes_fail(self, step: Step, share: float) -> None:
        """Fail with an error of the component's own in this share of the visits."""
        if share <= 0.0:
            return
        fine = Label()
        self.emit(p.FLIP, jump=fine, chance=1.0 - share, stream=self.stream(f"{self._name(step.path)}/errors"))
        self.emit(p.RAISE)
        self.place(fine)

    def delay(self, latency_ns: int) -> None:
        """Let network time pass, when a service calls another of ours; balancers and clients count their own."""
        caller = self.design.components.get(self.where.caller)
        if latency_ns > 0 and caller is not None and caller.kind.NAME == "service":
            self.emit(p.DELAY, latency_ns=latency_ns)

    def held(
        self,
        component: Component,
        group: int | Sequence[int],
        choice: int,
        inside: Callable[[int], None],
        keys: int = 0,
    ) -> None:
        """Take a slot of the group, emit what happens meanwhile (told the register), give it back, even on failure.

        Of several groups one is taken at random. `choice` BY_RANGE needs `keys`: how many there are in order.
        """
        register = self._register()
        outer, pad, after = self.where, Label(), Label()
        groups = [group] if isinstance(group, int) else list(group)
        taken = Label()
        for left in range(len(groups), 0, -1):
            following = Label()
            if left > 1:
                stream = self.stream(f"{component.name}/copy")
                self.emit(p.FLIP, jump=following, chance=1.0 - 1.0 / left, stream=stream)
            self.emit(p.ACQUIRE, target=groups[left - 1], register=register, choice=choice, count=keys)
            if left > 1:
                self.emit(p.JUMP, jump=taken)
            self.place(following)
        self.place(taken)
        self.where = replace(outer, error=pad, depth=outer.depth + 1)
        inside(register)
        self.where = outer
        self.emit(p.RELEASE, register=register)
        self.emit(p.JUMP, jump=after)
        self.place(pad)
        self.emit(p.RELEASE, register=register, error=None)
        self.emit(p.JUMP, jump=outer.error)
        self.place(after)

    def scope(self, component: Component, register: int, inside: Emit) -> None:
        """Emit steps whose caller is this component; `register` holds its node, -1 when it does not matter."""
        outer = self.where
        self.where = replace(outer, caller=component.name, caller_register=register, is_client=False)
        inside()
        self.where = replace(self.where, caller=outer.caller, caller_register=outer.caller_register)
        self.where = outer

    def arrow(self, callee: str, body: Emit, on_failure: Label | None = None) -> None:
        """Emit a call from the current caller: through the arrow's policies when it has any, else in line."""
        switches = self._switches_on(callee)
        policies = self.design.policies.get((self.where.caller, callee))
        error = on_failure or self.where.error
        if policies is not None and policies.on_failure == "skip":
            error = Label()
        if policies is None or not policies.policies:
            self._in_line(body, switches, error)
        else:
            self._called(callee, policies, body, switches, error)
        if error is not on_failure and error is not self.where.error:
            self.place(error)

    def _in_line(self, body: Emit, switches: tuple[int, ...], error: Label) -> None:
        outer = self.where
        self.where = replace(outer, error=error)
        self._lose(switches, frees=False)
        body()
        self.where = outer

    def _called(self, callee: str, policies: Any, body: Emit, switches: tuple[int, ...], error: Label) -> None:
        number = self.arrows.row(self, callee, policies)
        label = Label()
        is_client = 1 if self.where.is_client else 0
        self.emit(p.CALL, target=number, jump=label, error=error, count=is_client)
        frees = "timeout" in policies.policies or "deadline" in policies.policies
        where = replace(self.where, error=Label(), is_client=False)
        self._pending.append(_Pending(label, where, body, switches, frees))

    def finish_bodies(self) -> None:
        """Emit the bodies of the calls emitted so far, and those they call."""
        while self._pending:
            pending = self._pending.pop(0)
            self.place(pending.label)
            self.where = pending.where
            self._lose(pending.lose_switches, pending.frees)
            pending.emit()
            self.emit(p.RETURN)
            self.place(pending.where.error)
            self.emit(p.FAIL)

    def _lose(self, switches: tuple[int, ...], frees: bool) -> None:
        for switch in switches:
            self.emit(
                p.LOSE,
                target=switch,
                count=1 if frees else 0,
                latency_ns=p.NO_ANSWER_NS,
                stream=self.stream(f"loss/{switch}"),
            )

    def _switches_on(self, callee: str) -> tuple[int, ...]:
        keys = ((self.where.caller, callee), callee)
        return tuple(self.switches[key] for key in keys if key in self.switches)

    def _register(self) -> int:
        if self.where.depth >= p.REGISTERS:
            raise UsageError(
                f"flow {self.where.flow} nests more than {p.REGISTERS} scopes, pools and loops",
                "flatten it: close scopes with their own `steps`",
            )
        return self.where.depth

    def looped(self, times: int, body: Emit) -> None:
        """Repeat a body a fixed number of times."""
        register = self._register()
        outer, again = self.where, Label()
        self.emit(p.COUNT, register=register, count=times)
        self.where = replace(outer, depth=outer.depth + 1, rate_per_s=outer.rate_per_s * times)
        self.place(again)
        body()
        self.where = outer
        self.emit(p.REPEAT, register=register, jump=again)

    def publish(self, component: Component) -> None:
        """Put a message on the component's log."""
        self.emit(p.PUBLISH, target=self.logs[component.name])

    def store(self, component: Component, step: Step) -> None:
        """Write the task's key into the component's cache, if the simulator keeps its entries."""
        if component.name in self.caches:
            if self.where.loading < 0 and not step.only_present:
                self.writes[component.name] = self.writes.get(component.name, 0.0) + self.where.rate_per_s
            self.emit(p.STORE, target=self.caches[component.name], count=1 if step.only_present else 0)

    def get_by_chance(self, component: Component, step: Step, command: Emit, on_miss: Emit) -> None:
        """A get whose hit ratio is stated."""
        hit, miss = Label(), Label()
        share = step.hit_ratio.likely if step.hit_ratio is not None else 0.0
        self.arrow(component.name, command, self._miss_label(component, miss))
        self.emit(p.FLIP, jump=hit, chance=share, stream=self.stream(f"{self._name(step.path)}/hit"))
        self.place(miss)
        outer = self.where
        self.where = replace(outer, rate_per_s=outer.rate_per_s * (1.0 - share))
        on_miss()
        self.where = outer
        self.place(hit)

    def get_by_key(self, component: Component, step: Step, command: Emit, on_miss: Emit) -> None:
        """A get of the task's key: freshness says whether it hits, loads or waits."""
        if self.where.loading >= 0:
            # A task leads the load of one key at a time: a get inside a miss branch gets a task of its own.
            self.branches([lambda: self._get_by_key(component, step, command, on_miss)])
        else:
            self._get_by_key(component, step, command, on_miss)

    def _get_by_key(self, component: Component, step: Step, command: Emit, on_miss: Emit) -> None:
        number = self.caches[component.name]
        hit, without, failed = Label(), Label(), Label()
        self.reads[component.name] = self.reads.get(component.name, 0.0) + self.where.rate_per_s
        unreachable = self._miss_label(component, without)
        self.arrow(component.name, command, unreachable)
        self.emit(p.LOOKUP, target=number, jump=hit)
        outer = self.where
        self.where = replace(outer, error=failed, loading=number, rate_per_s=outer.rate_per_s * MISS_GUESS)
        on_miss()
        self.where = outer
        self.emit(p.LOADED, target=number)
        self.emit(p.JUMP, jump=hit)
        self.place(failed)
        self.emit(p.LOAD_FAILED, target=number, jump=hit)
        if unreachable is not None:
            self.place(without)
            self.where = replace(outer, rate_per_s=0.0)
            on_miss()
            self.where = outer
        self.place(hit)

    def _miss_label(self, component: Component, miss: Label) -> Label | None:
        """Where a failed cache read goes on: with the miss branch when the arrow says `on_failure: miss`."""
        policies = self.design.policies.get((self.where.caller, component.name))
        return miss if policies is not None and policies.on_failure == "miss" else None

    def draw_key(self, population: str, name: str) -> None:
        """Draw the task's key from a data set's popularity."""
        register = self.key_registers.get(population, -1)
        stream = self.stream(f"{name}/key" if register < 0 else f"{name}/key of {population}")
        self.emit(p.DRAW_KEY, target=self.populations[population], stream=stream, register=register)

    def use_key(self, component: Component) -> None:
        """In a flow that concerns items of several data sets: take up the key of this component's."""
        register = self.key_registers.get(population_of(component), -1)
        if register >= 0:
            self.emit(p.RECALL_KEY, register=register)

    def keys_of(self, component: Component) -> int:
        """How many keys the component's data set has."""
        return self.population_sizes[self.populations[population_of(component)]]

    def by_own_key(self, component: Component, body: Emit) -> None:
        """Emit a body with the key of this component's data set; a task that leads the load of another key keeps that
        one, so the body gets a task of its own."""

        def keyed() -> None:
            self.use_key(component)
            body()

        if self.where.loading >= 0 and population_of(component) in self.key_registers:
            self.branches([keyed])
        else:
            keyed()

    def resolved(self) -> tuple[Op, ...]:
        """The operations with labels replaced by their places."""
        return tuple(Op(**{key: _place_of(value) for key, value in row.items()}) for row in self.tables.ops)

    def _name(self, path: Path) -> str:
        return "/".join(str(part) for part in path)


def population_of(component: Component) -> str:
    """The data set whose keys say where a visit goes; "" when keys do not matter to the component."""
    spec = component.spec
    is_sharded = getattr(spec, "shards", 1) > 1
    return str(getattr(spec, "holds", "") or (getattr(spec, "shard_key", "") if is_sharded else ""))


def _check_room(component: Component, nodes: int, servers: int, all_nodes: int, all_servers: int) -> None:
    """Refuse what does not fit into memory, before it is built."""
    if all_nodes <= NODES_MAX and all_servers <= SERVERS_MAX:
        return
    raise UsageError(
        f"{component.name} has {nodes:,} nodes with {servers:,} servers each; the simulator keeps at most "
        f"{NODES_MAX:,} nodes and {SERVERS_MAX:,} servers, all components together",
        "scale the design down: a thousandth of the nodes and of the load shows the same",
    )


def _place_of(value: Any) -> Any:
    if value is None:
        return -1
    if isinstance(value, Label):
        assert value.pc >= 0, "a label was used but never placed"
        return value.pc
    return value
