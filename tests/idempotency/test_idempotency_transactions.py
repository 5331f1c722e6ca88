"""The middleware in transactional mode: claim, work and answer are there together or not at all."""

import asyncio
import sqlite3

import pytest
from asgi_client import Counting, ask_app
from keyed_stores import TRANSACTIONAL, made, place, unique
from test_idempotency_contract import execute

from tenfold.idempotency import IdempotencyMiddleware, SQLiteStore, StoreUnavailable, connection, everyone, idempotent


@pytest.fixture(params=TRANSACTIONAL)
def run(request, tmp_path):
    """Run a coroutine function with a store and a table of its own for the effects."""
    where = place(request.param, request, tmp_path)

    def running(test):
        async def main():
            store, table = made(request.param, where), unique("charges").replace("-", "_")

            @idempotent(store, key=lambda: table, transaction=True)
            async def prepare():
                await execute(connection(), f"create table {table} (n integer)")

            await prepare()
            await test(store, table)
            await store.close()

        asyncio.run(main())

    return running


async def count(store, table):
    @idempotent(store, key=lambda: unique("count"), transaction=True)
    async def counted():
        return (await execute(connection(), f"select count(*) from {table}"))[0][0]  # noqa: S608

    return await counted()


def charging(table, **settings):
    async def work(number):
        await execute(connection(), f"insert into {table} values (1)")  # noqa: S608

    return Counting(work=work, **settings)


def wrapped(app, store, **settings):
    return IdempotencyMiddleware(app, store, scope=everyone, transaction=True, **settings)


def test_the_effect_and_its_answer_are_committed_before_the_answer_leaves(run):
    async def main(store, table):
        left = []

        def before(message):
            left.append((message["type"], message.get("body")))
            if message["type"] == "http.response.start":
                raise OSError("gone")

        app, key = charging(table), unique("k")
        around = wrapped(app, store)
        with pytest.raises(OSError, match="gone"):
            await ask_app(around, key=key, before=before)
        assert await count(store, table) == 1
        assert ((await ask_app(around, key=key)).is_replay, app.runs) == (True, 1)

    run(main)


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_of_the_servers_own_is_rolled_back_and_runs_again(run, status):
    async def main(store, table):
        app, key = charging(table, status=status), unique("k")
        around = wrapped(app, store)
        assert (await ask_app(around, key=key)).status == status
        assert await count(store, table) == 0
        app.status = 201
        assert (await ask_app(around, key=key)).status == 201
        assert await count(store, table) == 1

    run(main)


def test_an_exception_and_a_cancellation_are_rolled_back(run):
    async def main(store, table):
        async def work(number):
            await execute(connection(), f"insert into {table} values (1)")  # noqa: S608
            if number == 1:
                raise ZeroDivisionError
            await asyncio.sleep(60 if number == 2 else 0)

        app, key = Counting(work=work), unique("k")
        around = wrapped(app, store)
        with pytest.raises(ZeroDivisionError):
            await ask_app(around, key=key)
        task = asyncio.create_task(ask_app(around, key=key))
        while app.runs < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await ask_app(around, key=key)).status == 201
        assert await count(store, table) == 1

    run(main)


def test_a_request_cancelled_at_any_step_leaves_nothing_half_done_and_its_key_usable(run):
    async def main(store, table):
        app = charging(table)
        around, keys = wrapped(app, store), []
        for steps in range(40):
            keys.append(unique("k"))
            task = asyncio.create_task(ask_app(around, key=keys[-1]))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        replies = [await ask_app(around, key=key) for key in keys]
        assert {reply.status for reply in replies} == {201}
        assert await count(store, table) == len(keys)

    run(main)


def test_many_at_once_charge_once(run):
    async def main(store, table):
        app, key = charging(table), unique("k")
        around = wrapped(app, store, wait="5 s")
        replies = await asyncio.gather(*(ask_app(around, key=key) for _ in range(20)))
        assert [reply.status for reply in replies] == [201] * 20
        assert (await count(store, table), app.runs) == (1, 1)

    run(main)


def test_many_repetitions_at_once_of_what_is_done_all_get_the_answer(run):
    async def main(store, table):
        around, key = wrapped(charging(table), store), unique("k")
        await ask_app(around, key=key)
        replies = await asyncio.gather(*(ask_app(around, key=key) for _ in range(10)))
        assert all(reply.is_replay for reply in replies)

    run(main)


def test_requests_with_other_keys_all_commit(run):
    async def main(store, table):
        around, keys = wrapped(charging(table), store), [unique("k") for _ in range(20)]
        replies = await asyncio.gather(*(ask_app(around, key=key) for key in keys))
        assert {reply.status for reply in replies} == {201}
        assert await count(store, table) == 20

    run(main)


def test_the_application_finds_the_connection_in_its_scope_too(run):
    async def main(store, table):
        async def app(scope, receive, send):
            assert scope["state"]["tenfold_connection"] is connection()
            await Counting()(scope, receive, send)

        assert (await ask_app(wrapped(app, store), key=unique("k"))).status == 201
        with pytest.raises(LookupError):
            connection()

    run(main)


class Refusing(SQLiteStore):
    """Its commits fail."""

    def _committed(self, ask, response):
        self._rolled_back()
        raise sqlite3.OperationalError("disk I/O error")


@pytest.mark.parametrize("chunks", [(b"charged",), (b"a", b"b")])
def test_an_answer_whose_commit_failed_never_arrives_whole(tmp_path, chunks):
    async def main():
        good, bad = SQLiteStore(tmp_path / "keys.db"), Refusing(tmp_path / "keys.db")
        app = Counting(chunks=chunks)
        if len(chunks) == 1:
            reply = await ask_app(wrapped(app, bad))
            assert (reply.status, reply.problem) == (503, "not-committed")
        else:
            with pytest.raises(Exception, match="disk I/O"):
                await ask_app(wrapped(app, bad))
        assert not (await ask_app(wrapped(app, good))).is_replay
        assert app.runs == 2
        for store in (good, bad):
            await store.close()

    asyncio.run(main())


def test_a_file_that_another_program_keeps_locked_is_unavailable_in_time(tmp_path):
    async def main():
        store = SQLiteStore(tmp_path / "keys.db", timeout="50 ms")
        app = Counting()
        assert (await ask_app(wrapped(app, store), key="a")).status == 201
        other = sqlite3.connect(tmp_path / "keys.db", isolation_level=None)
        other.execute("begin immediate")
        assert (await ask_app(wrapped(app, store), key="b")).problem == "store-unavailable"
        assert (await ask_app(wrapped(app, store), key="a")).status == 503  # a transaction is a writer
        other.close()
        assert (await ask_app(wrapped(app, store), key="b")).status == 201
        await store.close()

    asyncio.run(main())


# Functions.


def test_a_function_runs_once_for_each_key_and_its_result_comes_back(run):
    async def main(store, table):
        @idempotent(store, key=lambda order: order["id"], transaction=True)
        async def charge(order):
            await execute(connection(), f"insert into {table} values (1)")  # noqa: S608
            return {"charged": order["amount"]}

        order = {"id": unique("order"), "amount": 5}
        assert [await charge(order) for _ in range(3)] == [{"charged": 5}] * 3
        assert await count(store, table) == 1

    run(main)


def test_a_result_that_is_no_json_undoes_the_work_of_a_transaction(run):
    async def main(store, table):
        @idempotent(store, key=lambda: table + "once", transaction=True)
        async def charge():
            await execute(connection(), f"insert into {table} values (1)")  # noqa: S608
            return object()

        with pytest.raises(TypeError):
            await charge()
        assert await count(store, table) == 0

    run(main)


def test_a_store_that_is_away_is_unavailable(tmp_path):
    async def main():
        store = SQLiteStore(tmp_path / "no folder" / "keys.db")

        @idempotent(store, key=lambda: "k")
        async def charge():
            raise AssertionError

        with pytest.raises(StoreUnavailable):
            await charge()
        await store.close()

    asyncio.run(main())
