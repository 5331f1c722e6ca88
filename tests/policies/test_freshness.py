"""Freshness, transition by transition; then crowds of keys and callers against the closed forms."""

import heapq
import math
import random

import pytest

from tenfold.policies.cache import freshness
from tenfold.policies.cache.freshness import (
    ABSENT,
    DROPPED,
    FAIL,
    HIT,
    LOAD,
    NEGATIVE,
    STALE,
    STALE_LOAD,
    STORED,
    WAIT,
    Config,
    Entry,
)

MS = 1_000_000
SECOND = 1_000_000_000


class Key:
    """One key of a cache with its clock."""

    def __init__(self, **settings):
        self.config, self.entry, self.now_ns = Config(**{"ttl_ns": 60 * SECOND} | settings), Entry(), 0

    def after(self, seconds):
        self.now_ns += int(seconds * SECOND)
        return self

    def lookup(self, draw=0.5):
        self.answer, self.wait_ns, self.token = freshness.lookup(self.config, self.entry, self.now_ns, draw)
        return self.answer

    def store(self, token, load_ns=50 * MS, draw=0.5):
        return freshness.store(self.config, self.entry, token, self.now_ns, load_ns, draw)

    def fail(self, token, draw=0.0):
        return freshness.fail(self.config, self.entry, token, self.now_ns, draw)

    def loaded(self):
        assert self.lookup() == LOAD
        assert self.store(self.token) == STORED
        return self


def test_entry_never_seen_is_loaded_then_hit_until_its_ttl():
    key = Key().loaded()
    assert [key.lookup(), key.after(59.999).lookup(), key.after(0.001).lookup()] == [HIT, HIT, LOAD]


@pytest.mark.parametrize(("draw", "ttl_s"), [(0.0, 54), (0.5, 60), (0.75, 63)])
def test_jitter_spreads_the_ttl_either_way(draw, ttl_s):
    key = Key(ttl_jitter_ratio=0.1)
    key.lookup()
    key.store(key.token, draw=draw)
    assert key.entry.fresh_until_ns == ttl_s * SECOND


def test_without_lock_everybody_loads_and_anybody_stores():
    key = Key()
    tokens = []
    for _ in range(3):
        assert key.lookup() == LOAD
        tokens.append(key.token)
    assert [key.store(token) for token in tokens] == [STORED] * 3


def test_with_lock_one_loads_and_the_others_wait_at_most_the_lease():
    key = Key(lock=True, lease_ns=5 * SECOND)
    assert key.lookup() == LOAD
    assert (key.after(2).lookup(), key.wait_ns) == (WAIT, 3 * SECOND)


def test_killed_holder_delays_the_others_by_the_lease_and_cannot_store_any_more():
    key = Key(lock=True, lease_ns=5 * SECOND)
    key.lookup()
    killed = key.token
    assert key.after(5).lookup() == LOAD
    assert key.store(killed) == DROPPED
    assert key.lookup() == WAIT
    assert key.store(killed + 1) == STORED


def test_late_fill_always_takes_an_earlier_lease_unless_something_newer_was_stored():
    key = Key(lock=True, lease_ns=5 * SECOND, late_fill=freshness.ALWAYS)
    key.lookup()
    first = key.token
    assert key.after(5).lookup() == LOAD
    assert key.store(first) == STORED
    assert key.store(first + 1) == DROPPED


def test_late_holder_stores_when_nobody_took_over():
    key = Key(lock=True, lease_ns=5 * SECOND)
    key.lookup()
    assert key.after(9).store(key.token) == STORED


@pytest.mark.parametrize("lock", [False, True])
def test_invalidation_in_mid_load_drops_what_was_loaded(lock):
    key = Key(lock=lock)
    key.lookup()
    freshness.invalidate(key.config, key.entry, key.now_ns)
    assert key.store(key.token) == DROPPED
    assert key.lookup() == LOAD


@pytest.mark.parametrize("lock", [False, True])
def test_write_in_mid_load_wins_over_what_was_loaded(lock):
    key = Key(lock=lock)
    key.lookup()
    freshness.put(key.config, key.entry, key.now_ns, 0.5)
    assert key.store(key.token) == DROPPED
    assert key.lookup() == HIT


def test_stale_value_is_served_while_one_loads_in_the_background():
    key = Key(lock=True, stale_while_revalidate_ns=10 * SECOND).loaded().after(60)
    assert [key.lookup(), key.lookup(), key.after(9.9).lookup()] == [STALE_LOAD, STALE, STALE]
    assert key.after(0.1).lookup() == LOAD, "the lease of 10 s is over, and so is the time to serve stale"


def test_failed_load_serves_stale_within_fail_safe_and_backs_off():
    key = Key(lock=True, fail_safe_ns=100 * SECOND, load_backoff_ns=SECOND).loaded().after(60)
    key.lookup()
    assert key.fail(key.token) == STALE
    assert [key.lookup(), key.after(0.999).lookup(), key.after(0.001).lookup()] == [STALE, STALE, LOAD]


def test_failed_load_without_anything_stale_fails_fast_until_the_back_off_ends():
    key = Key(lock=True, load_backoff_ns=SECOND)
    key.lookup()
    assert key.fail(key.token) == FAIL
    assert (key.after(0.4).lookup(), key.wait_ns) == (FAIL, 600 * MS)
    assert key.after(0.6).lookup() == LOAD


def test_failed_load_without_back_off_frees_the_lease_at_once():
    key = Key(lock=True)
    key.lookup()
    key.fail(key.token)
    assert key.lookup() == LOAD


def test_stale_past_fail_safe_is_not_served():
    key = Key(lock=True, fail_safe_ns=5 * SECOND, load_backoff_ns=60 * SECOND).loaded().after(64)
    key.lookup()
    assert key.fail(key.token) == STALE
    assert key.after(1).lookup() == FAIL


def test_failure_of_a_holder_that_lost_its_lease_changes_nothing():
    key = Key(lock=True, lease_ns=5 * SECOND, load_backoff_ns=SECOND)
    key.lookup()
    lost = key.token
    key.after(5).lookup()
    assert key.fail(lost) == FAIL
    assert key.lookup() == WAIT


def test_failed_early_refresh_still_hits():
    key = Key(lock=True, early_refresh_factor=1.0, load_backoff_ns=SECOND).loaded().after(59.99)
    assert key.lookup(draw=0.99) == STALE_LOAD
    assert key.fail(key.token) == HIT
    assert key.lookup(draw=0.99) == HIT, "in back-off nobody refreshes"


@pytest.mark.parametrize(("to_expiry_s", "chance"), [(0.4, math.exp(-1)), (0.8, math.exp(-2)), (0.1, math.exp(-0.25))])
def test_early_refresh_is_drawn_with_the_published_probability(to_expiry_s, chance):
    key = Key(early_refresh_factor=1.0)
    key.lookup()
    key.store(key.token, load_ns=400 * MS)
    key.after(60 - to_expiry_s)
    draws = [(i + 0.5) / 10_000 for i in range(10_000)]
    assert sum(key.lookup(draw) == STALE_LOAD for draw in draws) / 10_000 == pytest.approx(chance, abs=1e-3)


def test_absence_is_remembered_for_its_own_time():
    key = Key(negative_ttl_ns=5 * SECOND)
    key.lookup()
    assert freshness.store_absent(key.config, key.entry, key.token, 0, MS) == STORED
    assert key.entry.flags == ABSENT
    assert [key.lookup(), key.after(5).lookup()] == [NEGATIVE, LOAD]


def test_absence_is_never_served_as_a_stale_value():
    key = Key(lock=True, negative_ttl_ns=SECOND, stale_while_revalidate_ns=60 * SECOND, fail_safe_ns=60 * SECOND)
    key.lookup()
    freshness.store_absent(key.config, key.entry, key.token, 0, MS)
    assert key.after(1).lookup() == LOAD
    assert key.fail(key.token) == FAIL


def test_preloaded_entry_is_as_old_as_it_says():
    key = Key()
    freshness.preload(key.config, key.entry, -50 * SECOND, 0.5)
    assert [key.after(9.9).lookup(), key.after(0.1).lookup()] == [HIT, LOAD]


def test_only_a_fresh_value_counts_as_present():
    key = Key()
    assert not freshness.holds(key.entry, 0)
    key.loaded()
    assert freshness.holds(key.entry, 0)
    assert not freshness.holds(key.entry, 60 * SECOND)


@pytest.mark.parametrize(
    ("late_fill", "lock", "fills"), [(0, False, False), (0, True, True), (1, False, True), (2, True, False)]
)
def test_late_loads_fill_with_a_lock_unless_told_otherwise(late_fill, lock, fills):
    assert freshness.fills_late(Config(late_fill=late_fill, lock=lock)) == fills


@pytest.mark.parametrize(("jitter", "peak_per_s"), [(0.0, 12_000), (0.05, 2_000), (0.1, 1_000), (0.2, 500)])
def test_keys_loaded_together_expire_over_their_jitter(jitter, peak_per_s):
    """C2: 12,000 keys, TTL 60 s: the first peak is N / (2 j T) per s."""
    config, dice, bins = Config(ttl_ns=60 * SECOND, ttl_jitter_ratio=jitter), random.Random(2), {}
    for _ in range(12_000):
        entry = Entry()
        freshness.preload(config, entry, 0, dice.random())
        second = entry.fresh_until_ns // SECOND
        bins[second] = bins.get(second, 0) + 1
    steady = sorted(bins.values())[len(bins) // 2]
    assert steady == pytest.approx(peak_per_s, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "loads", "missed"),
    [
        ({}, (46, 50), (46, 50)),
        ({"lock": True}, (1, 1), (46, 50)),
        ({"early_refresh_factor": 1.0}, (2.4, 3.0), (0, 0.15)),
        ({"early_refresh_factor": 1.0, "lock": True}, (1, 1.02), (0, 0.15)),
    ],
    ids=["none", "lock", "xfetch", "xfetch and lock"],
)
def test_hot_key_loads_per_cycle(settings, loads, missed):
    """C3: 94 reads per s, loader 0.5 s, TTL 20 s: 1 + lambda delta loads without a lock, 1 with."""
    load_count, missed_count, cycles = hot_key(Config(ttl_ns=20 * SECOND, **settings), seconds=8_000)
    assert loads[0] <= load_count / cycles <= loads[1]
    assert missed[0] <= missed_count / cycles <= missed[1]


def hot_key(config, seconds):
    """Poisson reads of one key. Loads, callers that missed or waited, and cycles (distinct expiries refreshed)."""
    dice, entry, load_ns = random.Random(3), Entry(), SECOND // 2
    events, count = [(0, 0, 0)], [0, 0, 0]  # (time, 0: read / 1: load ends, token)
    fresh_since_ns = -60 * SECOND
    while events:
        now_ns, is_load, token = heapq.heappop(events)
        if is_load:
            freshness.store(config, entry, token, now_ns, load_ns, dice.random())
            count[2] += now_ns - fresh_since_ns > 5 * SECOND
            fresh_since_ns = now_ns if now_ns - fresh_since_ns > 5 * SECOND else fresh_since_ns
            continue
        answer, _, token = freshness.lookup(config, entry, now_ns, dice.random())
        count[0] += answer in (LOAD, STALE_LOAD)
        count[1] += answer in (LOAD, WAIT)
        if answer in (LOAD, STALE_LOAD):
            heapq.heappush(events, (now_ns + load_ns, 1, token))
        if now_ns < seconds * SECOND:
            heapq.heappush(events, (now_ns + int(dice.expovariate(94) * SECOND), 0, 0))
    return count


def test_cancelled_load_frees_its_lease_at_once_and_only_its_own():
    key = Key(lock=True)
    key.lookup()
    given_up = key.token
    assert freshness.give_up(key.entry, given_up) == STORED
    assert key.lookup() == LOAD
    assert freshness.give_up(key.entry, given_up) == DROPPED
    assert key.lookup() == WAIT


def test_cancelled_load_does_not_end_the_back_off_of_a_failed_one():
    key = Key(lock=True, load_backoff_ns=SECOND)
    key.lookup()
    key.fail(key.token)
    assert freshness.give_up(key.entry, key.token) == DROPPED
    assert key.lookup() == FAIL


@pytest.mark.parametrize("factor", [0.0, 1.0, 3.0])
def test_no_dice_refresh_before_the_time_a_copy_is_certain(factor):
    key = Key(lock=True, early_refresh_factor=factor).loaded()
    last_ns = freshness.certain_until(key.config, key.entry) - 1
    entry = Entry(key.entry.fresh_until_ns, 0, 5, key.entry.load_ns, key.entry.flags)
    assert freshness.lookup(key.config, entry, last_ns, 1.0 - 2.0**-53)[0] == HIT
    assert (last_ns + 1 == entry.fresh_until_ns) is (factor == 0.0)


def test_nothing_is_certain_of_an_entry_never_seen():
    assert freshness.certain_until(Config(), Entry()) == 0


def test_tokens_of_a_forgotten_entry_do_not_come_back():
    key = Key(lock=True)
    key.entry.token = freshness.first_token(0)
    key.lookup()
    later = Entry(token=freshness.first_token(1 * MS))
    assert freshness.store(key.config, later, key.token, MS, MS, 0.5) == DROPPED
