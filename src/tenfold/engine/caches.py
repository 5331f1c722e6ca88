"""Caches: entries per key, found by key or in sets; who loads, who waits, what is stored. Freshness decides."""

import numpy as np
from numba import njit

from tenfold.engine import dice
from tenfold.engine.nodes import failed
from tenfold.engine.state import (
    ERROR,
    HITS,
    LOAD,
    LOADS,
    MISSES,
    NONE,
    REFRESH,
    TIME,
    TIMER_LEASE,
)
from tenfold.engine.tasks import free, make_ready, sleep, spawn, start_timer, stop_timer
from tenfold.engine.world import WAYS
from tenfold.policies.cache import freshness
from tenfold.policies.verbs import NEVER


@njit
def _forget(entry):
    """The entry is of another key now, or its node has died; loads in flight no longer fit."""
    entry.token = freshness.next_version(entry.token)
    entry.fresh_until_ns = 0
    entry.blocked_until_ns = 0
    entry.load_ns = 0
    entry.flags = 0


@njit
def _find_in_set(w, cache, key, make_room):
    """The row of a key in its set, or NONE; with `make_room`, of the entry it replaces: the longest unused."""
    first = cache.first + WAYS * np.int64(dice.mixed(np.uint64(key) * np.uint64(3)) % np.uint64(cache.sets))
    oldest = NONE
    for row in range(first, first + WAYS):
        if w.tags[row] == key:
            w.touched[row] = w.clock[0].events
            return row
        if w.owners[row] == NONE and (oldest == NONE or w.touched[row] < w.touched[oldest]):
            oldest = row
    if make_room and oldest != NONE:
        w.tags[oldest] = key
        w.touched[oldest] = w.clock[0].events
        _forget(w.entries[oldest])
        return oldest
    return NONE


@njit
def _row_of(w, cache, key, make_room):
    if cache.sets == 0:
        return cache.first + key
    return _find_in_set(w, cache, key, make_room)


@njit
def lookup(w, t, op):
    """Ask the cache for the task's key."""
    task = w.tasks[t]
    clock = w.clock[0]
    cache = w.caches[op.target]
    series = w.component_series[cache.component]
    again = task.woken
    task.woken = 0
    if again == 1:
        task.pc = op.jump
        return t
    row = _row_of(w, cache, task.key, True)
    if row == NONE:
        series[MISSES, clock.bin] += 1
        series[LOADS, clock.bin] += 1
        task.pc += 1
        return t
    config = w.cache_config[op.target]
    answer, wait_ns, token = freshness.lookup(config, w.entries[row], clock.now_ns, dice.draw(w.dice, cache.stream))
    if answer == freshness.HIT or answer == freshness.STALE or answer == freshness.NEGATIVE:
        if again == 0:
            series[HITS, clock.bin] += 1
        task.pc = op.jump
        return t
    return _not_fresh(w, t, op, row, answer, wait_ns, token, again)


@njit
def _not_fresh(w, t, op, row, answer, wait_ns, token, again):
    """A load has to happen, happens already, or must not be tried."""
    task = w.tasks[t]
    clock = w.clock[0]
    cache = w.caches[op.target]
    series = w.component_series[cache.component]
    if answer == freshness.STALE_LOAD:
        series[HITS, clock.bin] += 1
        series[LOADS, clock.bin] += 1
        child = spawn(w, t, REFRESH, task.pc + 1)
        w.tasks[child].parent = NONE
        w.tasks[child].deadline_ns = NEVER
        _lead(w, child, op, row, token)
        make_ready(w, child, 0)
        task.pc = op.jump
        return t
    if again == 0:
        series[MISSES, clock.bin] += 1  # a caller that waited has missed once, however often it asks
    if answer == freshness.LOAD:
        series[LOADS, clock.bin] += 1
        _lead(w, t, op, row, token)
        task.pc += 1
        return t
    if answer == freshness.WAIT:
        return _wait_for_load(w, t, row, wait_ns)
    return failed(w, t, op, ERROR)


@njit
def _lead(w, t, op, row, token):
    """The task loads the key; under a lock it stands in the lease's timer list, and others wait for it."""
    task = w.tasks[t]
    config = w.cache_config[op.target]
    task.token = token
    task.loads = op.target
    task.load_from_ns = w.clock[0].now_ns
    if config.lock:
        task.leads = row
        w.owners[row] = t
        cache = w.caches[op.target]
        start_timer(w, cache.lease_list, t, TIMER_LEASE, w.clock[0].now_ns + config.lease_ns)


@njit
def _wait_for_load(w, t, row, wait_ns):
    """Wait for the loading task; without one (it died), ask again when the lease ends."""
    task = w.tasks[t]
    owner = w.owners[row]
    if owner == NONE:
        sleep(w, t, w.clock[0].now_ns + max(1, wait_ns), TIME)
        return NONE
    leader = w.tasks[owner]
    task.wait = LOAD
    task.where = owner
    task.next = NONE
    if leader.waiters_tail == NONE:
        leader.waiters_head = t
    else:
        w.tasks[leader.waiters_tail].next = t
    leader.waiters_tail = t
    return NONE


@njit
def stop_leading(w, t, woken):
    """The load has ended (woken 1 well, 2 badly, 5 its lease is over): those who wait go on."""
    task = w.tasks[t]
    if task.leads == NONE:
        return
    if w.owners[task.leads] == t:
        w.owners[task.leads] = NONE
    task.leads = NONE
    stop_timer(w, t, TIMER_LEASE)
    waiter = task.waiters_head
    task.waiters_head = NONE
    task.waiters_tail = NONE
    while waiter != NONE:
        following = w.tasks[waiter].next
        make_ready(w, waiter, woken)
        waiter = following


@njit
def store(w, t, op):
    """Write the task's key: as the end of its load, or as a plain write."""
    task = w.tasks[t]
    if task.loads == op.target:
        fill(w, t, op.target)
    else:
        _write(w, task.key, op)
    task.pc += 1
    return t


@njit
def _write(w, key, op):
    """A plain write. With count 1 it changes what is there in place: only the moment of its last use moves."""
    cache = w.caches[op.target]
    row = _row_of(w, cache, key, op.count == 0)
    if row != NONE and op.count == 0:
        now_ns = w.clock[0].now_ns
        freshness.put(w.cache_config[op.target], w.entries[row], now_ns, dice.draw(w.dice, cache.stream))


@njit
def fill(w, t, number):
    """Store what the task has loaded, if its token is still good."""
    task = w.tasks[t]
    cache = w.caches[number]
    row = _row_of(w, cache, task.key, True)
    if row != NONE:
        now_ns = w.clock[0].now_ns
        freshness.store(
            w.cache_config[number],
            w.entries[row],
            task.token,
            now_ns,
            now_ns - task.load_from_ns,
            dice.draw(w.dice, cache.stream),
        )


@njit
def loaded(w, t, op):
    """The miss branch has ended well. It may have stored nothing: another flow fills the cache, or nobody does."""
    task = w.tasks[t]
    if task.leads != NONE:
        row = _row_of(w, w.caches[op.target], task.key, False)
        if row != NONE:
            freshness.release(w.entries[row], task.token)
    stop_leading(w, t, 1)
    task.loads = NONE
    if task.kind == REFRESH:
        free(w, t)
        return NONE
    task.pc += 1
    return t


@njit
def load_failed(w, t, op):
    """The miss branch has failed: back off, wake the others, serve stale if the policy allows."""
    task = w.tasks[t]
    clock = w.clock[0]
    cache = w.caches[op.target]
    config = w.cache_config[op.target]
    row = _row_of(w, cache, task.key, False)
    answer = freshness.FAIL
    if row != NONE and task.loads == op.target:
        answer = freshness.fail(config, w.entries[row], task.token, clock.now_ns, dice.draw(w.dice, cache.stream))
    stop_leading(w, t, 2)
    task.loads = NONE
    if task.kind == REFRESH:
        free(w, t)
        return NONE
    if answer != freshness.FAIL:
        task.pc = op.jump
        return t
    return failed(w, t, op, task.cause)


@njit
def expire_all(w, number):
    """All entries were written together one TTL ago, the first of them ends now: with jitter they end over 2 j TTL."""
    cache = w.caches[number]
    config = w.cache_config[number]
    now_ns = w.clock[0].now_ns
    written_ns = now_ns - config.ttl_ns + np.int64(config.ttl_ns * config.ttl_jitter_ratio)
    for row in range(cache.first, cache.first + cache.rows):
        entry = w.entries[row]
        if entry.fresh_until_ns > now_ns:
            freshness.preload(config, entry, written_ns, dice.draw(w.dice, cache.stream))


@njit
def lose_nodes(w, number, first, size):
    """The entries on nodes first..first + size - 1 of the cache's group are gone."""
    cache = w.caches[number]
    for row in range(cache.first, cache.first + cache.rows):
        key = row - cache.first if cache.sets == 0 else w.tags[row]
        if key != NONE:
            if cache.is_ranged:
                node = key * cache.nodes // w.laws[cache.population].size
            else:
                node = dice.node_of_key(key, cache.nodes)
            if first <= node < first + size:
                _forget(w.entries[row])


@njit
def warm_up(w, number):
    """Entries as after hours at the first load, their age uniform.

    Key i, read r and written w times a second, is present with (r + w)D / (1 + (r + w)D): it stays for
    D = (exp(wT) - 1)/w (T without writes) and is absent until the next read or write.
    """
    cache = w.caches[number]
    config = w.cache_config[number]
    law = w.laws[cache.population]
    reads_per_s = cache.reads_per_s * w.load[0].factor
    writes_per_s = cache.writes_per_s * w.load[0].factor
    if reads_per_s + writes_per_s <= 0.0 or config.ttl_ns <= 0:
        return
    ttl_s = config.ttl_ns * 1e-9
    whole = law.area_last - law.area_first
    keys = law.size if cache.sets == 0 else min(law.size, 2 * cache.rows)
    for key in range(keys):
        share = 1.0 / law.size if law.exponent == 0.0 else np.exp(-law.exponent * np.log(key + 1.0)) / whole
        gaps = min(700.0, writes_per_s * share * ttl_s)
        lifetime_s = ttl_s if gaps < 1e-9 else ttl_s * np.expm1(gaps) / gaps
        seen = (reads_per_s + writes_per_s) * share * lifetime_s
        if dice.draw(w.dice, cache.stream) * (1.0 + seen) < seen:
            row = _row_of(w, cache, key, True)
            if row != NONE:
                age_ns = int(dice.draw(w.dice, cache.stream) * config.ttl_ns)
                freshness.preload(config, w.entries[row], -age_ns, dice.draw(w.dice, cache.stream))
