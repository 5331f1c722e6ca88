"""What a pipeline counts, tells, leaves behind and refuses to be made of: the same for asyncio and for threads."""

import contextlib
import logging
import threading

import pytest
from shells import REPEATS, SECOND, Takes, at_rest, collecting

from tenfold.errors import CallRejected, UsageError
from tenfold.policies.call import CALL_POLICIES_BY_NAME, bulkhead, deadline, retry, timeout
from tenfold.policies.verbs import NEVER
from tenfold.runtime.attempt import within

STEADY = {"attempts": 3, "backoff": "100 ms", "jitter": 0}


# Counts.

COUNTED = {
    "success": ({}, ["ok"], {"calls": 1, "attempts": 1}),
    "retried": ({"retry": STEADY}, [OSError(), "ok"], {"calls": 1, "attempts": 2, "retries": 1}),
    "given up": ({"retry": STEADY}, [OSError()] * 3, {"calls": 1, "attempts": 3, "retries": 2}),
    "opened": (
        {"retry": STEADY, "circuit_breaker": {"failures": 2}},
        [OSError()] * 3,
        {"calls": 1, "attempts": 2, "retries": 2, "rejected_by_breaker": 1, "breaker_opened": 1},
    ),
    "no budget": (
        {"retry": {**STEADY, "budget": "100%"}},
        [OSError()] * 3,
        {"calls": 1, "attempts": 2, "retries": 1, "budget_exhausted": 1},
    ),
    "no time": ({"deadline": "50 ms", "retry": STEADY}, [OSError()], {"calls": 1, "attempts": 1}),
    "bug": ({"retry": STEADY}, [KeyboardInterrupt()], {"calls": 1, "attempts": 1}),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counts_are_exact(make, name):
    policies, script, counts = COUNTED[name]
    case = make(**policies, script=script)
    with contextlib.suppress(OSError, CallRejected, KeyboardInterrupt):
        case.call()
    assert case.counts == counts


# Listener.


def test_listener_may_ask_the_pipeline(make):
    seen = []
    case = make(
        retry=STEADY,
        bulkhead=1,
        script=[ConnectionError()],
        on_decision=lambda told: seen.append((case.pipeline.counts.calls, case.state("bulkhead").in_flight_count)),
    )
    case.call()
    assert seen[:2] == [(1, 0), (1, 1)]
    assert seen[-1] == (1, 0)


def test_listener_that_fails_costs_neither_the_call_nor_a_slot(make, monkeypatch, caplog):
    complaints = []
    monkeypatch.setattr(threading, "excepthook", lambda told: complaints.append(told.exc_value))

    def listener(decision):
        raise LookupError(decision.policy)

    case = make(retry=STEADY, bulkhead=1, script=[ConnectionError()], on_decision=listener)
    with caplog.at_level(logging.ERROR, "asyncio"):
        assert case.call() == "ok"
    complaints += [record.exc_info[1] for record in caplog.records]
    assert len(complaints) == 8
    assert {type(complaint) for complaint in complaints} == {LookupError}
    assert at_rest(case)


# Garbage.

LEFT = {
    "success": lambda: ["ok"],
    "failure": lambda: [OSError(), OSError()],
    "retry": lambda: [OSError(), "ok"],
    "timeout": lambda: [Takes(9), Takes(9)],
    "interrupted": lambda: [KeyboardInterrupt()],
    "refused": list,
}


@pytest.mark.parametrize("way", ["call", "block"])
@pytest.mark.parametrize("name", LEFT)
def test_no_call_leaves_a_cycle_for_the_collector(make, name, way):
    policies = {"retry": {"attempts": 2, "backoff": 0}, "circuit_breaker": True, "bulkhead": 1, "timeout": "1 s"}
    case = make(**policies | ({"circuit_breaker": {"failures": 10**6}} if name != "refused" else {}))
    assert case.cycles(way, {"deadline_ns": 0 if name == "refused" else NEVER}, LEFT[name]) == 0


def test_scope_of_a_request_leaves_no_cycle():
    with collecting() as left:
        for _ in range(REPEATS):
            with within(SECOND):
                pass
    assert left() == 0


# Settings.


def test_every_mistake_in_the_settings_is_told_at_once_with_its_remedy(make):
    with pytest.raises(UsageError) as caught:
        make(
            retry={"atempts": 3, "jitter": 0.2},
            timeout="800",
            bulkhead={"queue": 1},
            circuit_braker=True,
            deadline=timeout.Config(limit_ns=1),
        )
    assert str(caught.value).splitlines() == [
        'retry has no key "atempts": did you mean attempts? keys: attempts, backoff, backoff_max, jitter, jitter_mode,'
        " budget, budget_reserve, budget_window, mark",
        'jitter of retry: "0.2" has no percent sign: write 20%',
        'limit of timeout: "800" has no unit: write 800 ms, 800 s or 800 min',
        "bulkhead has no in_flight: give in_flight (Calls in flight at once, per instance of the caller.)",
        "there is no policy 'circuit_braker': did you mean circuit_breaker?"
        f" policies: {', '.join(CALL_POLICIES_BY_NAME)}",
        "deadline: not its settings: Config(limit_ns=1): give a mapping, or the Config of deadline",
    ]


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"timeout": True}, "timeout has no limit: give limit (Time for one attempt.)"),
        ({"retry": 3}, "retry should have keys: give a mapping with keys from: attempts, backoff, "),
        ({"retry": {"backoff": "100 mb"}}, "backoff of retry: "),
        ({"retry": {"attempts": 0}}, 'attempts of retry: "0" is too small: write 1 or more'),
        ({"retry": {"attempts": True}}, 'attempts of retry: "true" is not a count: write '),
        ({"retry": {1: 2}}, 'retry has no key "1": keys: attempts, '),
    ],
    ids=str,
)
def test_a_mistake_in_the_settings_says_what_to_write(make, wrong, line):
    with pytest.raises(UsageError) as caught:
        make(**wrong)
    assert str(caught.value).startswith(line)


def test_settings_are_those_of_the_design_file(make):
    case = make(
        deadline="2 s", retry=True, bulkhead={"in_flight": 20, "queue": "40"}, timeout=None, circuit_breaker=False
    )
    assert case.pipeline.order == ("deadline", "retry", "bulkhead")
    assert case.pipeline.config("deadline") == deadline.Config(total_ns=2 * SECOND)
    assert case.pipeline.config("retry") == retry.Config()
    assert case.pipeline.config("bulkhead") == bulkhead.Config(in_flight=20, queue=40)
