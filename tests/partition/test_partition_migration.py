"""A migration: dual routing, pausing, throttling, resuming, failing, turning back; in virtual time."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from clusters import TEN, keys
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import UsageError
from tenfold.partition import Migration, Move, Ring, Router, plan
from tenfold.testing.world import World

KEYS = keys(300)


class Cluster:
    """Nodes as dicts, a router, and a client that reads and writes as the router says."""

    def __init__(self) -> None:
        self.router = Router(Ring(TEN))
        self.kept: dict[str, dict[str, int]] = {name: {} for name in (*TEN, "node-10")}
        for key in KEYS:
            self.write(str(key), 0)

    def write(self, key: str, value: int) -> None:
        for name in self.router.route(key).write:
            self.kept[name][key] = value

    def read(self, key: str) -> int | None:
        return self.kept[self.router.route(key).read].get(key)

    async def copy(self, move: Move) -> int:
        await asyncio.sleep(0.001)
        hashing = Ring(TEN).hashing
        mine = {k: v for k, v in self.kept[move.source].items() if move.first <= hashing.of(k) <= move.last}
        for key, value in mine.items():
            self.kept[move.destination].setdefault(key, value)
        return len(mine)

    def grow(self, share_max: float = 1e-3) -> Migration:
        return self.router.migrate(Ring(TEN).with_node("node-10"), share_max=share_max)


def test_every_read_sees_the_last_write_before_during_and_after_a_migration() -> None:
    cluster, world = Cluster(), World()
    migration = cluster.grow()

    async def client() -> int:
        rounds = 0
        while not migration.is_complete:
            rounds += 1
            for key in KEYS[rounds % 7 :: 7]:
                cluster.write(str(key), rounds)
                assert cluster.read(str(key)) == rounds
            assert all(cluster.read(str(key)) is not None for key in KEYS)
            await asyncio.sleep(0.005)
        return rounds

    async def both() -> int:
        copying = asyncio.create_task(migration.run(cluster.copy, in_flight=2, settle_s=1))
        rounds = await client()
        assert await copying
        return rounds

    assert world.run(both()) > 10
    before = {key: cluster.read(str(key)) for key in KEYS}
    cluster.router.finish()
    assert {key: cluster.read(str(key)) for key in KEYS} == before
    assert cluster.router.current == Ring([*TEN, "node-10"])


def test_a_moving_key_is_written_to_both_and_read_from_its_source_until_it_is_copied() -> None:
    cluster = Cluster()
    migration = cluster.grow()
    key, move = next(migration.plan.moving(KEYS))
    stays = next(each for each in KEYS if migration.plan.move_of(each) is None)
    assert cluster.router.route(key)[:2] == (move.source, (move.source, "node-10"))
    assert cluster.router.route(stays).write == (Ring(TEN).node(stays),)
    migration.copied(migration.plan.index_of(Ring(TEN).hashing.of(key)))
    assert cluster.router.route(key)[:2] == ("node-10", ("node-10", move.source))


def test_a_pause_lets_the_copies_under_way_end_and_run_goes_on_from_there() -> None:
    cluster, world = Cluster(), World()
    migration = cluster.grow()

    async def paused() -> tuple[bool, bool]:
        copying = asyncio.create_task(migration.run(cluster.copy, settle_s=0))
        await asyncio.sleep(0.02)
        migration.pause()
        first = await copying
        done = migration.share_done
        assert 0 < done < 1
        await asyncio.sleep(10)
        assert migration.share_done == done
        migration.resume()
        return first, await migration.run(cluster.copy, settle_s=0)

    assert world.run(paused()) == (False, True)


def test_a_rate_holds_on_average_however_many_copies_are_in_flight() -> None:
    for in_flight in (1, 4):
        world, copied = World(), []

        async def copy(move: Move, copied: list[Move] = copied) -> float:
            copied.append(move)
            await asyncio.sleep(0.001)
            return 50.0

        migration = Migration(plan(Ring(TEN), Ring([*TEN, "x"])))
        world.run(migration.run(copy, per_s=100.0, settle_s=0, in_flight=in_flight))
        assert len(copied) == len(migration.plan.moves)
        assert world.now_ns / 1e9 == pytest.approx(len(copied) * 0.5, abs=0.5 * in_flight + 0.1)


def test_nothing_is_copied_before_writers_of_the_old_map_have_settled() -> None:
    world, begun_s = World(), []

    async def copy(move: Move) -> float:
        begun_s.append(world.now_ns / 1e9)
        return 1.0

    world.run(Migration(plan(Ring(TEN), Ring([*TEN, "x"]))).run(copy, settle_s=3.0))
    assert min(begun_s) == pytest.approx(3.0)


def test_another_process_goes_on_where_one_stopped() -> None:
    moves = plan(Ring(TEN), Ring([*TEN, "x"]))
    first = Migration(moves)
    for _ in range(5):
        first.copied(first.begin())
    first.begin()  # under way when the process died
    saved = json.loads(json.dumps(first.saved()))
    second, copied = Migration(moves, saved), []

    async def copy(move: Move) -> float:
        copied.append(move)
        return 1.0

    assert World().run(second.run(copy, settle_s=0))
    assert copied == list(moves.moves[5:])
    with pytest.raises(UsageError, match="another plan"):
        Migration(moves.cut(0.001), saved)


def test_a_copy_that_fails_waits_again() -> None:
    moves = plan(Ring(TEN), Ring([*TEN, "x"]))
    migration, copied, failures = Migration(moves), [], iter([ConnectionError("gone")])

    async def copy(move: Move) -> float:
        if len(copied) == 3:
            raise next(failures)
        copied.append(move)
        return 1.0

    with pytest.raises(ExceptionGroup):
        World().run(migration.run(copy, settle_s=0))

    async def sound(move: Move) -> float:
        copied.append(move)
        return 1.0

    assert World().run(migration.run(sound, settle_s=0))
    assert copied == list(moves.moves)


def test_turning_back_loses_nothing() -> None:
    cluster, world = Cluster(), World()
    migration = cluster.grow()

    async def half() -> None:
        copying = asyncio.create_task(migration.run(cluster.copy, settle_s=0))
        await asyncio.sleep(0.03)
        for number, key in enumerate(KEYS):
            cluster.write(str(key), number)
        cluster.router.turn_back()
        await copying

    world.run(half())
    assert 0 < migration.share_done < 1
    assert [cluster.read(str(key)) for key in KEYS] == list(range(len(KEYS)))
    assert cluster.router.current == Ring(TEN)


def test_a_migration_is_finished_only_when_complete_and_one_at_a_time() -> None:
    cluster = Cluster()
    cluster.grow()
    with pytest.raises(UsageError, match="0% of what moves"):
        cluster.router.finish()
    with pytest.raises(UsageError, match="a migration is on"):
        cluster.grow()
    with pytest.raises(UsageError, match="a migration is on"):
        cluster.router.switch(Ring(TEN))
    cluster.router.turn_back()
    for forbidden in (cluster.router.finish, cluster.router.turn_back):
        with pytest.raises(UsageError, match="no migration is on"):
            forbidden()


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["begin", "copied", "failed", "pause", "resume", "restart"]), max_size=80))
def test_no_move_is_under_way_twice_nor_begun_when_done(actions: list[str]) -> None:
    moves = plan(Ring("abc", points=5), Ring("abcd", points=5))
    migration, under_way, done = Migration(moves), set[int](), set[int]()
    for action in _repeated(actions):
        if action == "begin":
            number = migration.begin()
            assert number not in under_way | done
            under_way |= {number} - {-1}
        elif action == "copied" and under_way:
            migration.copied(number := under_way.pop())
            done.add(number)
        elif action == "failed" and under_way:
            migration.failed(under_way.pop())
        elif action == "pause":
            migration.pause()
            assert migration.begin() == -1
        elif action == "resume":
            migration.resume()
        elif action == "restart":
            migration, under_way = Migration(moves, migration.saved()), set()
    assert migration.is_complete == (len(done) == len(moves.moves))


def _repeated(actions: list[str]) -> Iterator[str]:
    yield from actions
    yield from actions
