"""A generator on a lease: it stops before the lease ends, and goes on above every earlier id of its worker."""

import asyncio
import gc
import threading
import time
from pathlib import Path

import pytest
from hands import MARGIN_NS, NOON_NS, TTL_NS, Hands, leased, rising, times_ms
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold import ids
from tenfold.stores.leases.memory import MemoryLeaseStore
from tenfold.stores.leases.sqlite import SQLiteLeaseStore
from tenfold.units import MS, S


class Faulty(MemoryLeaseStore):
    """A store that can be out of reach."""

    is_down = False

    def acquire(self, ask: ids.Ask) -> ids.Lease:
        self._check_reach()
        return super().acquire(ask)

    def renew(self, lease: ids.Lease) -> ids.Lease:
        self._check_reach()
        return super().renew(lease)

    def release(self, lease: ids.Lease, mark_ms: int) -> None:
        self._check_reach()
        super().release(lease, mark_ms)

    def _check_reach(self) -> None:
        if self.is_down:
            raise ids.LeaseStoreUnavailable("the test has pulled the plug")


def renew(ours: ids.IdGenerator) -> None:
    ours._worker.renew()  # type: ignore[attr-defined]


def test_two_generators_of_a_store_have_different_workers() -> None:
    hands = Hands()
    store = MemoryLeaseStore(hands.wall_ns)
    made = [leased(hands, store).next() for _ in range(40)]
    assert {(ids.decode(id_).datacenter, ids.decode(id_).worker) for id_ in made} == {
        divmod(node, 32) for node in range(40)
    }


def test_the_lease_can_be_bound_to_a_datacenter_or_a_worker() -> None:
    hands = Hands()
    store = MemoryLeaseStore(hands.wall_ns)
    first = ids.decode(leased(hands, store, datacenter=3).next())
    second = ids.decode(leased(hands, store, datacenter=3, worker=5).next())
    assert [(one.datacenter, one.worker) for one in (first, second)] == [(3, 0), (3, 5)]
    with pytest.raises(ids.NoWorkerLeft, match="worker"):
        leased(hands, store, datacenter=3, worker=5).next()


def test_no_id_comes_after_the_lease_s_end_less_the_margin_when_the_store_is_gone() -> None:
    hands = Hands()
    store = Faulty(hands.wall_ns)
    ours, granted_ns, made_at = leased(hands, store), hands.monotonic, []
    ours.next()
    store.is_down = True
    for _ in range(4000):
        hands.go_on(10 * MS)
        try:
            ours.next()
        except ids.LeaseEnded:
            continue
        made_at.append(hands.monotonic)
        if len(made_at) % 500 == 0:
            renew(ours)
    assert granted_ns + TTL_NS - MARGIN_NS - 10 * MS <= max(made_at) < granted_ns + TTL_NS - MARGIN_NS
    with pytest.raises(ids.LeaseEnded, match="the test has pulled the plug") as refused:
        ours.batch(1)
    assert refused.value.retry_after_ns == TTL_NS // 30


def test_a_step_of_the_wall_clock_does_not_lengthen_the_lease() -> None:
    hands = Hands()
    ours = leased(hands)
    ours.next()
    hands.step(-5 * MS)
    hands.go_on(TTL_NS - MARGIN_NS)
    with pytest.raises(ids.LeaseEnded):
        ours.next()


def test_the_end_is_kept_within_the_millisecond_it_falls_into() -> None:
    hands = Hands(wall=NOON_NS + 300_000)
    ours = leased(hands)
    ours.next()
    hands.go_on(TTL_NS - MARGIN_NS - 100)
    ours.next()
    hands.go_on(100)
    with pytest.raises(ids.LeaseEnded):
        ours.next()


def test_ids_go_on_when_the_store_is_back() -> None:
    hands = Hands()
    store = Faulty(hands.wall_ns)
    ours = leased(hands, store)
    before = ours.batch(5)
    store.is_down = True
    hands.go_on(TTL_NS)
    renew(ours)
    with pytest.raises(ids.LeaseEnded):
        ours.next()
    store.is_down = False
    renew(ours)
    assert rising([*before, ours.next()])
    assert ours.grant is not None
    assert ours.grant.epoch == 1  # nobody took it meanwhile


def test_a_worker_that_was_lost_is_replaced_by_another() -> None:
    hands = Hands()
    store = MemoryLeaseStore(hands.wall_ns)
    ours = leased(hands, store, datacenter=0)
    before = ours.batch(5)
    hands.go_on(TTL_NS + MS)
    other = leased(hands, store, worker=0)
    taken = other.next()
    renew(ours)
    after = ours.next()
    assert rising([*before, after])
    assert [ids.decode(id_).worker for id_ in (before[0], taken, after)] == [0, 0, 1]
    assert taken > before[-1]


def test_ids_of_a_replaced_worker_rise_even_within_the_millisecond() -> None:
    hands = Hands()
    store = MemoryLeaseStore(hands.wall_ns)
    store.acquire(ids.Ask("ids", 5, 1, 1, "other"))  # expired in a moment: node 5 is known and free
    hands.go_on(2 * MS)
    ours = leased(hands, store, datacenter=0)
    assert ids.decode(before := ours.next()).worker == 5
    ours._forked()  # as in the child of a fork, at the same moment
    assert ids.decode(after := ours.next()).worker == 0
    assert after > before


def test_a_lower_worker_of_a_fresh_lease_starts_in_a_later_millisecond() -> None:
    hands = Hands()
    ours = leased(hands, worker=5)
    before = ours.next()
    grant = ours.grant
    assert grant is not None
    ours._worker.current = ids.Grant(0, 1, 0, grant.limit_ms, grant.stop_ns)
    hands.step(-MS)  # the time of the newest id comes again
    hands.go_on(MS)
    after = ours.next()
    assert ids.decode(after).worker == 0
    assert after > before


# Restarts.


def test_a_worker_s_next_run_on_a_clock_60_s_back_is_refused_until_past_its_mark(tmp_path: Path) -> None:
    hands = Hands()
    store = SQLiteLeaseStore(str(tmp_path / "workers.db"), S, hands.wall_ns)
    with leased(hands, store, worker=3) as first:
        before = first.batch(1000)
    hands.step(-60 * S)
    second = leased(hands, store, worker=3)
    with pytest.raises(ids.ClockMovedBackwards, match=r"1 min behind the mark of the worker's earlier holder"):
        second.next()
    made = []
    for _ in range(70):
        hands.go_on(S)
        renew(second)
        try:
            made.append(second.next())
        except ids.ClockMovedBackwards:
            assert not made
    assert 10 <= len(made) <= 12  # of 70 s: the clock needs 60 to pass the mark; the last second is slept
    assert rising([*before, *made])


def test_by_option_the_next_run_waits_past_the_mark(tmp_path: Path) -> None:
    hands = Hands()
    store = SQLiteLeaseStore(str(tmp_path / "workers.db"), S, hands.wall_ns)
    with leased(hands, store, worker=3) as first:
        before = first.batch(1000)
    hands.step(-20 * S)
    assert leased(hands, store, worker=3, on_clock_back="wait").next() > before[-1]
    assert 19 * S < sum(hands.slept) <= 20 * S


def test_a_run_that_was_killed_is_followed_above_all_it_could_have_made() -> None:
    hands = Hands()
    store = MemoryLeaseStore(hands.wall_ns)
    killed = leased(hands, store, worker=0)
    killed.next()
    hands.go_on(10 * S)
    renew(killed)
    with pytest.raises(ids.NoWorkerLeft, match="the first lease ends in 30 s"):
        leased(hands, store, worker=0).next()
    hands.go_on(26 * S)
    last = killed.batch(50_000)[-1]  # 1 s before its own stop
    hands.go_on(4 * S + MS)
    with pytest.raises(ids.LeaseEnded):
        killed.next()
    assert leased(hands, store, worker=0).next() > last


def test_a_clock_a_little_behind_the_store_s_is_waited_for() -> None:
    hands, store_hands = Hands(), Hands()
    store = MemoryLeaseStore(store_hands.wall_ns)
    with leased(store_hands, store, worker=0) as first:
        before = first.next()
    hands.step(-500 * MS)
    assert leased(hands, store, worker=0).next() > before
    assert 0 < sum(hands.slept) <= 500 * MS


def test_a_clock_years_ahead_makes_no_ids_and_harms_none() -> None:
    hands, store_hands = Hands(), Hands()
    ours = leased(hands, MemoryLeaseStore(store_hands.wall_ns))
    before = ours.next()
    hands.step(10 * 365 * 86_400 * S)
    hands.go_on(MS)
    with pytest.raises(ids.LeaseEnded, match="the clock is past what the lease"):
        ours.next()
    hands.step(-10 * 365 * 86_400 * S)
    assert times_ms([ours.next()])[0] - times_ms([before])[0] == 1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),  # who
            st.sampled_from(["next", "batch", "renew", "restart", "kill", "step", "pass", "cut"]),
            st.integers(-40_000, 40_000),
        ),
        max_size=80,
    )
)
def test_no_id_comes_twice_whatever_happens_to_clocks_leases_and_store(moves: list[tuple[int, str, int]]) -> None:
    """Three processes with clocks of their own want two workers; whoever is killed is replaced."""
    store_hands, all_hands = Hands(), [Hands(), Hands(), Hands()]
    store = Faulty(store_hands.wall_ns)
    layout = ids.Layout(41, 5, 1, 12)

    def started(hands: Hands) -> ids.IdGenerator:
        return leased(hands, store, datacenter=0, layout=layout)

    running = [started(hands) for hands in all_hands]
    made: list[int] = []
    for who, what, amount in moves:
        if what == "pass":
            for each in [store_hands, *all_hands]:
                each.go_on(abs(amount) * MS)
            continue
        if what == "cut":
            store.is_down = not store.is_down
            continue
        try:
            if what == "next":
                made.append(running[who].next())
            elif what == "batch":
                made += running[who].batch(abs(amount) // 4)
            elif what == "renew":
                renew(running[who])
            elif what == "step":
                all_hands[who].step(amount * MS)
            else:
                if what == "restart":
                    running[who].close()
                running[who] = started(all_hands[who])
        except (ids.IdRefused, ids.LeaseStoreUnavailable):
            continue
    assert len(set(made)) == len(made)


# The renewing thread, in real time.


def patient(store: ids.LeaseStore, **more: object) -> ids.IdGenerator:
    return ids.generator(store, lease={"ttl": "400 ms", "margin": "100 ms"}, **more)


def test_a_thread_renews_the_lease_and_ends_with_the_generator() -> None:
    threads = threading.active_count()
    with patient(MemoryLeaseStore(), worker=0) as ours:
        made = [ours.next()]
        for _ in range(14):
            time.sleep(0.05)
            made.append(ours.next())
    assert rising(made)
    assert ids.decode(made[-1]).worker == 0
    deadline_s = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert threading.active_count() == threads


def test_a_forgotten_generator_s_lease_ends() -> None:
    store = MemoryLeaseStore()
    patient(store, worker=0).next()
    gc.collect()
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        try:
            patient(store, worker=0).next()
            return
        except ids.NoWorkerLeft:
            time.sleep(0.05)
    raise AssertionError("the lease was still renewed")


def test_with_a_frozen_redis_ids_stop_in_time_and_come_back(redis) -> None:  # type: ignore[no-untyped-def]
    ours = patient(ids.lease_store(redis.url, 50 * MS))
    ours.next()
    redis.freeze()
    frozen_ns, last_ns = time.monotonic_ns(), 0
    while time.monotonic_ns() < frozen_ns + 600 * MS:
        asked_ns = time.monotonic_ns()
        try:
            ours.next()
        except ids.LeaseEnded:
            break
        last_ns = asked_ns
    # The renewal that was under way may have been the last to succeed: 400 ms from then, less the margin.
    assert 0 < last_ns - frozen_ns < 300 * MS
    redis.thaw()
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        try:
            ours.next()
            break
        except ids.LeaseEnded:
            time.sleep(0.01)
    ours.close()
    assert time.monotonic() < deadline_s


def test_asyncio_leases_without_blocking_the_loop() -> None:
    class Slow(MemoryLeaseStore):
        def acquire(self, ask: ids.Ask) -> ids.Lease:
            assert threading.current_thread() is not threading.main_thread()
            return super().acquire(ask)

    async def asked() -> int:
        async with ids.generator(Slow()) as ours:
            return await ours.anext()

    assert asyncio.run(asked()) > 0


def test_closing_without_a_store_is_no_error() -> None:
    hands = Hands()
    store = Faulty(hands.wall_ns)
    ours = leased(hands, store)
    ours.next()
    store.is_down = True
    ours.close()


def test_without_a_store_the_first_id_says_so() -> None:
    hands = Hands()
    store = Faulty(hands.wall_ns)
    store.is_down = True
    with pytest.raises(ids.LeaseStoreUnavailable, match="pulled the plug"):
        leased(hands, store).next()
