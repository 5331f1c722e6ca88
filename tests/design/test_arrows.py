"""Who calls whom."""

import pytest
from reading import SAMPLE, SMALL, changed, read

from tenfold import systems
from tenfold.design.arrows import arrows_of, calls_of
from tenfold.design.load import load
from tenfold.design.schema import Scenario
from tenfold.design.template import template
from tenfold.kinds import KINDS


def test_the_caller_is_the_innermost_scope() -> None:
    calls = calls_of(load(SAMPLE, KINDS))
    assert [(call.caller, call.callee) for call in calls if call.flow == "read_timeline"] == [
        ("client", "lb"),
        ("lb", "api"),
        ("api", "timeline_cache"),
        ("api", "tweets_db"),
        ("api", "timeline_cache"),
        ("api", "pictures"),
    ]
    assert calls[3].path == ("flows", "read_timeline", "steps", 2, "on_miss", 0)


def test_blocks_inherit_the_caller_and_a_log_calls_what_it_triggers() -> None:
    calls = [(call.flow, call.caller, call.callee) for call in calls_of(load(SAMPLE, KINDS))]
    assert ("post_tweet", "api", "tweets_db") in calls
    assert ("post_tweet", "api", "fanout_q") in calls
    assert calls[-2:] == [("deliver", "fanout_q", "fanout_worker"), ("deliver", "fanout_worker", "timeline_cache")]


def test_a_scope_with_its_own_steps_ends_after_them() -> None:
    text = changed("cpu: 1 ms\n", "cpu: 1 ms\n        steps: [{run: worker}, {query: db}]\n")
    read_calls = [(call.caller, call.callee) for call in calls_of(read(text)) if call.flow == "read"]
    assert read_calls == [
        ("client", "api"),
        ("api", "worker"),
        ("worker", "db"),
        ("client", "cache"),
        ("client", "db"),
        ("client", "q"),
    ]


def test_a_call_may_hold_steps_and_then_lets_go() -> None:
    text = changed("- publish: q", "- {call: worker, steps: [{query: db}]}\n      - publish: q")
    calls = [(call.caller, call.callee) for call in calls_of(read(text)) if call.flow == "read"]
    assert calls[-3:] == [("api", "worker"), ("worker", "db"), ("api", "q")]


def test_arrows_are_told_once() -> None:
    arrows = arrows_of(load(SAMPLE, KINDS).flows)
    assert len(arrows) == len(set(arrows)) == 8
    assert arrows_of(read(SMALL).flows)[0] == ("client", "api")


NESTED = changed(
    "- publish: q",
    """- choose:
          - weight: 40%
            steps:
              - parallel: [[{call: worker, steps: [{query: db}]}, {get: cache}], [{run: worker}, {insert: db}]]
              - set: cache
          - {weight: 60%, steps: [{run: worker, steps: [{get: cache, on_miss: [{query: db}]}]}, {call: api}]}
      - publish: q""",
)


SHIPPED = {name: systems.design_path(name).read_text() for name in systems.names()}
DESIGNS = {"small": SMALL, "nested": NESTED, "sample": SAMPLE.read_text(), "template": template("x")} | SHIPPED


@pytest.mark.parametrize("text", DESIGNS.values(), ids=DESIGNS.keys())
def test_the_program_calls_along_the_same_arrows(text: str) -> None:
    from tenfold.program.lower import lower

    plain = read(text)
    arrows = arrows_of(plain.flows)
    design = read(text, *(f"policies.{caller} -> {callee}.timeout=7 s" for caller, callee in arrows))
    program = lower(design, Scenario("steady", 60 * 10**9))
    assert set(program.arrow_names) == {f"{caller} -> {callee}" for caller, callee in arrows}
