"""Each state of a run, and what a verdict says about it."""

from dataclasses import replace

import pytest

from runs import (
    LATE,
    MS,
    RECOVERED,
    RELAPSED,
    SLO,
    SLOW,
    STEADY,
    STOPPED,
    STUCK,
    UNTOUCHED,
    Phase,
    S,
    design_of,
    metric,
    recovers,
    run_of,
    scenario_of,
)
from tenfold.results.run import Run, Trigger
from tenfold.verdict import judge


@pytest.mark.parametrize(
    ("run", "state"),
    [
        (STEADY, "steady"),
        (UNTOUCHED, "recovered"),
        (RECOVERED, "recovered"),
        (LATE, "degraded"),
        (SLOW, "degraded"),
        (RELAPSED, "degraded"),
        (STUCK, "METASTABLE"),
        (STOPPED, "undecided"),
    ],
)
def test_the_state_is_what_the_definition_says(run: Run, state: str) -> None:
    assert judge(design_of(), scenario_of(), run).state == state


def test_time_to_recover_counts_from_the_end_of_the_trigger() -> None:
    assert judge(design_of(), scenario_of(), RECOVERED).recovery_ns == 12 * S
    lasting = run_of(Phase(0), Phase(100, errors=0.6), Phase(145), trigger=(100, 140))
    found = judge(design_of(), scenario_of(), lasting)
    assert (found.recovery_ns, found.gone_ns) == (5 * S, 140 * S)


def test_a_stated_time_replaces_the_default() -> None:
    found = judge(design_of(), scenario_of(recovers(10)), RECOVERED)
    assert (found.state, found.checks[0].passed) == ("degraded", False)
    assert judge(design_of(), scenario_of(recovers(120)), LATE).state == "recovered"


def test_a_relapse_is_found_where_it_began() -> None:
    found = judge(design_of(), scenario_of(recovers(60)), RELAPSED)
    assert (found.recovery_ns, found.relapse_ns, found.checks[0].passed) == (10 * S, 200 * S, False)


def test_too_little_time_after_the_trigger_is_not_called_metastable() -> None:
    short = run_of(Phase(0), Phase(100, errors=0.61), lasts_s=120)
    assert judge(design_of(), scenario_of(lasts_s=120), short).state == "degraded"


def test_raised_load_that_stays_is_a_trigger_that_stays() -> None:
    raised = run_of(Phase(0), Phase(100, errors=0.61, rate=3000), trigger=None)
    found = judge(design_of(), scenario_of(load=((0, 1.0), (100 * S, 3.0))), raised)
    assert (found.state, found.gone_ns) == ("degraded", None)
    assert "stays to the end" in found.why


def test_load_that_comes_back_is_judged_per_request() -> None:
    halved = run_of(Phase(0), Phase(100, errors=0.6, rate=3000), Phase(160, rate=500), trigger=None)
    found = judge(design_of(), scenario_of(load=((0, 1.0), (100 * S, 3.0), (160 * S, 0.5))), halved)
    assert (found.state, found.recovery_ns) == ("recovered", 0)


def test_without_a_baseline_nothing_is_decided() -> None:
    found = judge(design_of(), scenario_of(recovers(60)), run_of(Phase(0), trigger=(10, 10)))
    assert (found.state, found.checks[0].passed) == ("undecided", None)
    assert "nothing to compare with" in found.why


def test_expectations_and_slos_carry_what_was_measured() -> None:
    expect = (
        metric("read.p99 < 500 ms", "read", "p99", "<", 500 * MS),
        metric("read.errors < 50%", "read", "errors", "<", 0.5),
        metric("db.utilisation < 80%", "db", "utilisation", "<", 0.8),
        metric("cache.hit_ratio > 90%", "cache", "hit_ratio", ">", 0.9),
        metric("read.goodput > 100/s", "read", "goodput", ">", 100.0),
    )
    found = judge(design_of(SLO), scenario_of(*expect), STUCK)
    assert [check.passed for check in found.checks] == [False, True, False, False, True, False, False]
    assert [check.measured for check in found.checks][:3] == [3800 * MS, pytest.approx(0.436, abs=1e-3), 1.0]
    assert [check.text for check in found.checks][-2:] == ["read.p99 <= 200 ms", "read.availability >= 99.9 %"]
    assert len(found.missed) == 5


def test_what_was_not_measured_is_neither_passed_nor_failed() -> None:
    expect = metric("db.hit_ratio > 90%", "db", "hit_ratio", ">", 0.9)
    assert judge(design_of(), scenario_of(expect), STUCK).checks[0].passed is None


def test_what_saturated_first_is_the_furthest_downstream_of_those_that_filled_up_together() -> None:
    crowded = replace(
        STUCK.components["cache"],
        utilisation={"cpu": tuple(1.0 if number >= 100 else 0.1 for number in range(300))},
    )
    run = replace(STUCK, components={**STUCK.components, "cache": crowded})
    found = judge(design_of(), scenario_of(), run).saturated
    assert [(s.component, s.resource, s.at_ns) for s in found] == [
        ("db", "connections", 100 * S),
        ("cache", "cpu", 100 * S),
    ]


def test_the_sentence_names_the_trigger_the_moment_and_what_keeps_it_going() -> None:
    why = judge(design_of(), scenario_of(), STUCK).why
    assert why == (
        "61 % of read still fail at 5:00, 200 s after the trigger (cache expires) was gone at 1:40: "
        "db connections 100 % busy with 21x its usual calls; clients try 2.9 times per request; "
        "cache hits 40 % instead of 95 %"
    )


def test_the_worst_moment_is_after_warm_up() -> None:
    early = run_of(Phase(0, errors=0.9), Phase(20), Phase(100, errors=0.3), Phase(105))
    worst = judge(design_of(), scenario_of(), early).worst
    assert worst is not None
    assert (worst.errors_ratio, worst.at_ns) == (0.3, 100 * S)


def test_a_single_unlucky_bin_is_no_relapse_of_a_slow_flow() -> None:
    blip = run_of(Phase(0, rate=1000), Phase(200, p95_ms=90), Phase(201))
    assert judge(design_of(), scenario_of(), blip).state == "recovered"


def test_the_last_of_several_triggers_counts() -> None:
    run = replace(RECOVERED, triggers=(*RECOVERED.triggers, Trigger("db slow", 101 * S, 108 * S)))
    assert judge(design_of(), scenario_of(), run).recovery_ns == 4 * S


def test_judging_twice_gives_the_same_verdict() -> None:
    assert judge(design_of(SLO), scenario_of(), STUCK) == judge(design_of(SLO), scenario_of(), STUCK)
