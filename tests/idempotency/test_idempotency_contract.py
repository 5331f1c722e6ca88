"""What every store of keys promises: one suite, run by each member of the table."""

import asyncio
import gc
import pkgutil

import pytest
from keyed_stores import MS, NAMES, TRANSACTIONAL, S, ask, nodes, place, unique

from tenfold.idempotency import Answer
from tenfold.stores import idempotency
from tenfold.stores.idempotency import IDEMPOTENCY_STORES


@pytest.fixture(params=NAMES)
def run(request, tmp_path):
    """Run a coroutine function with two nodes of one service and a key of its own."""
    where = place(request.param, request, tmp_path)

    def running(test):
        async def main():
            async with nodes(request.param, where) as (store, other):
                await test(store, other, unique("k"))

        asyncio.run(main())
        gc.collect()

    return running


def test_every_member_of_the_table_is_held_to_the_contract():
    modules = {name for _, name, _ in pkgutil.iter_modules(idempotency.__path__)} - {"sql"}  # shared by two
    assert set(NAMES) == set(IDEMPOTENCY_STORES) == modules
    assert all(callable(pkgutil.resolve_name(where)) for where in IDEMPOTENCY_STORES.values())


def test_one_of_many_claims_a_key_and_the_others_hear_that_it_is_running(run):
    async def main(store, other, key):
        asks = [ask(key, token=token) for token in range(1, 21)]
        answers = await asyncio.gather(*((store, other)[each.token % 2].begin(each) for each in asks))
        assert sorted(answers) == [Answer("claimed"), *[Answer("running")] * 19]

    run(main)


def test_a_completed_key_gives_its_answer_to_every_node(run):
    async def main(store, other, key):
        first = ask(key)
        await store.begin(first)
        assert await store.complete(first, b"\x00answer\xff")
        assert await other.begin(ask(key, token=2)) == Answer("done", b"\x00answer\xff")

    run(main)


def test_an_empty_answer_is_an_answer(run):
    async def main(store, other, key):
        await store.begin(ask(key))
        assert await store.complete(ask(key), b"")
        assert await other.begin(ask(key, token=2)) == Answer("done", b"")

    run(main)


def test_another_fingerprint_is_a_mismatch_running_done_or_unknown(run):
    async def main(store, other, key):
        stranger = ask(key, b"g", token=2, runs_unknown=True)
        await store.begin(ask(key, lease_ns=30 * MS))
        assert await other.begin(stranger) == Answer("mismatch")
        await asyncio.sleep(0.05)
        assert await other.begin(stranger) == Answer("mismatch")
        await store.complete(ask(key), b"a")
        assert await other.begin(stranger) == Answer("mismatch")

    run(main)


def test_a_released_key_is_absent(run):
    async def main(store, other, key):
        await store.begin(ask(key))
        await store.release(ask(key))
        assert await other.begin(ask(key, b"g", token=2)) == Answer("claimed")

    run(main)


def test_an_answer_is_not_released_nor_replaced(run):
    async def main(store, other, key):
        await store.begin(ask(key))
        await store.complete(ask(key), b"a")
        await store.release(ask(key))
        assert not await store.complete(ask(key), b"b")
        assert not await store.extend(ask(key))
        assert await other.begin(ask(key, token=2)) == Answer("done", b"a")

    run(main)


def test_a_token_that_is_not_the_holders_changes_nothing(run):
    async def main(store, other, key):
        await store.begin(ask(key))
        assert not await other.complete(ask(key, token=2), b"stolen")
        assert not await other.extend(ask(key, token=2))
        await other.release(ask(key, token=2))
        assert await other.begin(ask(key, token=3)) == Answer("running")

    run(main)


def test_a_lease_that_ends_leaves_the_outcome_unknown_until_somebody_accepts_that(run):
    async def main(store, other, key):
        await store.begin(ask(key, lease_ns=30 * MS))
        await asyncio.sleep(0.05)
        assert await other.begin(ask(key, token=2)) == Answer("unknown")
        assert await other.begin(ask(key, token=3, runs_unknown=True)) == Answer("claimed")
        assert not await store.complete(ask(key), b"late")
        assert await other.complete(ask(key, token=3), b"second")
        assert await store.begin(ask(key, token=4)) == Answer("done", b"second")

    run(main)


def test_an_outcome_that_comes_late_is_known_then(run):
    async def main(store, other, key):
        await store.begin(ask(key, lease_ns=30 * MS))
        await asyncio.sleep(0.05)
        assert await store.complete(ask(key), b"late")
        assert await other.begin(ask(key, token=2)) == Answer("done", b"late")

    run(main)


def test_an_extended_lease_and_its_key_outlive_the_first(run):
    async def main(store, other, key):
        held = ask(key, lease_ns=80 * MS, keep_ns=80 * MS)
        await store.begin(held)
        for _ in range(4):
            await asyncio.sleep(0.04)
            assert await store.extend(held._replace(lease_ns=S, keep_ns=S))
        assert await other.begin(ask(key, token=2)) == Answer("running")

    run(main)


def test_what_is_over_is_forgotten_done_or_not(run):
    async def main(store, other, key):
        short = ask(key, lease_ns=20 * MS, keep_ns=40 * MS)
        await store.begin(short)
        await store.complete(short, b"a")
        await store.begin(short._replace(key=key + "b"))
        await asyncio.sleep(0.08)
        assert not await store.complete(short._replace(key=key + "b"), b"a")
        assert await other.begin(ask(key, b"g", token=2)) == Answer("claimed")
        assert await other.begin(ask(key + "b", b"g", token=2)) == Answer("claimed")

    run(main)


def test_a_store_that_was_closed_opens_again(run):
    async def main(store, other, key):
        await store.begin(ask(key))
        await store.complete(ask(key), b"a")
        await store.close()
        assert await store.begin(ask(key, token=2)) == Answer("done", b"a")

    run(main)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "redis"])  # whose server forgets by itself
def test_sweeping_deletes_what_is_over_and_nothing_else(name, request, tmp_path):
    where = place(name, request, tmp_path)

    async def main():
        async with nodes(name, where) as (store, _):
            await store.sweep(1_000)
            keys = [unique("k") for _ in range(30)]
            for key in keys[:20]:
                await store.begin(ask(key, lease_ns=10 * MS, keep_ns=10 * MS))
            await store.begin(ask(keys[20]))
            await asyncio.sleep(0.03)
            assert (await store.sweep(15), await store.sweep(100), await store.sweep(100)) == (15, 5, 0)
            assert await store.begin(ask(keys[20], token=2)) == Answer("running")

    asyncio.run(main())


# In a transaction.


@pytest.fixture(params=TRANSACTIONAL)
def transact(request, tmp_path):
    where = place(request.param, request, tmp_path)

    def running(test):
        async def main():
            async with nodes(request.param, where) as (store, other):
                await test(store, other, unique("k"))

        asyncio.run(main())
        gc.collect()

    return running


async def execute(connection, statement):
    """Run a statement on either kind of connection; its rows."""
    cursor = connection.execute(statement)
    cursor = await cursor if asyncio.iscoroutine(cursor) else cursor
    if cursor.description is None:
        return None
    rows = cursor.fetchall()
    return await rows if asyncio.iscoroutine(rows) else rows


async def effects(store, name, count_only=True):
    """How many effects are there, as a later transaction sees it."""
    answer, claim = await store.begin_transaction(ask(unique("look")))
    assert answer == Answer("claimed")
    rows = await execute(claim.connection, f"select count(*) from {name}")  # noqa: S608
    await claim.release()
    return rows[0][0]


async def with_effects(store, key):
    """A table, committed."""
    name = "effects_" + key.replace("-", "_")
    _, claim = await store.begin_transaction(ask(unique("make")))
    await execute(claim.connection, f"create table {name} (n integer)")
    assert await claim.complete(b"")
    return name


def test_claim_work_and_answer_commit_together(transact):
    async def main(store, other, key):
        name = await with_effects(store, key)
        answer, claim = await store.begin_transaction(ask(key))
        await execute(claim.connection, f"insert into {name} values (1)")  # noqa: S608
        assert answer == Answer("claimed")
        assert await claim.complete(b"a")
        assert await effects(other, name) == 1
        assert await other.begin_transaction(ask(key, token=2)) == (Answer("done", b"a"), None)
        assert await other.begin(ask(key, token=3)) == Answer("done", b"a")

    transact(main)


def test_what_is_released_never_happened(transact):
    async def main(store, other, key):
        name = await with_effects(store, key)
        _, claim = await store.begin_transaction(ask(key))
        await execute(claim.connection, f"insert into {name} values (1)")  # noqa: S608
        await claim.release()
        assert await effects(other, name) == 0
        answer, claim = await other.begin_transaction(ask(key, b"g", token=2))
        assert answer == Answer("claimed")
        await claim.release()

    transact(main)


def test_a_key_in_a_transaction_is_running_and_others_are_free_afterwards(transact):
    async def main(store, other, key):
        _, claim = await store.begin_transaction(ask(key))
        assert await store.begin_transaction(ask(key, token=2)) == (Answer("running"), None)
        await claim.complete(b"a")
        assert (await store.begin_transaction(ask(key, token=2)))[0] == Answer("done", b"a")

    transact(main)


def test_many_transactions_of_one_key_over_two_nodes_run_once(transact):
    async def main(store, other, key):
        name, runs = await with_effects(store, key), []

        async def one(node, token):
            answer, claim = await node.begin_transaction(ask(key, token=token))
            if claim is not None:
                runs.append(token)
                await execute(claim.connection, f"insert into {name} values (1)")  # noqa: S608
                await asyncio.sleep(0.02)
                assert await claim.complete(b"a")
            return answer.state

        states = await asyncio.gather(*(one((store, other)[n % 2], n + 1) for n in range(16)))
        assert len(runs) == states.count("claimed") == 1
        assert set(states) <= {"claimed", "running", "done"}
        assert await effects(other, name) == 1

    transact(main)


def test_work_that_commits_by_itself_leaves_the_outcome_unknown_not_absent(transact):
    async def main(store, other, key):
        _, claim = await store.begin_transaction(ask(key, lease_ns=20 * MS))
        await execute(claim.connection, "commit")
        await claim.release()
        await asyncio.sleep(0.04)
        assert await other.begin(ask(key, token=2)) == Answer("unknown")

    transact(main)
