"""A service's policies come from the lines that are simulated."""

from pathlib import Path

import pytest

from tenfold import CallRejected, UsageError, api
from tenfold.cache import MemoryStore, RedisStore
from tenfold.design.schema import Design
from tenfold.policies.cache import freshness
from tenfold.runtime.cache.settings import BYPASS, FAIL
from tenfold.testing.world import World

DESIGN = """\
tenfold: 1
title: Shop
components:
  web:    {kind: service}
  db:     {kind: postgres}
  offers: {kind: external}
  shelf:  {kind: redis, holds: item, ttl: 5 min, ttl_jitter: 10%, lock: true, fail_safe: 1 h}
flows:
  read:
    rate: 10/s
    steps: [{run: web}, {get: shelf, on_miss: [{query: db}, {set: shelf}]}, {call: offers}]
requirements: {data: {item: {size: 1 KB, count: 1k}}}
policies:
  web -> db:
    deadline: 5 s
    timeout: 800 ms
    retry: {attempts: 3, backoff: 1 s, backoff_max: 30 s, jitter: 20%, budget: 20%}
    circuit_breaker: {failures: 5, open: 30 s}
    bulkhead: {in_flight: 400, queue: 800}
  web -> offers: {circuit_breaker: {failures: 1}, on_failure: skip}
  web -> shelf: {timeout: 50 ms, circuit_breaker: {failures: 3}, on_failure: miss}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(DESIGN, encoding="utf-8")
    return path


@pytest.fixture
def design(path: Path) -> Design:
    return api.load(path)


async def fails(attempt: object) -> str:
    raise ConnectionError


def test_an_arrows_pipeline_has_the_settings_of_the_file(design: Design) -> None:
    pipeline = design.pipeline("web -> db")
    assert pipeline.order == ("deadline", "retry", "circuit_breaker", "bulkhead", "timeout")
    assert (pipeline.name, pipeline.config("timeout").limit_ns) == ("web -> db", 800_000_000)
    assert pipeline.config("retry") == design.policies["web", "db"].policies["retry"]
    assert design.thread_pipeline("web->db").config("bulkhead").queue == 800


def test_editing_the_file_changes_the_service_at_its_next_start(path: Path) -> None:
    path.write_text(DESIGN.replace("timeout: 800 ms", "timeout: 200 ms"), encoding="utf-8")
    assert api.load(path).pipeline("web -> db").config("timeout").limit_ns == 200_000_000


def test_an_arrow_without_policies_is_called_without(design: Design) -> None:
    assert design.pipeline("client -> web").order == ()


def test_an_arrow_that_is_not_there_is_an_error_with_the_nearest(design: Design) -> None:
    with pytest.raises(UsageError) as caught:
        design.pipeline("web -> bd")
    assert "no arrow web -> bd" in caught.value.message
    assert "did you mean 'web -> db'?" in caught.value.remedy
    with pytest.raises(UsageError, match="is no arrow"):
        design.pipeline("db")


def test_on_failure_skip_goes_on_without_an_answer_and_the_callers_own_fallback_goes_first(design: Design) -> None:
    world = World()
    skipping = design.pipeline("web -> offers", clock_ns=world.clock_ns)
    assert world.run(skipping.call(fails, idempotent=True)) is None
    own = design.pipeline("web -> offers", clock_ns=world.clock_ns, fallback=lambda error: "none today")
    assert world.run(own.call(fails, idempotent=True)) == "none today"
    strict = design.pipeline("web -> offers", clock_ns=world.clock_ns, fallback=None)
    with pytest.raises(ConnectionError):
        world.run(strict.call(fails, idempotent=True))
    with pytest.raises(CallRejected):
        world.run(strict.call(fails, idempotent=True))


def test_a_cache_has_the_freshness_of_the_file_and_loads_while_its_store_is_down(design: Design) -> None:
    cache = design.cache("shelf", MemoryStore())
    assert cache.config == freshness.Config(
        ttl_ns=300_000_000_000, ttl_jitter_ratio=0.1, lock=True, fail_safe_ns=3_600_000_000_000
    )
    assert (cache.name, cache.limits.on_store_down) == ("shelf", BYPASS)


def test_a_cached_read_that_may_not_fail_over_fails_with_its_store(path: Path) -> None:
    path.write_text(DESIGN.replace(", on_failure: miss}", "}"), encoding="utf-8")
    assert api.load(path).cache("shelf", MemoryStore()).limits.on_store_down == FAIL


def test_what_a_cache_cannot_honour_is_an_error_not_silence(design: Design, path: Path) -> None:
    with pytest.raises(UsageError, match="the store waits 250 ms") as caught:
        design.cache("shelf", RedisStore("redis://127.0.0.1:1"))
    assert 'command_timeout="50 ms"' in caught.value.remedy
    assert design.cache("shelf", RedisStore("redis://127.0.0.1:1", command_timeout="50 ms"))
    path.write_text(DESIGN.replace("-> shelf: {", "-> shelf: {retry: {attempts: 2}, "), encoding="utf-8")
    with pytest.raises(UsageError, match="a cache does not do retry"):
        api.load(path).cache("shelf", MemoryStore())


def test_what_is_no_cache_is_refused_with_those_there_are(design: Design) -> None:
    with pytest.raises(UsageError, match="db is no cache, its kind is postgres"):
        design.cache("db", MemoryStore())
    with pytest.raises(UsageError) as caught:
        design.cache("shelve", MemoryStore())
    assert "did you mean 'shelf'?" in caught.value.remedy
