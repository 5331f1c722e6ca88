"""Lower a design and a scenario to a program. Flows become operations, components nodes, faults a timetable."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tenfold.design.schema import CLIENT, Component, DataSet, Design, Flow, Scenario, Step
from tenfold.errors import UsageError
from tenfold.policies.cache import freshness
from tenfold.program import program as p
from tenfold.program.arrows import Arrows
from tenfold.program.build import Builder, Label, Where, population_of
from tenfold.program.faults import switches_of, timetable, triggers
from tenfold.program.program import CacheRow, LoadStep, LogRow, Population, Program, Source
from tenfold.units import COUNT_MAX

SECOND_NS = 1_000_000_000
BINS_MAX = 3600
"""More bins than this are made longer instead: an hour at one second each."""

ENTRIES_MAX = 36_000_000
"""Cache entries the engine keeps: 40 bytes each plus the owner, about 1.6 GB."""

SCOPES = ("through", "run")


def lower(design: Design, scenario: Scenario, load_factor: float = 1.0) -> Program:
    """The program of a design under a scenario.

    Args:
        design: a loaded design; ranges count with their likely value.
        scenario: load and faults over time.
        load_factor: multiplies the scenario's load.

    Raises:
        UsageError: a cache would need more entries than the engine keeps, or scopes nest too deep.
    """
    build = Builder(design, Arrows(design), switches_of(scenario))
    lowering = _Lowering(design, build)
    parts = lowering.components()
    sources = lowering.flows(parts)
    bin_ns = _bin_ns(scenario.lasts_ns)
    timed = tuple(LoadStep(at_ns, factor * load_factor) for at_ns, factor in scenario.load)
    return Program(
        ops=build.resolved(),
        timings=tuple(build.tables.timings),
        samples=tuple(build.tables.samples),
        nodes=tuple(build.tables.nodes),
        groups=tuple(build.tables.groups),
        arrows=tuple(build.arrows.rows),
        policy_configs=build.arrows.configs,
        instances=max(1, build.arrows.instances),
        populations=tuple(lowering.populations),
        caches=lowering.caches(),
        cache_configs=tuple(_freshness_of(design.components[name].spec) for name in build.caches),
        logs=lowering.logs(sources),
        sources=tuple(sources),
        load=timed,
        faults=timetable(design, scenario, build),
        switches=len(build.switches),
        stream_names=tuple(build.tables.streams),
        flows=tuple(design.flows),
        components=tuple(design.components),
        arrow_names=tuple(build.arrows.names),
        lasts_ns=scenario.lasts_ns,
        bin_ns=bin_ns,
        warmup_ns=_warmup_ns(scenario),
        client_latency_ns=_client_latency_ns(design),
        starts_warm=scenario.starts == "warm",
        load_factor=load_factor,
        title=design.title,
        design_path=design.source.path,
        design=design.fingerprint,
        scenario=scenario.name,
        triggers=triggers(design, scenario),
        resources=build.resources,
        node_rows=tuple(build.node_rows),
    )


def _bin_ns(lasts_ns: int) -> int:
    """One second; shorter runs get 60 bins of at least 10 ms, longer ones at most BINS_MAX bins."""
    if lasts_ns < 60 * SECOND_NS:
        return max(10_000_000, lasts_ns // 60)
    return -(-lasts_ns // (BINS_MAX * SECOND_NS)) * SECOND_NS


def _warmup_ns(scenario: Scenario) -> int:
    """As stated, or a tenth of the run, at most a minute, and never beyond half of the time before the first fault."""
    if scenario.warmup_ns is not None:
        return scenario.warmup_ns
    first = min((fault.at_ns for fault in scenario.faults if fault.at_ns > 0), default=scenario.lasts_ns)
    return min(scenario.lasts_ns // 10, 60 * SECOND_NS, first // 2)


def _client_latency_ns(design: Design) -> int:
    client = design.components.get(CLIENT)
    return int(client.spec.latency_ns) if client is not None else 0


def _freshness_of(spec: Any) -> freshness.Config:
    """The freshness part of a cache's spec."""
    return freshness.Config(**{name: getattr(spec, name) for name in freshness.Config.__dataclass_fields__})


def rate_per_s(design: Design, flow: Flow) -> float:
    """How often a flow starts in the peak second (likely values); 0 for flows that messages start."""
    if flow.rate is None:
        return 0.0
    users = design.requirements.users
    crowd = users.likely if flow.rate.is_per_user and users is not None else 1.0
    return flow.rate.value.likely * crowd / (flow.rate.period_ns / SECOND_NS) * design.requirements.peak_factor.likely


def size_of(design: Design, data: DataSet) -> int:
    """How many items a data set has (likely values)."""
    users = design.requirements.users
    count = data.count.value.likely * (users.likely if data.count.is_per_user and users is not None else 1.0)
    if data.count.period_ns:
        count *= (data.keep_ns.likely if data.keep_ns else data.count.period_ns) / data.count.period_ns
    return max(1, min(int(count), COUNT_MAX))


@dataclass(slots=True)
class _Lowering:
    """One lowering under way."""

    design: Design
    build: Builder
    populations: list[Population]

    def __init__(self, design: Design, build: Builder) -> None:
        self.design = design
        self.build = build
        self.populations = []
        for name, data in design.requirements.data.items():
            build.populations[name] = len(self.populations)
            self.populations.append(Population(size_of(design, data), data.popularity.exponent))
            build.population_sizes.append(self.populations[-1].size)

    def components(self) -> dict[str, Any]:
        """Every component's nodes; what its kind wants to be handed back."""
        parts = {}
        for name, component in self.design.components.items():
            if component.kind.NAME == "redis" and component.spec.holds:
                self.build.caches[name] = len(self.build.caches)
            if component.kind.NAME == "log":
                self.build.logs[name] = len(self.build.logs)
            parts[name] = component.kind.lower(self.build, component)
        return parts

    def flows(self, parts: Mapping[str, Any]) -> list[Source]:
        """Every flow's operations; what starts it. Flows that messages start come after those that publish."""
        sources = []
        rates: dict[str, float] = {}
        order = sorted(self.design.flows.values(), key=lambda flow: bool(flow.trigger))
        for flow in order:
            rate = rate_per_s(self.design, flow) if not flow.trigger else rates.get(flow.trigger, 0.0)
            entry = self._flow(flow, rate, parts, rates)
            number = list(self.design.flows).index(flow.name)
            stream = self.build.stream(f"{flow.name}/arrivals")
            log = self.build.logs.get(flow.trigger, -1)
            sources.append(Source(number, entry, 0.0 if flow.trigger else rate, log, stream))
        return sources

    def _flow(self, flow: Flow, rate: float, parts: Mapping[str, Any], rates: dict[str, float]) -> int:
        build = self.build
        error = Label()
        entry = len(build.tables.ops)
        build.where = Where(flow.name, flow.trigger or CLIENT, error, is_client=not flow.trigger, rate_per_s=rate)
        emitter = _Steps(self.design, build, parts, rates)
        populations = tuple(dict.fromkeys(emitter.populations(flow.steps)))
        build.key_registers = {name: i for i, name in enumerate(populations)} if len(populations) > 1 else {}
        build.where = replace(build.where, depth=len(build.key_registers))
        for population in populations:
            build.draw_key(population, flow.name)
        emitter.steps(flow.steps)
        build.emit(p.RETURN)
        build.place(error)
        build.emit(p.FAIL)
        build.finish_bodies()
        return entry

    def caches(self) -> tuple[CacheRow, ...]:
        """Cache rows: how many entries fit, how often they are read."""
        rows = []
        for name in self.build.caches:
            component = self.design.components[name]
            data = self.design.requirements.data[component.spec.holds]
            capacity = int(component.spec.nodes * component.spec.memory_bytes / max(1.0, data.size_bytes.likely))
            _check_room(component, min(capacity, size_of(self.design, data)))
            rows.append(
                CacheRow(
                    self.build.component_numbers[name],
                    self.build.populations[data.name],
                    capacity,
                    self.build.reads.get(name, 0.0),
                    self.build.writes.get(name, 0.0),
                    self.build.stream(f"{name}/freshness"),
                    int(component.spec.shard_by),
                )
            )
        return tuple(rows)

    def logs(self, sources: list[Source]) -> tuple[LogRow, ...]:
        """Log rows: who consumes, how many at once."""
        rows = []
        for name, number in self.build.logs.items():
            spec = self.design.components[name].spec
            source = next((i for i, source in enumerate(sources) if source.log == number), -1)
            component = self.build.component_numbers[name]
            rows.append(LogRow(component, source, spec.partitions * spec.in_flight, spec.max_length))
        return tuple(rows)


def _check_room(component: Component, entries: int) -> None:
    if entries > ENTRIES_MAX:
        raise UsageError(
            f"{component.name} would hold {entries:,} entries; the simulator keeps at most {ENTRIES_MAX:,} (2 GB)",
            "lower the data set's count, lower the cache's memory, or state hit_ratio on its gets",
        )


@dataclass(slots=True)
class _Steps:
    """Emits the steps of one flow."""

    design: Design
    build: Builder
    parts: Mapping[str, Any]
    rates: dict[str, float]

    def steps(self, steps: tuple[Step, ...]) -> None:
        """A list of steps: a scope without its own steps takes those that follow."""
        for index, step in enumerate(steps):
            if step.verb in SCOPES and step.steps is None:
                self._repeated(step, lambda step=step, rest=steps[index + 1 :]: self._visit(step, rest))
                return
            self._repeated(step, lambda step=step: self._one(step))

    def _repeated(self, step: Step, body: Any) -> None:
        """`times`: whole repetitions in a loop, a fraction by chance."""
        whole, part = int(step.times.likely), step.times.likely - int(step.times.likely)
        if whole == 1:
            body()
        elif whole > 1:
            self.build.looped(whole, lambda: self._with_fresh_key(step, body))
        if part > 1e-9:
            self._by_chance(step, part, body)

    def _by_chance(self, step: Step, chance: float, body: Any) -> None:
        build, after = self.build, Label()
        name = "/".join(map(str, step.path))
        build.emit(p.FLIP, jump=after, chance=1.0 - chance, stream=build.stream(f"{name}/times"))
        outer = build.where
        build.where = replace(outer, rate_per_s=outer.rate_per_s * chance)
        body()
        build.where = outer
        build.place(after)

    def _with_fresh_key(self, step: Step, body: Any) -> None:
        """Every repetition concerns another item."""
        for name in dict.fromkeys(self.populations((step,))):
            self.build.draw_key(name, "/".join(map(str, step.path)))
        body()

    def _one(self, step: Step) -> None:
        if step.verb == "parallel":
            self._parallel(step)
        elif step.verb == "choose":
            self._choose(step)
        else:
            self._visit(step, step.steps or ())

    def _visit(self, step: Step, inside: tuple[Step, ...]) -> None:
        component = self.design.components[step.target]
        if step.verb == "publish":
            self.rates[step.target] = self.rates.get(step.target, 0.0) + self.build.where.rate_per_s
        branch = step.on_miss if step.verb == "get" else inside
        component.kind.visit(self.build, component, self.parts[step.target], step, lambda: self.steps(branch))

    def _parallel(self, step: Step) -> None:
        """Branches run side by side; the step ends when all have ended, and fails when one has failed."""
        self.build.branches([partial(self.steps, branch.steps) for branch in step.branches])

    def _choose(self, step: Step) -> None:
        """One branch by its weight."""
        build, outer, after = self.build, self.build.where, Label()
        name = "/".join(map(str, step.path))
        left = sum(branch.weight for branch in step.branches)
        for number, branch in enumerate(step.branches):
            following = Label()
            share = branch.weight / left if left > 0 else 0.0
            if number + 1 < len(step.branches):
                build.emit(p.FLIP, jump=following, chance=1.0 - share, stream=build.stream(f"{name}/{number}"))
            build.where = replace(outer, rate_per_s=outer.rate_per_s * branch.weight)
            self.steps(branch.steps)
            build.where = outer
            build.emit(p.JUMP, jump=after)
            build.place(following)
            left -= branch.weight
        build.place(after)

    def populations(self, steps: tuple[Step, ...]) -> Iterator[str]:
        """The data sets whose keys a list of steps uses in caches and sharded stores, in the order of the steps."""
        for step in steps:
            if step.target:
                name = population_of(self.design.components[step.target])
                if name in self.build.populations:
                    yield name
            yield from self.populations((*(step.steps or ()), *step.on_miss))
            for branch in step.branches:
                yield from self.populations(branch.steps)
