"""A small builder of Runs: say what happened in words of a handful of phases, get the series."""

from dataclasses import dataclass

from tenfold.design.schema import (
    Component,
    Design,
    Expectation,
    Flow,
    Range,
    Rate,
    Requirements,
    Scenario,
    Slo,
    Source,
    Step,
)
from tenfold.results.run import ArrowRun, ComponentRun, FlowRun, Latency, Run, Trigger

S = 1_000_000_000
MS = 1_000_000


@dataclass(frozen=True)
class Phase:
    """From `at_s` on: share of requests that fail, latency, how busy and queued the database is."""

    at_s: int
    errors: float = 0.0
    p95_ms: float = 2.0
    busy: float = 0.3
    queue: float = 0.0
    tries: float = 1.0
    hit_ratio: float = 0.95
    rate: int = 1000


def run_of(
    *phases: Phase,
    lasts_s: int = 300,
    trigger: tuple[int, int] | None = (100, 100),
    warmup_s: int = 20,
    stopped_s: int | None = None,
) -> Run:
    """A run of one read flow over a cache and a database, 1 s bins."""
    seconds = range(lasts_s if stopped_s is None else stopped_s)
    at = [max((p for p in phases if p.at_s <= second), key=lambda p: p.at_s) for second in seconds]
    failed = [round(p.rate * p.errors) for p in at]
    good = [p.rate - n for p, n in zip(at, failed, strict=True)]
    p95 = tuple(int(p.p95_ms * MS) if n else -1 for p, n in zip(at, good, strict=True))
    worst_ns = max((value for value in p95[warmup_s:]), default=2 * MS)
    flow = FlowRun(
        offered=tuple(p.rate for p in at),
        attempts=tuple(round(p.rate * p.tries) for p in at),
        good=tuple(good),
        failed={"timeout": tuple(failed)} if any(failed) else {},
        p50_ns=tuple(value // 2 if value > 0 else -1 for value in p95),
        p95_ns=p95,
        p99_ns=tuple(2 * value if value > 0 else -1 for value in p95),
        latency=Latency(sum(good[warmup_s:]), 1.5 * MS, MS, worst_ns, 2 * worst_ns, 3 * worst_ns, 4 * worst_ns),
        unfinished=0,
    )
    hits = tuple(round(p.rate * p.hit_ratio) for p in at)
    cache = ComponentRun(
        calls=flow.attempts,
        failed=(0,) * len(at),
        utilisation={"cpu": (0.2,) * len(at)},
        queue=(0.0,) * len(at),
        wait_ns=(0,) * len(at),
        hits=hits,
        misses=tuple(p.rate - n for p, n in zip(at, hits, strict=True)),
        loads=tuple(p.rate - n for p, n in zip(at, hits, strict=True)),
    )
    database = ComponentRun(
        calls=tuple(round(50 * p.tries * (1 + 10 * p.errors)) for p in at),
        failed=(0,) * len(at),
        utilisation={"connections": tuple(p.busy for p in at), "cpu": tuple(p.busy / 2 for p in at)},
        queue=tuple(p.queue for p in at),
        wait_ns=(0,) * len(at),
    )
    return Run(
        title="Reads",
        design_path="reads.yaml",
        design="00112233aabbccdd",
        scenario="stampede",
        source="simulated",
        seed=7,
        version="0.1.0",
        fingerprint="3f9a1c00000000",
        lasts_ns=len(at) * S,
        asked_ns=lasts_s * S,
        bin_ns=S,
        warmup_ns=warmup_s * S,
        load_factor=1.0,
        flows={"read": flow},
        components={"cache": cache, "db": database},
        arrows={"client -> cache": ArrowRun(sum(flow.offered), sum(flow.attempts), 12, 3, 0, 0, 0, 0)},
        triggers=(Trigger("cache expires", trigger[0] * S, trigger[1] * S),) if trigger else (),
        requests=sum(flow.offered),
        events=12 * sum(flow.offered),
    )


def scenario_of(
    *expect: Expectation, lasts_s: int = 300, load: tuple[tuple[int, float], ...] = ((0, 1.0),)
) -> Scenario:
    """The scenario such a run was of."""
    return Scenario("stampede", lasts_s * S, load=load, expect=expect)


def recovers(within_s: int) -> Expectation:
    """`recovers within ...`."""
    return Expectation(f"recovers within {within_s} s", "recovers", float(within_s * S))


def metric(text: str, subject: str, name: str, comparison: str, limit: float) -> Expectation:
    """`read.p99 < 500 ms` and its like."""
    return Expectation(text, "metric", limit, subject, name, comparison)


def design_of(*slos: Slo) -> Design:
    """The design such a run was of."""
    steps = (Step("get", "cache", on_miss=(Step("query", "db"), Step("set", "cache"))),)
    flow = Flow("read", steps, Rate(Range.exactly(1000.0), S, is_per_user=False))
    component = {name: Component(name, None, None) for name in ("cache", "db")}  # type: ignore[arg-type]
    source = Source("reads.yaml", "", {}, {})
    return Design(
        "Reads", Requirements(), component, {"read": flow}, {}, {slo.flow: slo for slo in slos}, {}, (), source, "0011"
    )


STEADY = run_of(Phase(0), trigger=None)
UNTOUCHED = run_of(Phase(0))
RECOVERED = run_of(Phase(0), Phase(100, errors=0.6, p95_ms=800, busy=1.0, queue=300), Phase(112))
LATE = run_of(Phase(0), Phase(100, errors=0.6, p95_ms=800, busy=1.0, queue=300), Phase(190))
STUCK = run_of(Phase(0), Phase(100, errors=0.61, p95_ms=1900, busy=1.0, queue=900, tries=2.9, hit_ratio=0.4))
SLOW = run_of(Phase(0), Phase(100, p95_ms=400, busy=0.97))
RELAPSED = run_of(Phase(0), Phase(100, errors=0.6), Phase(110), Phase(200, errors=0.6), Phase(210))
STOPPED = run_of(Phase(0), Phase(100, errors=0.61, p95_ms=1900, busy=1.0), stopped_s=120)
SLO = Slo("read", {99.0: 200 * MS}, 0.999)
