"""Scenarios: load over time, every fault, every expectation, and what cannot be meant."""

import pytest
from reading import SMALL, mistakes_in, read

from tenfold.design.schema import Expectation, Fault, Scenario
from tenfold.program.lower import lower

S = 1_000_000_000
MS = 1_000_000


def text(keys: str, lasts: str = "10 min") -> str:
    return f"{SMALL}scenarios: {{storm: {{lasts: {lasts}, {keys}}}}}\n"


def scenario(keys: str, lasts: str = "10 min") -> Scenario:
    return read(text(keys, lasts)).scenarios["storm"]


def fault(written: str) -> Fault:
    (found,) = scenario(f"faults: [{written}]").faults
    return found


def expectation(written: str) -> Expectation:
    (found,) = scenario(f'expect: ["{written}"]').expect
    return found


@pytest.mark.parametrize(
    ("written", "load"),
    [
        ("peak", ((0, 1.0),)),
        ("average", ((0, 0.5),)),
        ("1.5x", ((0, 1.5),)),
        ("2", ((0, 2.0),)),
        ("0x", ((0, 0.0),)),
        ("{0 min: 1x, 2 min: 3x, 6 min: average}", ((0, 1.0), (120 * S, 3.0), (360 * S, 0.5))),
        ("{0: peak, 1 min 30 s: 2x}", ((0, 1.0), (90 * S, 2.0))),
    ],
)
def test_load(written: str, load: tuple[tuple[int, float], ...]) -> None:
    assert scenario(f"load: {written}").load == load


def test_a_scenario_says_only_how_long_it_lasts() -> None:
    found = scenario("load: peak", lasts="90 s")
    assert (found.lasts_ns, found.warmup_ns, found.starts, found.faults, found.expect) == (90 * S, None, "warm", (), ())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{at: 5 min, expire: cache}", Fault(300 * S, "expire", "cache")),
        ("{at: 0, kill: db}", Fault(0, "kill", "db")),
        ("{at: 1 s, kill: db, nodes: 1, for: 1 min}", Fault(S, "kill", "db", for_ns=60 * S, nodes=1)),
        ("{at: 1 s, slow: db, by: 10x, for: 30 s}", Fault(S, "slow", "db", for_ns=30 * S, by_factor=10.0)),
        ("{at: 1 s, slow: db, by: 0.5x, for: 30 s}", Fault(S, "slow", "db", for_ns=30 * S, by_factor=0.5)),
        ("{at: 1 s, drop: db, for: 10 s}", Fault(S, "drop", "db", for_ns=10 * S)),
        ("{at: 1 s, drop: db, share: 5%, for: 10 s}", Fault(S, "drop", "db", for_ns=10 * S, share_ratio=0.05)),
        ("{at: 1 s, drop: api->db, for: 10 s}", Fault(S, "drop", arrow=("api", "db"), for_ns=10 * S)),
        ("{at: 1 s, partition: q -> worker}", Fault(S, "partition", arrow=("q", "worker"))),
        ("{at: 1 s, partition: client -> api, for: 1 s}", Fault(S, "partition", arrow=("client", "api"), for_ns=S)),
    ],
)
def test_faults(written: str, expected: Fault) -> None:
    found = fault(written)
    assert found.path == ("scenarios", "storm", "faults", 0)
    assert found == Fault(
        **{name: getattr(expected, name) for name in Fault.__slots__ if name != "path"}, path=found.path
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("recovers within 60 s", ("recovers", "", "", "<", 60 * S)),
        ("recovers  within 1 min 30 s", ("recovers", "", "", "<", 90 * S)),
        ("read.p50 < 5 ms", ("metric", "read", "p50", "<", 5 * MS)),
        ("read.p95<=20ms", ("metric", "read", "p95", "<=", 20 * MS)),
        ("read.p99 < 500 ms", ("metric", "read", "p99", "<", 500 * MS)),
        ("read.p99.9 < 2 s", ("metric", "read", "p99.9", "<", 2 * S)),
        ("read.mean > 1 us", ("metric", "read", "mean", ">", 1000)),
        ("read.errors < 5%", ("metric", "read", "errors", "<", 0.05)),
        ("read.availability >= 99.9%", ("metric", "read", "availability", ">=", 0.999)),
        ("work.goodput > 100k/s", ("metric", "work", "goodput", ">", 100_000)),
        ("db.utilisation < 80%", ("metric", "db", "utilisation", "<", 0.8)),
        ("cache.hit_ratio > 90%", ("metric", "cache", "hit_ratio", ">", 0.9)),
        ("db.calls < 60/min", ("metric", "db", "calls", "<", 1.0)),
        ("q.queue < 1k", ("metric", "q", "queue", "<", 1000)),
    ],
)
def test_expectations(written: str, expected: tuple[str, str, str, str, float]) -> None:
    found = expectation(written)
    assert (found.kind, found.subject, found.metric, found.comparison, found.limit) == expected


def test_a_fault_may_outlast_the_scenario() -> None:
    design = read(text("faults: [{at: 9 min, slow: db, by: 2x, for: 1 h}, {at: 9 min, kill: db}]"))
    program = lower(design, design.scenarios["storm"])
    assert [end_ns for _, _, end_ns in program.triggers] == [600 * S, 600 * S]
    assert all(row.at_ns >= 540 * S for row in program.faults)


@pytest.mark.parametrize(
    ("keys", "message", "remedy"),
    [
        (
            "faults: [{at: 1 s, drop: api -> q, for: 1 s}, {at: 1 s, drop: q -> db, for: 1 s}]",
            "along q -> db",
            "api -> db",
        ),
        ("faults: [{at: 1 s, drop: api -> dbb, for: 1 s}]", 'unknown component "dbb"', 'did you mean "db"?'),
        ("faults: [{at: 1 s, drop: dbb, for: 1 s}]", 'unknown component "dbb"', 'did you mean "db"?'),
        ("faults: [{at: 1 s, drop: db}]", "does not say for", "for: 30 s"),
        ("faults: [{at: 1 s, drop: db, for: 1 s, share: 0%}]", "is nothing", "above 0"),
        ("faults: [{at: 1 s, drop: db, for: 1 s, share: 101%}]", "more than everything", "100% or less"),
        ("faults: [{at: 1 s, expire: api -> cache}]", "cannot strike", "name a component"),
        ("faults: [{at: 1 s, expire: q}]", "q is a log", "expire a cache: cache"),
        ("faults: [{at: 1 s, expire: cache, for: 1 s}]", "for means nothing for expire", "expire has at"),
        ("faults: [{at: 1 s, kill: db, by: 2x}]", "by means nothing for kill", "for, nodes"),
        ("faults: [{at: 1 s, kill: db, nodes: 0}]", "0", "leave nodes out"),
        ("faults: [{at: 1 s, slow: db, by: 0x, for: 1 s}]", "is nothing", "above 0"),
        ("faults: [{at: 1 s, slow: db, by: 2x, for: 0 s}]", "is nothing", "above 0"),
        ("faults: [{at: 1..2 s, kill: db}]", "is a range", "one value"),
        ("faults: [{kill: db}]", "does not say when", "at: 5 min"),
        ("faults: {at: 1 s, kill: db}", "should be a list", "- {at"),
        ("faults: [kill db]", "should have keys", "expire: cache"),
        ("faults: [[]]", "should have keys", "expire: cache"),
        ("expect: recovers within 60 s", "should be a list", "[recovers within 60 s]"),
        ("expect: [{p99: 1 s}]", "should be one value", "write a value"),
        ("expect: ['']", "is empty", "write a value"),
        ("expect: [reed.p99 < 1 s]", "unknown flow or component", 'did you mean "read"?'),
        ("expect: [client.calls < 1/s]", "unknown flow or component", "names: read, work, api"),
        ("expect: [read.p99 == 1 s]", "no expectation", "read.p99 < 500 ms"),
        ("expect: [1 s >= read.p99]", "limit on the left", "write read.p99 <= 1 s"),
        ("expect: [read.goodput > 5]", "per what time", "5/s"),
        ("load: {}", "no times", "0 min: 1x"),
        ("load: []", "should be one value", ""),
        ("load: 1e400x", "is no load", "peak"),
        ("load: 10000001x", "is no load", "smaller"),
        ("load: {0 min: 1x, five: 2x}", "not a duration", "5 min"),
        ("load: {0 min: 1x, 0 min: 2x}", "is there twice", "keep one"),
        ("load: {0 min: 1x, 60 s: 2x, 1 min: 3x}", "not later", "in order"),
        ("starts: hot", "unknown word", "warm, cold"),
        ("warmup: -1 s", "negative", "0 or more"),
    ],
)
def test_what_cannot_be_meant(keys: str, message: str, remedy: str) -> None:
    (mistake,) = mistakes_in(text(keys))
    assert message in mistake.message
    assert remedy in mistake.remedy
    assert mistake.remedy
    assert mistake.line == 1 + SMALL.count("\n")
    assert mistake.column > 1
