"""Walks a flow once and writes down who is visited how often, for how long, with how much on the wire.

Everything is per start of the flow; `traffic` multiplies with the flow's rate. Times are means without queueing:

- a caller waits for each step in turn: network round trip + work of the callee + what the callee waits for;
- `times: n` repeats a step one after another; `choose` counts as the weighted mean of its branches;
- `parallel` takes as long as the longest of its branches' means. The mean of the longest is larger (H_k times for k
  equal exponential branches), so this is an approximation from below;
- `on_miss` counts with the miss ratio.

Payloads: a step's own `size`, else the item size of the data set it reads or writes, else after a miss the item
missed. A scope (`through`, `run`) without a size answers with what it reads inside and is sent the largest item that
is inserted or published inside.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tenfold.design.demand import CREATES, FILLS, UPDATES, Visits
from tenfold.design.schema import CLIENT, Component, Design, Flow, Range, Step
from tenfold.sizing import interval
from tenfold.sizing.interval import ONE, ZERO

READS = ("get", "query", "call")
WRITES = ("set", "insert", "publish")
SCOPES = ("through", "run")

HTTP_OVERHEAD_BYTES = 800
"""Headers of one HTTP request, and of one answer: "typical header sizes of 700-800 bytes is common" (SPDY white paper,
Google 2009, "Uncompressed request and response headers"), the upper figure."""

WIRE_OVERHEAD_BYTES = 100
"""One command to a store or broker, and one answer: 40 bytes of IPv4 and TCP headers (RFC 791, RFC 9293) and about 60
for the command and its key."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What happened while some steps passed: time, payload read, largest payload written."""

    elapsed_ns: Range = ZERO
    read_bytes: Range = ZERO
    written_bytes: Range = ZERO

    def then(self, after: "Passed") -> "Passed":
        """These steps, and others after them."""
        return Passed(
            interval.add(self.elapsed_ns, after.elapsed_ns),
            interval.add(self.read_bytes, after.read_bytes),
            interval.largest((self.written_bytes, after.written_bytes)),
        )

    def repeated(self, times: Range) -> "Passed":
        """These steps several times, one after another."""
        return Passed(
            interval.times(self.elapsed_ns, times), interval.times(self.read_bytes, times), self.written_bytes
        )


@dataclass(frozen=True, slots=True)
class Visit:
    """One step's visits per start of the flow, and its bytes on the wire (overhead included) per visit."""

    target: str
    visits: Visits  # rate_per_s holds visits per start
    request_bytes: Range
    answer_bytes: Range


@dataclass(frozen=True, slots=True)
class Walk:
    """A flow walked once: its visits, and how long one run of it takes without queueing."""

    visits: tuple[Visit, ...]
    elapsed_ns: Range


@dataclass(frozen=True, slots=True)
class _Where:
    """Who calls, how often per start of the flow, which caches were just missed and how large the item missed is."""

    caller: str
    often: Range = ONE
    missed: frozenset[str] = frozenset()
    missed_bytes: Range = ZERO


HitOf = Callable[[Step, Component], Range]
"""The hit ratio of a `get`."""


def walk(design: Design, flow: Flow, hit_of: HitOf) -> Walk:
    """One start of a flow.

    Args:
        design: where the components are.
        flow: what to walk.
        hit_of: the hit ratio of its gets.
    """
    walker = _Walker(design, flow, hit_of)
    passed = walker.steps(flow.steps, _Where(flow.trigger or CLIENT))
    client = design.components.get(CLIENT)
    round_trip = latency_of(client) if client and not flow.trigger else ZERO
    return Walk(tuple(walker.visits), interval.add(round_trip, passed.elapsed_ns))


def latency_of(component: Component) -> Range:
    """Network round trip that a component's spec adds, ns."""
    return Range.exactly(float(getattr(component.spec, "latency_ns", 0)))


def service_of(step: Step, component: Component) -> Range:
    """Mean time the component works on a step, ns: the step's own figure or the kind's."""
    timing = getattr(step, component.kind.TIMING, None) if component.kind.TIMING else None
    if timing is not None:
        mean: Range = timing.mean_ns
        return mean
    return Range.exactly(float(getattr(component.spec, f"{component.kind.TIMING}_ns", 0)))


def data_of(step: Step, component: Component) -> str:
    """The data set a step reads or writes; "" when the design does not say."""
    return step.data or str(getattr(component.spec, "holds", ""))


@dataclass(slots=True)
class _Walker:
    """The walk under way."""

    design: Design
    flow: Flow
    hit_of: HitOf
    visits: list[Visit] = field(default_factory=list)

    def steps(self, steps: tuple[Step, ...], where: _Where) -> Passed:
        """A list of steps, one after another; a scope swallows those after it unless it lists its own."""
        passed = Passed()
        for index, step in enumerate(steps):
            if step.verb not in SCOPES:
                passed = passed.then(self.step(step, where))
            elif step.steps is not None:
                passed = passed.then(self.scope(step, step.steps, where))
            else:
                return passed.then(self.scope(step, steps[index + 1 :], where))
        return passed

    def step(self, step: Step, where: _Where) -> Passed:
        """One step that opens no scope for its followers."""
        if step.verb in ("parallel", "choose"):
            return self.block(step, where)
        return self.scope(step, step.steps, where) if step.steps else self.leaf(step, where)

    def block(self, step: Step, where: _Where) -> Passed:
        """`parallel` (all branches at once) or `choose` (one of them)."""
        often = interval.times(where.often, step.times)
        if step.verb == "parallel":
            all_passed = [self.steps(branch.steps, replace(where, often=often)) for branch in step.branches]
            return _side_by_side(all_passed).repeated(step.times)
        total = sum(branch.weight for branch in step.branches) or 1.0
        mean = Passed()
        for branch in step.branches:
            share = branch.weight / total
            inner = self.steps(branch.steps, replace(where, often=interval.times(often, share)))
            mean = mean.then(inner.repeated(Range.exactly(share)))
        return mean.repeated(step.times)

    def scope(self, step: Step, inside: tuple[Step, ...], where: _Where) -> Passed:
        """A step that waits for the steps inside it."""
        component = self.design.components[step.target]
        often = interval.times(where.often, step.times)
        slot = len(self.visits)
        inner = self.steps(inside, replace(where, caller=step.target, often=often))
        service, latency = service_of(step, component), latency_of(component)
        # A proxy's round trip is the one behind it, so it waits for that, too; elsewhere the caller does.
        is_proxy = step.verb == "through"
        held = interval.add(service, inner.elapsed_ns, *((latency,) if is_proxy else ()))
        read = step.size_bytes or inner.read_bytes
        written = self.message_size() if where.caller == self.flow.trigger else inner.written_bytes
        self.note(slot, step, where, (service, held), (written, read))
        elapsed = held if is_proxy else interval.add(latency, held)
        return Passed(elapsed, read, inner.written_bytes).repeated(step.times)

    def leaf(self, step: Step, where: _Where) -> Passed:
        """A step that waits for nothing but its component, and for `on_miss` of a `get`."""
        component = self.design.components[step.target]
        service, latency = service_of(step, component), latency_of(component)
        # What is read after a miss is what was missed, unless the design says otherwise.
        size = self.size_of(step, component) or (where.missed_bytes if step.verb in READS else ZERO)
        # A connection is taken for the whole round trip; a worker or a broker only for its own work.
        held = interval.add(service, latency) if step.verb in ("query", "insert") else service
        hit = self.hit_of(step, component) if step.verb == "get" else ONE
        read = size if step.verb in READS else ZERO
        written = size if step.verb in WRITES else ZERO
        self.note(len(self.visits), step, where, (service, held), (written, interval.times(read, hit)))
        elapsed = interval.add(latency, service, self.on_miss(step, hit, replace(where, missed_bytes=size)))
        counted = written if step.verb in ("insert", "publish") else ZERO
        return Passed(elapsed, read, counted).repeated(step.times)

    def on_miss(self, step: Step, hit: Range, where: _Where) -> Range:
        """Mean time the miss branch adds to a `get`."""
        miss = interval.rest(hit)
        often = interval.times(where.often, step.times, miss)
        missed = where.missed | {step.target}
        return interval.times(self.steps(step.on_miss, replace(where, often=often, missed=missed)).elapsed_ns, miss)

    def size_of(self, step: Step, component: Component) -> Range | None:
        """Payload of a step; None when the design does not say."""
        if step.size_bytes is not None:
            return step.size_bytes
        data = self.design.requirements.data.get(data_of(step, component))
        return data.size_bytes if data else None

    def message_size(self) -> Range:
        """Payload of the messages that start this flow: the largest published."""
        return interval.largest(
            self.size_of(step, self.design.components[step.target]) or ZERO
            for flow in self.design.flows.values()
            for step in all_steps(flow.steps)
            if step.verb == "publish" and step.target == self.flow.trigger
        )

    def note(
        self, slot: int, step: Step, where: _Where, work: tuple[Range, Range], payload: tuple[Range, Range]
    ) -> None:
        """Write a visit down, before those it causes. work: (service, held) ns; payload: (sent, answered) bytes."""
        is_http = step.verb in (*SCOPES, "call") and where.caller != self.flow.trigger
        overhead = Range.exactly(HTTP_OVERHEAD_BYTES if is_http else WIRE_OVERHEAD_BYTES)
        component = self.design.components[step.target]
        visits = Visits(
            flow=self.flow.name,
            verb=step.verb,
            rate_per_s=interval.times(where.often, step.times),
            service_ns=work[0],
            held_ns=work[1],
            size_bytes=interval.largest(payload),
            path=step.path,
            caller=where.caller,
            data=data_of(step, component),
            writes=_writes(step, where),
        )
        sent, answered = (interval.add(overhead, size) for size in payload)
        self.visits.insert(slot, Visit(step.target, visits, sent, answered))


def _writes(step: Step, where: _Where) -> str:
    """How a `set` writes; "" for other verbs."""
    if step.verb != "set":
        return ""
    if step.target in where.missed:
        return FILLS
    return UPDATES if step.only_present else CREATES


def _side_by_side(branches: list[Passed]) -> Passed:
    """Branches at the same time: the longest counts, every payload does."""
    return Passed(
        interval.largest(branch.elapsed_ns for branch in branches),
        interval.add(*(branch.read_bytes for branch in branches)),
        interval.largest(branch.written_bytes for branch in branches),
    )


def all_steps(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Every step below, blocks and miss branches included."""
    found: list[Step] = []
    for step in steps:
        inner = [step.steps or (), step.on_miss, *(branch.steps for branch in step.branches)]
        found += [step, *(below for part in inner for below in all_steps(part))]
    return tuple(found)
