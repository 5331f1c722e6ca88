"""Every policy, same tape: CPython and compiled code must answer the same, bit for bit, and end in the same state.

One driver per family is written once and run twice: on dataclasses by CPython, on rows by compiled code. Everything on
a tape follows from one seed, so a failure shrinks in seconds and is named by one number.
"""

import dataclasses
import functools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.engine import jit
from tenfold.fields import plain_type
from tenfold.policies.cache import freshness
from tenfold.policies.call import CALL_POLICIES, adaptive_limit
from tenfold.policies.call.call import Call
from tenfold.policies.verbs import LONGEST_NS, PROCEED, QUEUE, REJECT, WAIT, WAKE

STEPS = 300
CALLS = 6
EXAMPLES = 120
LAST_DRAW = 1.0 - 2.0**-53
OUTCOMES = ([0, 1, 1, 2], [0, 1, 1, 2], [1], [0])
"""What a tape's outcomes are drawn from: anything, only failures, only successes."""


def any_value(rng, field):
    """A value a setting may have, fond of its edges; zero and the default even where the bounds forbid them."""
    kind = plain_type(field)
    if kind is bool:
        return bool(rng.integers(2))
    choices = field.metadata["choices"]
    low = field.metadata["low"] or 0
    high = field.metadata["high"] or max(len(choices) - 1, 0)
    default = high if field.default is dataclasses.MISSING else field.default
    edges = [kind(low), kind(high), kind(default), kind(0)]
    if rng.random() < 0.3:
        return edges[rng.integers(len(edges))]
    if default < low and rng.random() < 0.5:
        return kind(default)  # what is off by default changes what the rest does
    if choices:
        return int(rng.integers(len(choices)))
    if kind is float:
        return float(low + (high - low) * rng.random() ** rng.integers(1, 6))
    if field.name.endswith("_ns"):
        return int(low + rng.random() * min(high - low, 10.0 ** rng.integers(1, 17)))
    return int(rng.integers(low, min(high, rng.choice([4, 200])) + 1))


def any_config(rng, cls):
    return cls(**{field.name: any_value(rng, field) for field in dataclasses.fields(cls)})


def any_times(rng, steps):
    """Rising times from anywhere up to 2^60, in strides from nothing to weeks, or all at once."""
    start = int(rng.choice([0, rng.integers(1, 2**40), 2**60]))
    scale = 10.0 ** rng.integers(0, 16)
    strides = (rng.random(steps) * scale).astype(np.int64) * (rng.random(steps) < rng.random())
    return start + np.cumsum(strides)


def any_draws(rng, steps):
    draws = rng.random(steps)
    draws[rng.random(steps) < 0.1] = 0.0
    draws[rng.random(steps) < 0.1] = LAST_DRAW
    return draws


def call_driver(module):
    """Acquire, record, extra or leave, whatever is legal for the call whose turn it is."""
    acquire, record = module.acquire, module.record
    leave, extra = getattr(module, "leave", None), getattr(module, "extra", None)

    def drive(configs, states, calls, tape, now_ns, draw, out):
        config, state = configs[0], states[0]
        standing = [0] * 6  # 0 idle, 1 holds what acquire gave, 2 queued, 3 told to ask again
        for i in range(len(now_ns)):
            which, call = tape[i, 0], calls[tape[i, 0]]
            if tape[i, 4] == 1 and standing[which] >= 2 and leave is not None:
                out[i, 0], out[i, 1] = leave(config, state, call, now_ns[i])
                standing[which] = 0
            elif standing[which] == 0 or standing[which] == 3:
                call.is_idempotent = tape[i, 3]
                out[i, 0], out[i, 1] = acquire(config, state, call, now_ns[i], draw[i])
                standing[which] = (1, 3, 0, 2)[out[i, 0]]
            elif standing[which] == 1 and tape[i, 7] == 1 and extra is not None:
                out[i, 0], out[i, 1] = extra(config, state, call, now_ns[i], draw[i])
            elif standing[which] == 1:
                call.retry_after_ns = tape[i, 2]
                out[i, 0], out[i, 1] = record(config, state, call, now_ns[i], tape[i, 1], draw[i])
                standing[which] = 0
                if out[i, 0] == 6:  # the slot goes to some waiter
                    for other in range(6):
                        if standing[other] == 2:
                            standing[other] = 1
                            break
            if tape[i, 5] == 1 and standing[which] == 0:  # the next call of this task
                call.attempt_count = 0
                call.is_marked = 0
                call.deadline_ns = now_ns[i] + tape[i, 6]

    return drive


assert (PROCEED, WAIT, REJECT, QUEUE, WAKE) == (0, 1, 2, 3, 6), "the driver spells them out"


def call_tape(rng, config):
    span = 10.0 ** rng.integers(1, 17)
    columns = (
        rng.integers(0, CALLS, STEPS),
        rng.choice(OUTCOMES[rng.integers(len(OUTCOMES))], STEPS),
        (rng.random(STEPS) * min(span, LONGEST_NS) * (rng.random(STEPS) < 0.2)).astype(np.int64),
        rng.random(STEPS) < 0.9,
        rng.random(STEPS) < 0.5,
        rng.random(STEPS) < rng.choice([0.02, 0.5]),
        (rng.random(STEPS) * span).astype(np.int64),
        rng.random(STEPS) < rng.choice([0.0, 0.3]),
    )
    return np.stack([np.asarray(column, np.int64) for column in columns], axis=1)


def cache_driver():
    """Look up, or end a load begun earlier, or write, invalidate, preload."""

    def drive(configs, entries, tape, now_ns, draw, out):
        config, entry, token = configs[0], entries[0], 0
        for i in range(len(now_ns)):
            verb = tape[i, 0]
            if verb <= 3:
                out[i, 0], out[i, 1], out[i, 2] = freshness.lookup(config, entry, now_ns[i], draw[i])
                if out[i, 0] == 2 or out[i, 0] == 3:
                    token = out[i, 2]
            elif verb == 4:
                out[i, 0] = freshness.store(config, entry, token, now_ns[i], tape[i, 1], draw[i])
            elif verb == 5:
                out[i, 0] = freshness.store_absent(config, entry, token, now_ns[i], tape[i, 1])
            elif verb == 6:
                out[i, 0] = freshness.fail(config, entry, token, now_ns[i], draw[i])
            elif verb == 7:
                out[i, 0] = freshness.put(config, entry, now_ns[i], draw[i])
            elif verb == 8:
                freshness.invalidate(config, entry, now_ns[i])
            elif verb == 9:
                freshness.preload(config, entry, now_ns[i] - tape[i, 1], draw[i])
            else:
                out[i, 0] = freshness.give_up(entry, token)
                out[i, 1] = freshness.certain_until(config, entry)
                out[i, 2] = freshness.first_token(now_ns[i])
            out[i, 3] = 2 * freshness.fills_late(config) + freshness.holds(entry, now_ns[i])

    return drive


@functools.cache
def compiled(build, *args):
    return numba.njit(build(*args))


def no_answers():
    return np.full((STEPS, 4), -1, np.int64)


@pytest.mark.parametrize("module", CALL_POLICIES, ids=lambda module: module.NAME)
def test_compiled_call_policies_answer_as_interpreted_ones(module):
    plain, fast = call_driver(module), compiled(call_driver, module)

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(seed=st.integers(0, 2**32 - 1))
    def check(seed):
        rng = np.random.default_rng(seed)
        config = any_config(rng, module.Config)
        tape, now_ns, draw = call_tape(rng, config), any_times(rng, STEPS), any_draws(rng, STEPS)
        state, calls, answers = module.State(), [Call() for _ in range(CALLS)], no_answers().tolist()
        plain([config], [state], calls, Table(tape), now_ns.tolist(), draw.tolist(), Table(answers))
        out, states, rows = no_answers(), jit.empty_rows(module.State, 1), jit.rows_of([Call()] * CALLS)
        fast(jit.rows_of([config]), states, rows, tape, now_ns, draw, out)
        assert answers == out.tolist()
        assert dataclasses.astuple(state) == states[0].item()
        assert [dataclasses.astuple(call) for call in calls] == rows.tolist()

    check()


def limited_server():
    """Calls at given times through a limit to ten workers; `out` holds the limit and the baseline after each."""
    acquire, record = adaptive_limit.acquire, adaptive_limit.record

    def drive(configs, states, calls, arrivals_ns, takes_ns, out):
        config, state = configs[0], states[0]
        free_ns, ends_ns = [0] * 10, [2**62] * len(calls)
        for i in range(len(arrivals_ns)):
            first = ends_ns.index(min(ends_ns))
            while ends_ns[first] <= arrivals_ns[i]:
                record(config, state, calls[first], ends_ns[first], 0, 0.0)
                ends_ns[first] = 2**62
                first = ends_ns.index(min(ends_ns))
            slot = ends_ns.index(2**62)
            if acquire(config, state, calls[slot], arrivals_ns[i], 0.0)[0] == 0:
                worker = free_ns.index(min(free_ns))
                free_ns[worker] = max(free_ns[worker], arrivals_ns[i]) + takes_ns[i]
                ends_ns[slot] = free_ns[worker]
            out[i, 0], out[i, 1], out[i, 2] = state.limit_thousandths, state.baseline_ns, state.drain_count

    return drive


def test_compiled_and_interpreted_limits_follow_an_overload_alike():
    rng, size = np.random.default_rng(15), 8_000
    rates = np.where(np.arange(size) < size // 4, 80, 300)
    arrivals = np.cumsum(rng.exponential(1e9 / rates)).astype(np.int64)
    takes = (rng.lognormal(np.log(1e8), 0.3, size)).astype(np.int64)
    config, state = adaptive_limit.Config(probe_every_ns=3 * 10**9), adaptive_limit.State()
    answers = [[0] * 3 for _ in range(size)]
    plain_calls = [Call() for _ in range(100)]
    limited_server()([config], [state], plain_calls, arrivals.tolist(), takes.tolist(), Table(answers))
    states, rows, out = jit.empty_rows(adaptive_limit.State, 1), jit.rows_of([Call()] * 100), np.zeros((size, 3), int)
    compiled(limited_server)(jit.rows_of([config]), states, rows, arrivals, takes, out)
    assert answers == out.tolist()
    assert dataclasses.astuple(state) == states[0].item()
    assert len({limit for limit, _, _ in answers}) > 50
    assert state.drain_count >= 3


def test_compiled_freshness_answers_as_interpreted():
    plain, fast = cache_driver(), compiled(cache_driver)

    @settings(max_examples=2 * EXAMPLES, deadline=None, database=None)
    @given(seed=st.integers(0, 2**32 - 1))
    def check(seed):
        rng = np.random.default_rng(seed)
        config = any_config(rng, freshness.Config)
        lengths = (rng.random(STEPS) * 10.0 ** rng.integers(0, 19)).astype(np.int64)
        verbs = rng.choice(11, STEPS, p=[0.14] * 4 + [0.2, 0.05, 0.1, 0.02, 0.02, 0.01, 0.04])
        tape, now_ns, draw = np.stack([verbs, lengths], axis=1), any_times(rng, STEPS), any_draws(rng, STEPS)
        entry, answers = freshness.Entry(), no_answers().tolist()
        plain([config], [entry], Table(tape), now_ns.tolist(), draw.tolist(), Table(answers))
        out, entries = no_answers(), jit.empty_rows(freshness.Entry, 1)
        fast(jit.rows_of([config]), entries, tape, now_ns, draw, out)
        assert answers == out.tolist()
        assert dataclasses.astuple(entry) == entries[0].item()

    check()


class Table:
    """`table[row, column]` on plain lists of Python numbers: NumPy's would wrap around as compiled code does."""

    def __init__(self, rows):
        self.rows = rows.tolist() if isinstance(rows, np.ndarray) else rows

    def __getitem__(self, place):
        return self.rows[place[0]][place[1]]

    def __setitem__(self, place, value):
        self.rows[place[0]][place[1]] = int(value)


def test_rows_carry_every_field_and_value():
    configs = [freshness.Config(ttl_ns=7, lock=True), freshness.Config(early_refresh_factor=1.5)]
    rows = jit.rows_of(configs)
    assert [dataclasses.astuple(config) for config in configs] == rows.tolist()


def test_fresh_state_of_every_policy_is_all_zero():
    for cls in (freshness.Entry, *(module.State for module in CALL_POLICIES)):
        assert dataclasses.astuple(cls()) == jit.empty_rows(cls, 1)[0].item()


def test_ten_million_entries_are_quick_and_small():
    entries = jit.empty_rows(freshness.Entry, 10_000_000)
    assert entries.itemsize == 40


def test_fingerprint_is_a_positive_int64_people_can_read():
    assert 0 <= jit.compiled_fingerprint("") < 2**63
    assert len(jit.fingerprint_text()) == 14
