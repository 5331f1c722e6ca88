"""Deadline and timeout, transition by transition."""

from tenfold.policies.call import deadline, timeout
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import NEVER, PROCEED, REJECT


def ask(policy, config, call, now_ns):
    return policy.acquire(config, policy.State(), call, now_ns, 0.5)[0]


def test_first_attempt_sets_the_deadline_and_later_ones_do_not_extend_it():
    config, call = deadline.Config(total_ns=100), Call()
    assert [ask(deadline, config, call, now_ns) for now_ns in (10, 50, 109, 110)] == [PROCEED, PROCEED, PROCEED, REJECT]
    assert call.deadline_ns == 110


def test_callers_own_deadline_wins_when_it_is_earlier():
    call = Call(deadline_ns=60)
    assert ask(deadline, deadline.Config(total_ns=100), call, 0) == PROCEED
    assert call.deadline_ns == 60
    assert ask(deadline, deadline.Config(total_ns=100), Call(deadline_ns=60), 60) == REJECT


def test_every_attempt_gets_its_own_limit():
    config, call = timeout.Config(limit_ns=100), Call()
    ends = []
    for now_ns in (0, 500):
        ask(timeout, config, call, now_ns)
        ends.append(call.attempt_deadline_ns)
    assert ends == [100, 600]
    assert call.deadline_ns == NEVER


def test_attempt_never_outlives_the_deadline():
    call = Call(deadline_ns=60)
    assert ask(timeout, timeout.Config(limit_ns=100), call, 0) == PROCEED
    assert call.attempt_deadline_ns == 60


def test_attempt_whose_time_ran_out_in_a_queue_is_refused():
    assert ask(timeout, timeout.Config(limit_ns=100), Call(deadline_ns=60), 60) == REJECT
