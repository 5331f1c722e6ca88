"""Killed at every step of a request: in a transaction the effect is there once or not at all, and with its answer.

A real process, a real SIGKILL, real databases. The request is sent again to another process afterwards.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from keyed_stores import made, place
from paying import TABLE, request

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent


def killed_at_steps(name, where, effects, mode, every=1, waits_s=0.0, last=400):
    """The keys of requests that were killed, one at each step, and of the one that was not."""
    code = HERE / "paying.py"
    command = [sys.executable, str(code), name, where, effects, mode, "1", str(last), str(every), str(waits_s)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": f"{TESTS}:{HERE}"})
    return [json.loads(line) for line in done.stdout.splitlines()]


async def in_database(name, where, statement):
    if name == "sqlite":
        import sqlite3

        connection = sqlite3.connect(where, isolation_level=None)
        rows = connection.execute(statement).fetchall()
        connection.close()
        return rows
    import psycopg

    async with await psycopg.AsyncConnection.connect(where, autocommit=True) as connection:
        cursor = await connection.execute(statement)
        return await cursor.fetchall() if cursor.description else []


async def charges(name, where):
    """How often each key was charged."""
    rows = await in_database(name, where, f"select id, count(*) from {TABLE} group by id")  # noqa: S608
    return dict(rows)


@pytest.mark.parametrize(("name", "every", "waits_s"), [("sqlite", 1, 0.0), ("sqlite", 1, 0.01), ("postgres", 3, 0.01)])
def test_killed_at_any_step_of_a_transaction_the_effect_comes_once(name, every, waits_s, request, tmp_path):
    where = place(name, request, tmp_path)

    async def prepared():
        await in_database(name, where, f"drop table if exists {TABLE}")
        await in_database(name, where, "drop table if exists tenfold_idempotency")
        await in_database(name, where, f"create table {TABLE} (id text)")

    async def repeated(keys):
        store = made(name, where)
        said = {key: await again(store, key) for key in keys}
        await store.close()
        return said, await charges(name, where)

    async def again(store, key):
        return await request_again(store, key, "transaction")

    asyncio.run(prepared())
    tried = killed_at_steps(name, where, "-", "transaction", every, waits_s)
    before = asyncio.run(charges(name, where))
    said, after = asyncio.run(repeated([each["key"] for each in tried]))
    killed = [each["key"] for each in tried if each["was_killed"]]
    assert len(killed) >= 4
    assert not tried[-1]["was_killed"], "the last step was not reached"
    assert all(answer["said"] == "charged once" for answer in said.values())
    assert after == dict.fromkeys(said, 1)
    assert {key for key, answer in said.items() if answer["is_replay"]} == set(before)  # no effect without its answer
    assert set(before) < set(said), "some must have died before the commit"


async def request_again(store, key, mode, effects="-", **settings):
    """What a client does: ask until the key is free or settled."""
    end_s = time.monotonic() + 10
    while (said := await request(store, effects, key, mode, **settings))["said"] == "running":
        assert time.monotonic() < end_s
        await asyncio.sleep(0.02)
    return said


@pytest.mark.parametrize("name", ["sqlite", "redis"])
def test_killed_at_any_step_of_a_lease_nothing_runs_twice_in_silence(name, request, tmp_path):
    where, effects = place(name, request, tmp_path), tmp_path / "effects"
    effects.touch()
    tried = killed_at_steps(name, where, str(effects), "lease")
    before = effects.read_text().split()

    async def main():
        store = made(name, where)
        said = {each["key"]: await request_again(store, each["key"], "lease", str(effects)) for each in tried}
        await store.close()
        return said

    said = asyncio.run(main())
    after = effects.read_text().split()
    assert len(set(after)) == len(after)
    for key, answer in said.items():
        assert (answer["status"], answer["said"]) in ((201, "charged once"), (409, "unknown"))
        assert answer["status"] == 201 or key not in set(after) - set(before)
    assert "unknown" in {said[key]["said"] for key in before}, "some must have died between effect and answer"


def test_an_unknown_outcome_runs_again_for_who_accepts_that(tmp_path):
    where, effects = str(tmp_path / "keys.db"), tmp_path / "effects"
    effects.touch()
    killed_at_steps("sqlite", where, str(effects), "lease")
    key = effects.read_text().split()[0]

    async def main():
        store = made("sqlite", where)
        refused = await request_again(store, key, "lease", str(effects))
        accepted = await request_again(store, key, "lease", str(effects), on_unknown="run")
        await store.close()
        return refused["said"], accepted["said"]

    assert asyncio.run(main()) == ("unknown", "charged once")
    assert effects.read_text().split().count(key) == 2
