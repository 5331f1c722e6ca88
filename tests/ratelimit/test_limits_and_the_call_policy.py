"""The limiter's GCRA and the call policy `rate_limit`, which the simulator runs, let the same hits pass."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from limiting import START_NS, Clock, S, tables

from tenfold.policies.call.call import Call
from tenfold.policies.verbs import PROCEED
from tenfold.runtime.ratelimit.gcra import PART_BITS
from tenfold.runtime.ratelimit.limits import Limit

policy: Any = pytest.importorskip("tenfold.policies.call.rate_limit", reason="the call policy is not there yet")


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 10**6),
    st.integers(1, 30),
    st.lists(st.one_of(st.integers(0, 2 * S), st.integers(0, 3_000), st.just(0)), max_size=60),
)
def test_hit_by_hit_they_answer_the_same(rate_per_s: int, burst: int, steps: list[int]) -> None:
    config, state = policy.Config(rate_per_s=float(rate_per_s), burst=burst), policy.State()
    clock = Clock(START_NS)
    (counted, *_) = tables(clock, Limit(rate_per_s, S, burst, "gcra", "drawn"))
    spacing_ns, part = policy.spacing(config)
    assume(
        counted.meters[0].step == (spacing_ns << PART_BITS) + part
    )  # it divides in floating point: a part may differ
    for later_ns in steps:
        clock.now_ns += later_ns
        verb, wait_ns = policy.acquire(config, state, Call(), clock.now_ns, 0.0)
        decision = counted.hit("k", 1)
        assert decision.allowed == (verb == PROCEED)
        assert 0 <= decision.retry_after_ns - wait_ns < 1_000
