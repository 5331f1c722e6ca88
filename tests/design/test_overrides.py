"""`--set`: one value changed anywhere, and mistakes told at the override."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import SMALL, TEXT, mistakes_in, read

from tenfold.design.schema import Design

S = 1_000_000_000


def sample(*overrides: str) -> Design:
    return read(TEXT, *overrides)


def test_a_setting_of_a_component() -> None:
    design = sample("components.timeline_cache.ttl_jitter=10%", "components.api.replicas = 30")
    assert design.components["timeline_cache"].spec.ttl_jitter_ratio == 0.1
    assert design.components["api"].spec.replicas == 30


def test_a_key_that_the_file_does_not_have() -> None:
    assert sample("components.api.queue=10").components["api"].spec.queue == 10
    assert sample("scenarios.stampede.warmup=30 s").scenarios["stampede"].warmup_ns == 30 * S
    assert read(SMALL, "slo.read.p99=1 s").slo["read"].latency_ns == {99.0: S}
    assert read(SMALL, "policies.api -> db.timeout=1 s").policies["api", "db"].policies["timeout"].limit_ns == S


@pytest.mark.parametrize("arrow", ["api -> tweets_db", '"api -> tweets_db"', "'api -> tweets_db'", "api->tweets_db"])
def test_arrows_with_and_without_quotes(arrow: str) -> None:
    design = sample(f"policies.{arrow}.retry.attempts=2", f"policies.{arrow}.timeout=1 s")
    policies = design.policies["api", "tweets_db"].policies
    assert (policies["retry"].attempts, policies["retry"].backoff_max_ns) == (2, 30 * S)
    assert policies["timeout"].limit_ns == S


def test_a_key_below_a_policy_written_as_one_value() -> None:
    policies = sample("policies.api -> timeline_cache.timeout.limit=70 ms").policies
    assert policies["api", "timeline_cache"].policies["timeout"].limit_ns == 70_000_000
    text = SMALL + "policies:\n  api -> db: {bulkhead: 40}\n"
    bulkhead = read(text, "policies.api -> db.bulkhead.queue=10").policies["api", "db"].policies["bulkhead"]
    assert (bulkhead.in_flight, bulkhead.queue) == (40, 10)


def test_a_policy_can_be_taken_away() -> None:
    policies = sample("policies.api -> tweets_db.retry=none").policies["api", "tweets_db"].policies
    assert "retry" not in policies
    retry = sample("policies.api -> tweets_db.retry.budget=none").policies["api", "tweets_db"].policies["retry"]
    assert retry.budget_ratio == -1.0


def test_mappings_and_lists_as_values() -> None:
    design = sample(
        "policies.lb -> api={timeout: 1 s, retry: {attempts: 2}}",
        "flows.read_timeline.steps.2.on_miss.0.takes={p50: 1 ms, p99: 9 ms}",
        "scenarios.stampede.expect=[recovers within 5 min]",
        "scenarios.stampede.load={0 min: 1x, 1 min: 2x}",
    )
    assert design.policies["lb", "api"].policies["retry"].attempts == 2
    assert design.flows["read_timeline"].steps[2].on_miss[0].takes.shape == "lognormal"  # type: ignore[union-attr]
    assert design.scenarios["stampede"].expect[0].limit == 300 * S
    assert design.scenarios["stampede"].load == ((0, 1.0), (60 * S, 2.0))


def test_lists_by_number_and_one_more_at_the_end() -> None:
    design = sample("scenarios.stampede.faults.0.at=6 min", "scenarios.stampede.expect.3=recovers within 2 min")
    assert design.scenarios["stampede"].faults[0].at_ns == 360 * S
    assert len(design.scenarios["stampede"].expect) == 4


def test_a_percentile_has_a_dot() -> None:
    assert sample("slo.read_timeline.p99.9=2 s").slo["read_timeline"].latency_ns[99.9] == 2 * S
    assert read(SMALL, "slo.read.p99.9=2 s").slo["read"].latency_ns == {99.9: 2 * S}


def test_an_equals_sign_in_the_value() -> None:
    expect = sample("scenarios.stampede.expect.1=read_timeline.p99 <= 300 ms").scenarios["stampede"].expect
    assert (expect[1].comparison, expect[1].limit) == ("<=", 300_000_000)


def test_the_later_of_two_wins() -> None:
    assert sample("components.api.replicas=30", "components.api.replicas=40").components["api"].spec.replicas == 40


def test_places_stay_those_of_the_file() -> None:
    path = ("components", "timeline_cache", "ttl_jitter")
    assert sample("components.timeline_cache.ttl_jitter=10%").source.line_of(path) == sample().source.line_of(path) > 0


@pytest.mark.parametrize(
    ("override", "message", "remedy", "marked"),
    [
        ("components.timeline_cache.ttl_jitter=10", "no percent sign", "write 10%", "10"),
        ("components.timeline_cach.ttl=1 s", "unknown component", 'mean "timeline_cache"?', "timeline_cach"),
        ("components.api.replica=3", 'api has no "replica"', 'mean "replicas"?', "replica"),
        ("component.api.replicas=3", 'no "component"', 'mean "components"?', "component"),
        ("flows.read.steps.0.cpu=1 ms", "unknown flow", 'mean "read_timeline"?', "read"),
        ("requirements.data.twet.size=1 KB", "unknown data set", 'mean "tweet"?', "twet"),
        ("scenarios.stampeed.lasts=1 h", "unknown scenario", 'mean "stampede"?', "stampeed"),
        ("flows.read_timeline.steps.9.cpu=1 ms", "no item of this list", "0 to 3", "9"),
        ("flows.read_timeline.steps.first.cpu=1 ms", "no item of this list", "0 to 3", "first"),
        ("components.api.replicas.low=3", "is one value", "as a whole", "replicas"),
        ("policies.lb -> tweets_db.timeout=1 s", "no flow goes along", "api", "lb -> tweets_db"),
        ("policies.api -> tweets_db.retri.attempts=1", 'no "retri"', 'mean "retry"?', "retri"),
        ("policies.api -> tweets_db.retry.attempts=5m", "5m is ambiguous", "5M", "5m"),
        ("components.api.replicas=", "is empty", "write a value", "="),
        ("components.api.replicas", "is no override", "path=value", "components.api.replicas"),
        ("=3", "is no override", "path=value", "=3"),
        ("", "is no override", "path=value", ""),
        ("components..replicas=3", "is no path", "keys with dots", "components..replicas"),
        (
            'policies."api -> tweets_db.timeout=1 s',
            "is no path",
            "keys with dots",
            'policies."api -> tweets_db.timeout',
        ),
    ],
)
def test_mistakes_are_told_at_the_override(override: str, message: str, remedy: str, marked: str) -> None:
    (mistake,) = mistakes_in(TEXT, override)
    assert mistake.path == "--set"
    assert mistake.source_line.strip() == override
    assert message in mistake.message
    assert remedy in mistake.remedy
    shown = mistake.source_line[mistake.column - 1 : mistake.column_end - 1]
    assert marked in (shown.strip(), mistake.source_line[mistake.column - 2 : mistake.column_end - 1])


def test_mistakes_of_file_and_overrides_are_told_together() -> None:
    found = mistakes_in(TEXT.replace("ttl: 5 min", "ttl: 5m"), "components.api.replica=3", "components.lb.cpus=1")
    assert [mistake.path for mistake in found] == ["design.yaml", "--set", "--set"]


@settings(derandomize=True)
@given(st.text(max_size=40), st.sampled_from(["components", "policies", "flows.read.steps", "slo.read", ""]))
def test_no_override_raises_anything_else(text: str, start: str) -> None:
    for override in (text, f"{start}.{text}", f"{start}={text}", f"{start}.x={text}"):
        for mistake in mistakes_in(SMALL, override):
            assert mistake.message
            assert mistake.remedy
