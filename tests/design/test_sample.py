"""The sample design, section by section: what is written is what is there, in the units of the schema."""

import time
from pathlib import Path

import pytest
from reading import SAMPLE, SMALL, TEXT, changed, read

from tenfold import systems
from tenfold.design.load import fingerprint, load
from tenfold.design.schema import Design, Popularity, Range
from tenfold.kinds import KINDS

S = 1_000_000_000
MS = 1_000_000


@pytest.fixture(scope="module")
def design() -> Design:
    return load(SAMPLE, KINDS)


def test_requirements(design: Design) -> None:
    wanted = design.requirements
    assert wanted.users == Range(80e6, 100e6, 120e6)
    assert (wanted.peak_factor.likely, wanted.headroom_ratio, wanted.consistency) == (2.0, 0.3, "eventual")
    tweet, timeline = wanted.data["tweet"], wanted.data["timeline"]
    assert tweet.count.is_per_user
    assert tweet.count.period_ns == 86_400 * S
    assert tweet.keep_ns is not None
    assert tweet.keep_ns.likely == 547.5 * 86_400 * S
    assert (tweet.size_bytes.likely, tweet.copies, tweet.index_ratio.likely, tweet.backups) == (480, 3, 0.5, 1)
    profile = wanted.data["profile"].count
    assert (profile.value.likely, profile.period_ns, profile.is_per_user) == (1, 0, True)
    assert (timeline.count.value.likely, timeline.count.period_ns, timeline.count.is_per_user) == (4e6, 0, False)
    assert timeline.popularity == Popularity(0.9)


def test_components_are_filled_by_their_kind(design: Design) -> None:
    cache = design.components["timeline_cache"]
    assert cache.kind.NAME == "redis"
    assert (cache.spec.nodes, cache.spec.memory_bytes, cache.spec.holds) == (6, 64 * 10**9, "timeline")
    assert (cache.spec.ttl_ns, cache.spec.ttl_jitter_ratio, cache.spec.lock) == (300 * S, 0.0, False)
    assert design.components["fanout_q"].spec.max_length == 5_000_000
    assert design.components["tweets_db"].spec.pool_queue == -1


def test_words_of_int_settings_are_stored_as_their_index(design: Design) -> None:
    assert design.components["api"].spec.balance == 3
    assert design.components["tweets_db"].spec.reads == 1


def test_client_is_always_there(design: Design) -> None:
    assert design.components["client"].kind.NAME == "client"
    assert read(changed("components:\n", "components:\n  client: {kind: client, latency: 40 ms}\n")).components[
        "client"
    ].spec.latency_ns == (40 * MS)


def test_flows(design: Design) -> None:
    flow = design.flows["read_timeline"]
    assert flow.rate is not None
    assert (flow.rate.value.likely, flow.rate.period_ns, flow.rate.is_per_user) == (50, 86_400 * S, True)
    assert [step.verb for step in flow.steps] == ["through", "run", "get", "choose"]
    assert [step.verb for step in flow.steps[2].on_miss] == ["query", "set"]
    call = flow.steps[3].branches[0].steps[0]
    assert (call.verb, call.target, call.errors_ratio) == ("call", "pictures", 0.01)
    assert [branch.weight for branch in flow.steps[3].branches] == [0.1, 0.9]
    deliver = design.flows["deliver"]
    assert (deliver.trigger, deliver.rate) == ("fanout_q", None)
    assert (deliver.steps[1].times.likely, deliver.steps[1].only_present) == (75, True)


def test_a_scope_that_lists_its_steps(design: Design) -> None:
    run = design.flows["post_tweet"].steps[1]
    assert run.steps is not None
    parallel = run.steps[0]
    assert [branch.steps[0].verb for branch in parallel.branches] == ["insert", "publish"]
    assert parallel.branches[0].steps[0].data == "tweet"
    assert parallel.branches[1].steps[0].size_bytes == Range.exactly(1000)


def test_policies(design: Design) -> None:
    arrow = design.policies["api", "tweets_db"]
    assert set(arrow.policies) == {"timeout", "retry", "circuit_breaker", "bulkhead"}
    assert arrow.policies["timeout"].limit_ns == 800 * MS
    retry = arrow.policies["retry"]
    assert (retry.attempts, retry.backoff_ns, retry.backoff_max_ns) == (3, S, 30 * S)
    assert (retry.jitter_ratio, retry.jitter_mode, retry.budget_ratio) == (0.2, 1, 0.2)
    assert design.policies["client", "lb"].policies["retry"].backoff_ns == 0
    assert design.policies["api", "timeline_cache"].on_failure == "miss"


def test_slo(design: Design) -> None:
    slo = design.slo["read_timeline"]
    assert slo.latency_ns == {50.0: 20 * MS, 99.0: 200 * MS, 99.9: S}
    assert slo.availability_ratio == 0.999


def test_scenarios(design: Design) -> None:
    storm = design.scenarios["slow_db_retry_storm"]
    assert storm.load == ((0, 0.5), (120 * S, 3.0), (360 * S, 1.0))
    assert (storm.lasts_ns, storm.warmup_ns, storm.starts) == (600 * S, 60 * S, "cold")
    slow, kill, drop, partition = storm.faults
    assert (slow.verb, slow.target, slow.at_ns, slow.by_factor, slow.for_ns) == (
        "slow",
        "tweets_db",
        120 * S,
        10.0,
        30 * S,
    )
    assert (kill.target, kill.nodes) == ("api", 10)
    assert (drop.arrow, drop.share_ratio) == (("api", "tweets_db"), 0.05)
    assert partition.arrow == ("api", "timeline_cache")
    recovers, p99, hits = design.scenarios["stampede"].expect
    assert (recovers.kind, recovers.limit) == ("recovers", 60 * S)
    assert (p99.subject, p99.metric, p99.comparison, p99.limit) == ("read_timeline", "p99", "<", 500 * MS)
    assert (hits.subject, hits.metric, hits.comparison, hits.limit) == ("timeline_cache", "hit_ratio", ">=", 0.8)
    assert design.scenarios["stampede"].load == ((0, 1.0),)


def test_ignore(design: Design) -> None:
    assert [(item.rule, item.at, item.because) for item in design.ignore] == [
        ("CAP004", "lb", "managed by the cloud provider")
    ]


def test_every_value_knows_its_place(design: Design) -> None:
    path = ("components", "timeline_cache", "ttl_jitter")
    place = design.source.values[path]
    lines = TEXT.splitlines()
    assert lines[place.line - 1][place.column - 1 : place.column_end - 1] == "0%"
    key = design.source.keys[path]
    assert lines[key.line - 1][key.column - 1 : key.column_end - 1] == "ttl_jitter"
    assert design.source.where(path) == f"{SAMPLE}:{place.line}"
    step = design.flows["read_timeline"].steps[2]
    assert design.source.line_of((*step.path, "get")) == 1 + lines.index("      - get: timeline_cache")
    component = design.source.line_of(design.components["lb"].path)
    assert lines[component - 1].startswith("  lb:")


def test_yaml_does_not_get_to_guess_types() -> None:
    text = changed("holds: item", "holds: no").replace("    item:", "    no:")
    assert read(text).components["cache"].spec.holds == "no"
    assert read(changed("tenfold: 1\n", "tenfold: 1\ntitle: 012\n")).title == "012"


def test_what_is_left_out_has_its_default() -> None:
    design = read(SMALL)
    assert design.title == "design"
    assert design.requirements.peak_factor == Range.exactly(2.0)
    assert design.components["db"].spec.pool == 100
    assert (design.policies, design.slo, design.scenarios, design.ignore) == ({}, {}, {}, ())
    assert read(SMALL + "policies:\nslo:\nscenarios:\nignore:\n").policies == {}


def test_the_fingerprint_follows_text_and_overrides_only(design: Design) -> None:
    assert len(design.fingerprint) == 16
    assert design.fingerprint == load(SAMPLE, KINDS).fingerprint
    plain = read(SMALL).fingerprint
    assert plain != read(SMALL + "# more\n").fingerprint
    one, two = "components.api.replicas=3", "components.db.pool=50"
    assert read(SMALL, one, two).fingerprint == read(SMALL, two, one).fingerprint
    assert read(SMALL, one).fingerprint != plain
    assert read(SMALL, "components.api.replicas=4", one).fingerprint == read(SMALL, one).fingerprint
    assert fingerprint("a\r\nb") == fingerprint("a\nb")


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "design.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert read(SMALL).flows == load(path, KINDS).flows


def test_reference_systems_load() -> None:
    assert "timeline" in systems.names()
    for name in systems.names():
        load(systems.design_path(name), KINDS)
    with pytest.raises(KeyError, match="no reference system"):
        systems.design_path("nothing")


def test_a_design_of_400_lines_loads_at_once() -> None:
    boxes = "".join(f"  s{i}:\n    kind: service\n    replicas: {i + 1}\n    workers: 64\n" for i in range(100))
    started = time.perf_counter()
    read(changed("components:\n", "components:\n" + boxes))
    assert time.perf_counter() - started < 0.5
