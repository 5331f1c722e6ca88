"""What every lease store promises: the same suite over memory, SQLite, PostgreSQL and Redis."""

import itertools
import pkgutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hands import NOON_NS, Hands

from tenfold import UsageError, ids
from tenfold.stores import leases
from tenfold.stores.leases import LEASE_STORES
from tenfold.stores.leases.memory import MemoryLeaseStore
from tenfold.stores.leases.sqlite import SQLiteLeaseStore
from tenfold.units import MS, S

TTL_MS = 200
_names = itertools.count()


@dataclass
class Member:
    """A store, a name nobody else uses, and how its time passes."""

    store: ids.LeaseStore
    pass_ms: Callable[[int], None]
    clock_ms: Callable[[], int]
    name: str

    def ask(self, count: int = 4, first: int = 0) -> ids.Ask:
        return ids.Ask(self.name, first, count, TTL_MS, "here:1")

    def acquire(self, count: int = 4, first: int = 0) -> ids.Lease:
        return self.store.acquire(self.ask(count, first))


def real(ms: int) -> None:
    time.sleep(ms / 1000)


def now_ms() -> int:
    return time.time_ns() // MS


@pytest.fixture(params=["memory", "sqlite", "postgresql", "redis"])
def member(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Member]:
    hands, name = Hands(), f"n{next(_names)}"
    if request.param == "memory":
        yield Member(MemoryLeaseStore(hands.wall_ns), lambda ms: hands.go_on(ms * MS), lambda: hands.wall // MS, name)
    elif request.param == "sqlite":
        store = SQLiteLeaseStore(str(tmp_path / "workers.db"), 10 * S, hands.wall_ns)
        yield Member(store, lambda ms: hands.go_on(ms * MS), lambda: hands.wall // MS, name)
    elif request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        yield Member(ids.lease_store(url, 10 * S), real, now_ms, name)
    else:
        url = request.getfixturevalue("shared_redis").url
        yield Member(ids.lease_store(url, 10 * S), real, now_ms, name)


def test_every_module_of_the_folder_is_in_the_table() -> None:
    shared = {"sql"}
    there = {f"{leases.__name__}.{name}" for _, name, _ in pkgutil.iter_modules(leases.__path__) if name not in shared}
    assert there == set(LEASE_STORES.values())


def test_leases_are_of_different_nodes_within_the_asked_range(member: Member) -> None:
    assert sorted(member.acquire(3, first=7).node for _ in range(3)) == [7, 8, 9]


def test_the_first_lease_has_epoch_1_and_nothing_before_it(member: Member) -> None:
    before_ms = member.clock_ms()
    lease = member.acquire()
    assert (lease.epoch, lease.mark_ms) == (1, 0)
    assert before_ms + TTL_MS <= lease.limit_ms <= member.clock_ms() + TTL_MS + 1


def test_when_all_are_leased_the_refusal_says_when_the_first_ends(member: Member) -> None:
    for _ in range(2):
        member.acquire(2)
    with pytest.raises(ids.NoWorkerLeft, match=r"all 2 workers of 'n\d+' are leased") as refused:
        member.acquire(2)
    assert 0 < refused.value.retry_after_ns <= TTL_MS * MS
    with pytest.raises(ids.NoWorkerLeft, match=r"worker \(node 1\) of"):
        member.acquire(1, first=1)


def test_names_do_not_share_nodes(member: Member) -> None:
    lease = member.acquire(1)
    other = member.store.acquire(replace(member.ask(1), name=f"{member.name}-other"))
    assert (lease.node, other.node) == (0, 0)


def test_an_expired_lease_is_granted_again_with_a_higher_epoch_above_its_limit(member: Member) -> None:
    first = member.acquire(1)
    with pytest.raises(ids.NoWorkerLeft):
        member.acquire(1)
    member.pass_ms(TTL_MS + 1)
    second = member.acquire(1)
    assert (second.node, second.epoch, second.mark_ms) == (first.node, first.epoch + 1, first.limit_ms)
    assert second.limit_ms > second.mark_ms


def test_a_renewal_lengthens_the_lease_and_keeps_its_mark(member: Member) -> None:
    lease = member.acquire(1)
    member.pass_ms(TTL_MS // 2)
    renewed = member.store.renew(lease)
    assert replace(renewed, limit_ms=lease.limit_ms) == lease
    assert renewed.limit_ms >= lease.limit_ms + TTL_MS // 2
    member.pass_ms(TTL_MS // 2 + 1)
    with pytest.raises(ids.NoWorkerLeft):
        member.acquire(1)


def test_an_expired_lease_nobody_took_can_still_be_renewed(member: Member) -> None:
    lease = member.acquire(1)
    member.pass_ms(TTL_MS + 1)
    assert member.store.renew(lease).epoch == lease.epoch
    with pytest.raises(ids.NoWorkerLeft):
        member.acquire(1)


def test_a_lease_somebody_else_has_by_now_is_lost(member: Member) -> None:
    old = member.acquire(1)
    member.pass_ms(TTL_MS + 1)
    member.acquire(1)
    with pytest.raises(ids.LeaseLost, match="no longer in force"):
        member.store.renew(old)
    member.store.release(old, old.limit_ms)  # does nothing
    with pytest.raises(ids.NoWorkerLeft):
        member.acquire(1)


def test_a_lease_the_store_never_granted_is_lost(member: Member) -> None:
    with pytest.raises(ids.LeaseLost):
        member.store.renew(ids.Lease(member.name, 0, 1, 0, 10, TTL_MS, "here:1"))
    member.store.release(ids.Lease(member.name, 0, 1, 0, 10, TTL_MS, "here:1"), 5)


def test_a_lease_of_the_same_epoch_but_another_holder_is_lost(member: Member) -> None:
    lease = member.acquire(1)
    forgotten = replace(lease, holder="here:2")  # leased before the store forgot everything and counted from 1 again
    with pytest.raises(ids.LeaseLost):
        member.store.renew(forgotten)
    member.store.release(forgotten, lease.limit_ms)
    assert member.store.renew(lease).epoch == 1


def test_a_released_node_is_free_at_once_and_its_mark_is_the_last_time_used(member: Member) -> None:
    lease = member.acquire(1)
    used_ms = member.clock_ms()
    member.store.release(lease, used_ms)
    with pytest.raises(ids.LeaseLost):
        member.store.renew(lease)
    member.pass_ms(2)
    again = member.acquire(1)
    assert (again.node, again.epoch, again.mark_ms) == (lease.node, 2, used_ms)


def test_a_node_whose_mark_has_passed_is_preferred_then_an_unused_one(member: Member) -> None:
    early, late = member.acquire(), member.acquire()
    member.store.release(early, member.clock_ms() + 60_000)  # its ids are from the future
    member.store.release(late, member.clock_ms() - 1)
    assert member.acquire().node == late.node
    assert {member.acquire().node, member.acquire().node} == {2, 3}
    last = member.acquire()
    assert last.node == early.node
    assert last.limit_ms == last.mark_ms  # nothing may be made before the clock has passed the mark


def test_gaps_are_filled(member: Member) -> None:
    assert member.acquire(2, first=4).node == 4
    assert [member.acquire(8).node for _ in range(7)] == [0, 1, 2, 3, 5, 6, 7]


def test_many_at_once_get_different_nodes(member: Member) -> None:
    slow = replace(member.ask(24), ttl_ms=60_000)
    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda _: member.store.acquire(slow), range(24)))
    assert sorted(lease.node for lease in granted) == list(range(24))
    with pytest.raises(ids.NoWorkerLeft):
        member.store.acquire(slow)


def test_a_store_s_clock_set_back_keeps_the_marks(tmp_path: Path) -> None:
    hands = Hands()
    store = SQLiteLeaseStore(str(tmp_path / "workers.db"), S, hands.wall_ns)
    ask = ids.Ask("orders", 0, 1, TTL_MS, "here:1")
    lease = store.acquire(ask)
    hands.step(-60 * S)
    assert store.renew(lease).limit_ms == lease.limit_ms
    store.release(lease, lease.limit_ms - 5)
    again = store.acquire(ask)
    assert again.mark_ms == again.limit_ms == NOON_NS // MS + TTL_MS - 5


# When the store does not work.


def test_a_redis_that_forgot_everything_ends_the_old_leases(redis) -> None:  # type: ignore[no-untyped-def]
    store = ids.lease_store(redis.url)
    old = store.acquire(ids.Ask("x", 0, 1, TTL_MS, "here:1"))
    redis.stop()
    redis.start()
    with pytest.raises(ids.LeaseLost):
        store.renew(old)
    store.acquire(ids.Ask("x", 0, 1, TTL_MS, "there:2"))
    with pytest.raises(ids.LeaseLost):
        store.renew(old)


def test_a_redis_that_is_down_is_unavailable_and_comes_back(redis) -> None:  # type: ignore[no-untyped-def]
    store, ask = ids.lease_store(redis.url, 300 * MS), ids.Ask("x", 0, 1, TTL_MS, "here:1")
    redis.freeze()
    with pytest.raises(ids.LeaseStoreUnavailable, match="Timeout"):
        store.acquire(ask)
    redis.thaw()
    redis.stop()
    with pytest.raises(ids.LeaseStoreUnavailable, match="refused"):
        store.acquire(ask)
    redis.start()
    assert store.acquire(ask).node == 0


@pytest.mark.parametrize("url", ["sqlite:/no/such/folder/x.db", "sqlite:{file}", "postgresql://127.0.0.1:1/x"])
def test_a_store_that_cannot_be_reached_says_so(tmp_path: Path, url: str) -> None:
    (tmp_path / "text.db").write_text("this is no database, and long enough to be seen as none" * 20)
    store = ids.lease_store(url.format(file=tmp_path / "text.db"))
    with pytest.raises(ids.LeaseStoreUnavailable, match="does not work: "):
        store.acquire(ids.Ask("x", 0, 1, TTL_MS, "here:1"))


def test_a_locked_file_is_waited_for_as_long_as_was_said(tmp_path: Path) -> None:
    import sqlite3

    path = str(tmp_path / "workers.db")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store = ids.lease_store(f"sqlite:{path}", 50 * MS)
    with pytest.raises(ids.LeaseStoreUnavailable, match="locked"):
        store.acquire(ids.Ask("x", 0, 1, TTL_MS, "here:1"))
    other.execute("COMMIT")
    other.close()
    assert store.acquire(ids.Ask("x", 0, 1, TTL_MS, "here:1")).node == 0


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("mongodb://x", "there are memory:"),
        ("redis", "redis"),
        ("reddis://x", "did you mean redis"),
        ("sqlite:", "sqlite:PATH"),
    ],
)
def test_a_url_of_no_store_is_refused(url: str, remedy: str) -> None:
    with pytest.raises(UsageError) as refused:
        ids.lease_store(url)
    assert remedy in refused.value.remedy


def test_sqlalchemy_s_way_of_writing_paths_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in (f"sqlite:///{tmp_path}/one.db", "sqlite:///two.db", "sqlite:three.db", f"sqlite:{tmp_path}/four.db"):
        ids.lease_store(url).acquire(ids.Ask("x", 0, 1, TTL_MS, "here:1"))
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["four.db", "one.db", "three.db", "two.db"]
