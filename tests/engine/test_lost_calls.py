"""Lost calls: TCP sends them again, until the fault is over or its patience is at an end."""

import pytest
from small_runs import S, designed, failures, good_share, queue_of, run_of

from tenfold.verdict import judge

CALL = queue_of("kind: external, latency: 0 s", "{constant: 1 ms}", 1000)


def test_a_lost_call_without_a_timeout_gets_through_when_the_partition_ends() -> None:
    run = run_of(CALL, lasts="90 s", scenario="faults: [{at: 10 s, partition: client -> x, for: 20 s}]")
    assert failures(run.flows["f"]) == 0
    assert run.flows["f"].unfinished < 10
    assert good_share(run, 0) == pytest.approx(1.0, abs=0.001)
    # Sent again after 1, 3, 7, 15 and 31 s: what was lost at 10 s gets through at 41 s, the last at 15 + 31 s.
    assert run.flows["f"].latency.max_ns == pytest.approx(31 * S, rel=0.01)
    assert max(run.flows["f"].p99_ns[47:]) < 2_000_000


def test_a_lost_call_fails_when_tcp_gives_up() -> None:
    run = run_of(CALL, lasts="200 s", scenario="faults: [{at: 10 s, partition: client -> x, for: 1 h}]")
    failed = run.flows["f"].failed["no_answer"]
    assert sum(failed[:137]) == 0
    assert sum(failed[138:199]) == pytest.approx(61_000, rel=0.02)


def test_a_timeout_longer_than_the_partition_lets_the_call_get_through() -> None:
    body = CALL + "policies: {client -> x: {timeout: 5 s}}\n"
    run = run_of(body, scenario="faults: [{at: 10 s, partition: client -> x, for: 2 s}]")
    assert failures(run.flows["f"]) == 0
    assert run.flows["f"].latency.max_ns == pytest.approx(3 * S, rel=0.01)


def test_what_a_drop_loses_stays_lost_while_it_lasts() -> None:
    body = CALL + "policies: {client -> x: {timeout: 5 s}}\n"
    run = run_of(body, scenario="faults: [{at: 10 s, drop: x, share: 50%, for: 30 s}]")
    assert sum(run.flows["f"].failed["timeout"][16:39]) == pytest.approx(500 * 23, rel=0.03)


def test_a_caller_that_has_hung_up_sends_nothing_again() -> None:
    body = CALL + "policies: {client -> x: {timeout: 500 ms}}\n"
    run = run_of(body, scenario="faults: [{at: 10 s, partition: client -> x, for: 5 s}]")
    assert sum(run.components["x"].calls) == pytest.approx(sum(run.flows["f"].good), abs=5)
    assert failures(run.flows["f"]) == run.arrows["client -> x"].timeouts


def test_a_partition_that_heals_is_no_metastable_failure() -> None:
    how = {"lasts": "3 min", "scenario": "faults: [{at: 60 s, partition: client -> x, for: 20 s}]"}
    design = designed(CALL, **how)
    verdict = judge(design, design.scenarios["s"], run_of(CALL, **how))
    assert verdict.state == "recovered"
    assert verdict.recovery_ns is not None
    assert verdict.recovery_ns < 20 * S
