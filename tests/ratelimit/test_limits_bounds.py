"""No limiter lets more pass than it publishes, whatever comes when; none refuses what its algorithm lets pass."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limiting import ALGORITHMS, MS, START_NS, US, Clock, S, most_within, one, shown, tables

from tenfold.policies.verbs import NEVER
from tenfold.runtime.ratelimit.limits import Limit, limit

STEPS = st.lists(
    st.tuples(
        st.one_of(st.just(0), st.integers(0, 50 * MS), st.integers(0, 3 * S), st.sampled_from([S, S - 1, S + 1])),
        st.sampled_from(["hit", "hit", "hit", "refund"]),
        st.integers(1, 4),
    ),
    max_size=80,
)
"""ns later, what, and its cost (or which hit, from the last, to take back)."""


@st.composite
def some_limit(draw: st.DrawFn) -> Limit:
    algorithm: Any = draw(st.sampled_from(ALGORITHMS))
    period_ns = draw(st.sampled_from([S, 2 * S, 10 * S, 1_234_567 * US]))
    quota = draw(st.integers(1, 30))
    burst = draw(st.integers(1, 30)) if algorithm in ("gcra", "token_bucket") else 0
    return Limit(quota, period_ns, burst, algorithm, "drawn")


@settings(max_examples=300, deadline=None)
@given(some_limit(), STEPS, st.lists(st.integers(1, 20 * S), max_size=3))
def test_no_window_holds_more_than_the_published_bound(drawn: Limit, steps: Any, windows: list[int]) -> None:
    for counted in tables(clock := Clock(), drawn):
        clock.now_ns = START_NS
        passed: list[Any] = []
        for later_ns, what, number in steps:
            clock.now_ns += later_ns
            if what == "hit":
                decision = counted.hit("k", number)
                if decision.allowed:
                    passed.append(decision)
            elif len(passed) >= number:
                back = passed.pop(-number)
                counted.refund("k", back.cost, back.at_ns)
        units = [(each.at_ns, each.cost) for each in passed]
        for window_ns in [drawn.period_ns, *windows]:
            assert most_within(window_ns, units) <= drawn.bound(window_ns)


@settings(max_examples=150, deadline=None)
@given(some_limit(), STEPS)
def test_after_the_wait_it_names_a_hit_passes_and_not_before(drawn: Limit, steps: Any) -> None:
    for counted in tables(clock := Clock(), drawn):
        clock.now_ns = START_NS
        for later_ns, _, cost in steps:
            clock.now_ns += later_ns
            decision = counted.hit("k", cost)
            wait_ns = decision.retry_after_ns
            assert decision.allowed == (wait_ns == 0)
            if 0 < wait_ns < NEVER:
                clock.now_ns += wait_ns - min(wait_ns, 2 * US)
                assert wait_ns <= 2 * US or not counted.peek("k", cost).allowed
                clock.now_ns += min(wait_ns, 2 * US)
                assert counted.peek("k", cost).allowed
            else:
                assert decision.allowed or cost > drawn.capacity


@settings(max_examples=150, deadline=None)
@given(some_limit(), STEPS)
def test_what_is_left_passes_and_one_more_does_not(drawn: Limit, steps: Any) -> None:
    (counted, *_) = tables(clock := Clock(), drawn)
    for later_ns, _, cost in steps:
        clock.now_ns += later_ns
        left = counted.hit("k", cost).remaining
        assert not left or counted.peek("k", left).allowed
        assert not counted.peek("k", left + 1).allowed


class TextbookBucket:
    """The token bucket as it is taught: tokens, and when they were last counted; exact fractions."""

    def __init__(self, of: Limit) -> None:
        self.burst, self.rate = Fraction(of.burst), Fraction(of.quota, of.period_ns)
        self.tokens, self.at_ns = self.burst, START_NS

    def hit(self, now_ns: int, cost: int) -> bool:
        self.tokens = min(self.burst, self.tokens + (now_ns - self.at_ns) * self.rate)
        self.at_ns = now_ns
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 30), st.sampled_from([1, 2, 4, 5, 8, 10, 16]), STEPS)
def test_gcra_is_the_textbook_token_bucket(burst: int, quota: int, steps: Any) -> None:
    drawn = Limit(quota, S, burst, "token_bucket", "drawn")  # T is whole: no rounding on either side
    for counted in tables(clock := Clock(), drawn):
        clock.now_ns = START_NS
        textbook = TextbookBucket(drawn)
        for later_ns, _, cost in steps:
            clock.now_ns += later_ns
            assert counted.hit("k", cost).allowed == textbook.hit(clock.now_ns, cost)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 30), STEPS)
def test_the_log_admits_exactly_what_keeps_every_period_within_the_quota(quota: int, steps: Any) -> None:
    drawn = Limit(quota, S, 0, "log", "drawn")
    (counted,) = tables(clock := Clock(), drawn)
    passed: list[tuple[int, int]] = []
    for later_ns, _, cost in steps:
        clock.now_ns += later_ns // US * US
        would_be = [*passed, (clock.now_ns, cost)]
        within = sum(units for at_ns, units in would_be if clock.now_ns - at_ns <= S)
        allowed = counted.hit("k", cost).allowed
        assert allowed == (within <= quota)
        if allowed:
            passed = would_be


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 30), STEPS)
def test_the_sliding_counter_refuses_only_what_a_period_and_a_tenth_is_too_full_for(quota: int, steps: Any) -> None:
    (counted,) = tables(clock := Clock(), Limit(quota, S, 0, "sliding", "drawn"))
    passed: list[tuple[int, int]] = []
    for later_ns, _, cost in steps:
        clock.now_ns += later_ns
        within = sum(units for at_ns, units in passed if clock.now_ns - at_ns <= S + S // 10)
        if counted.hit("k", cost).allowed:
            passed.append((clock.now_ns, cost))
        else:
            assert within + cost > quota


# The acceptance row: 100 per 2 s.


@pytest.mark.parametrize("phase_ns", [0, 10 * MS, 900 * MS, 1_900 * MS, 1_990 * MS, 1_999 * MS])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_burst_at_a_boundary_and_hammering_after_it_stay_within_the_bound(algorithm: str, phase_ns: int) -> None:
    clock = Clock(START_NS + phase_ns)
    counted = one("100/2 s", algorithm, clock=clock)
    passed = []
    for at_ns in [phase_ns] * 300 + list(range(phase_ns, phase_ns + 8 * S, 2 * MS)):
        clock.now_ns = START_NS + at_ns
        if counted.hit("k", 1).allowed:
            passed.append((at_ns, 1))
    most = most_within(2 * S, passed)
    assert most <= limit("100/2 s", algorithm).bound(2 * S)
    assert most <= {"log": 100, "sliding": 100}.get(algorithm, 200)
    long_run = sum(units for _, units in passed) / 100
    assert long_run >= {"log": 3.9, "sliding": 3.6}.get(algorithm, 4.9)  # of 4 periods: it is used, not only kept


def test_two_counters_weighted_by_overlap_would_let_the_quota_pass_twice() -> None:
    """Why the sliding counter is not the common one."""
    now_ms, before, current, passed = 1_990, 0, 0, []
    for now_ms in [1_990] * 100 + list(range(2_000, 3_990, 1)):
        if now_ms >= 2_000 and not before:
            before, current = current, 0
        weight = 1 - (now_ms % 2_000) / 2_000
        if before * weight + current + 1 <= 100:
            current += 1
            passed.append((now_ms * MS, 1))
    assert most_within(2 * S, passed) == 199


# Clocks that are set back.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_clock_set_back_an_hour_costs_one_period_at_most(algorithm: str) -> None:
    for counted in tables(clock := Clock(), limit("10/s", algorithm)):
        clock.now_ns = START_NS
        assert [counted.hit("k", 1).allowed for _ in range(11)] == [True] * 10 + [False]
        clock.now_ns -= 3_600 * S
        assert not counted.hit("k", 1).allowed
        clock.now_ns += 1_200 * MS
        assert counted.hit("k", 10).allowed


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_refund_gives_back_what_was_taken_and_no_more(algorithm: str) -> None:
    for counted in tables(clock := Clock(), limit("10/s", algorithm)):
        first = counted.hit("k", 4)
        counted.refund("k", first.cost, first.at_ns)
        assert counted.peek("k", 1).remaining == 10
        counted.hit("k", 10)
        clock.now_ns += 5 * S
        counted.hit("k", 10)
        counted.refund("k", first.cost, first.at_ns)  # long over
        assert not counted.hit("k", 1).allowed


def test_a_log_does_not_grow_by_hits_that_are_taken_back() -> None:
    counted = one("10/s", "log", clock=Clock())
    for _ in range(1_000):
        decision = counted.hit("k", 2)
        counted.refund("k", decision.cost, decision.at_ns)
    assert len(counted._own["k"][0].hits) == 0


def test_the_short_cut_says_what_the_long_way_says() -> None:
    short, long = tables(clock := Clock(), limit("7/s burst 13"))
    for step in range(500):
        clock.now_ns += (step * 7_919) % (300 * MS)
        cost = 1 + step % 3
        assert shown(short.hit("k", cost)) == shown(long.hit("k", cost))
