"""Small designs made of dataclasses, so that sizing is tested without the loader."""

from collections.abc import Mapping
from typing import Any

from tenfold.design.demand import Load, Visits
from tenfold.design.schema import (
    Branch,
    Component,
    Count,
    DataSet,
    Design,
    Flow,
    Place,
    Popularity,
    Range,
    Rate,
    Requirements,
    Source,
    Step,
    Timing,
)
from tenfold.kinds import KINDS

DAY = 86_400 * 10**9
MS = 1_000_000


def exactly(value: float) -> Range:
    return Range.exactly(value)


def ms(mean: float) -> Timing:
    return Timing("exponential", exactly(mean * MS))


def step(verb: str, target: str = "", **fields: Any) -> Step:
    for name in ("times", "hit_ratio", "size_bytes"):
        if isinstance(fields.get(name), int | float):
            fields[name] = exactly(fields[name])
    return Step(verb, target, **fields)


def either(*branches: tuple[float, tuple[Step, ...]], **fields: Any) -> Step:
    return step("choose", branches=tuple(Branch(weight, steps) for weight, steps in branches), **fields)


def together(*branches: tuple[Step, ...], **fields: Any) -> Step:
    return step("parallel", branches=tuple(Branch(1.0, steps) for steps in branches), **fields)


def component(name: str, kind: str, **settings: Any) -> Component:
    module: Any = KINDS[kind]
    return Component(name, module, module.Spec(**settings), ("components", name))


def per_user_day(value: float) -> Rate:
    return Rate(exactly(value), DAY, True)


def per_s(value: float) -> Rate:
    return Rate(exactly(value), 10**9, False)


def source(lines: Mapping[tuple[str | int, ...], int] | None = None) -> Source:
    places = {path: Place(line, 1, line, 2) for path, line in (lines or {}).items()}
    return Source("design.yaml", "", places, places)


def design(
    components: tuple[Component, ...],
    flows: tuple[Flow, ...],
    requirements: Requirements | None = None,
    lines: Mapping[tuple[str | int, ...], int] | None = None,
) -> Design:
    return Design(
        title="Small",
        requirements=requirements or Requirements(),
        components={c.name: c for c in components},
        flows={f.name: f for f in flows},
        policies={},
        slo={},
        scenarios={},
        ignore=(),
        source=source(lines),
        fingerprint="0123456789abcdef",
    )


def flow(name: str, rate: Rate | None, *steps: Step, trigger: str = "") -> Flow:
    return Flow(name, steps, rate, trigger, ("flows", name))


def visits(verb: str, rate: Range | float, service: float = 1.0, held: float | None = None, **fields: Any) -> Visits:
    """Visits with times in ms."""
    return Visits(
        "f",
        verb,
        rate if isinstance(rate, Range) else exactly(rate),
        exactly(service * MS),
        exactly((service if held is None else held) * MS),
        exactly(0),
        (),
        **fields,
    )


def load(*listed: Visits, requirements: Requirements | None = None, data: tuple[DataSet, ...] = ()) -> Load:
    return Load(listed, requirements or Requirements(), {d.name: d for d in data})


def timeline_requirements(users: Range | None = None) -> Requirements:
    tweet = DataSet("tweet", exactly(480), Count(exactly(1), True, DAY), exactly(547.5 * DAY), 3, exactly(0.5))
    timeline = DataSet("timeline", exactly(20_000), Count(exactly(1), True), popularity=Popularity(0.9))
    return Requirements(users or exactly(100e6), data={"tweet": tweet, "timeline": timeline})


def timeline(users: Range | None = None) -> Design:
    """The home timeline of the documentation."""
    return design(
        (
            component("lb", "load_balancer", replicas=2),
            component("api", "service", replicas=40, workers=64),
            component("timeline_cache", "redis", nodes=6, memory_bytes=64 * 10**9, holds="timeline"),
            component("tweets_db", "postgres", cores=32, pool=400, replicas=1),
            component("fanout_q", "log", partitions=64, max_length=5_000_000),
            component("fanout_worker", "service", replicas=20, workers=32),
        ),
        (
            flow(
                "read_timeline",
                per_user_day(50),
                step("through", "lb"),
                step("run", "api", cpu=ms(1.2)),
                step(
                    "get",
                    "timeline_cache",
                    on_miss=(step("query", "tweets_db", takes=ms(8)), step("set", "timeline_cache")),
                ),
            ),
            flow(
                "post_tweet",
                per_user_day(1),
                step("through", "lb"),
                step("run", "api", cpu=ms(2)),
                step("insert", "tweets_db", takes=ms(3), data="tweet"),
                step("publish", "fanout_q", size_bytes=480),
            ),
            flow(
                "deliver",
                None,
                step("run", "fanout_worker", cpu=ms(0.3)),
                step("set", "timeline_cache", times=75),
                trigger="fanout_q",
            ),
        ),
        timeline_requirements(users),
        {
            ("requirements", "users"): 9,
            ("requirements", "peak"): 10,
            ("flows", "read_timeline", "rate"): 32,
            ("components", "tweets_db"): 25,
        },
    )
