"""A service that charges: an application over a store, run in a process of its own that may be killed.

`python paying.py STORE WHERE EFFECTS MODE FIRST LAST EVERY WAITS` sends one request after another, each from a child
that dies at its n-th step (SIGKILL: nothing is cleaned up), n = FIRST, FIRST + EVERY, ... until one ends before its
step. MODE is `transaction` or `lease`. The effect is a row in the transaction's own database, or a line of the file
EFFECTS.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from asgi_client import ask_app
from keyed_stores import made

from tenfold.idempotency import IdempotencyMiddleware, connection, everyone

TABLE = "tenfold_test_charges"


async def execute(statement, *values):
    cursor = connection().execute(statement, values)
    if asyncio.iscoroutine(cursor):
        await cursor


def charging(effects, mode, turns=0):
    """An application that charges once for each run."""

    async def app(scope, receive, send):
        await receive()
        key = dict(scope["headers"])[b"idempotency-key"].decode()
        if mode == "transaction":
            mark = "?" if "sqlite" in type(connection()).__module__ else "%s"
            await execute(f"insert into {TABLE} values ({mark})", key)  # noqa: S608
        else:
            with Path(effects).open("a") as file:
                file.write(key + "\n")
        for _ in range(turns):
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-charge", b"1")]})
        await send({"type": "http.response.body", "body": b"charged", "more_body": True})
        await send({"type": "http.response.body", "body": b" once"})

    return app


class Dies:
    """A coroutine that is awaited like another, and kills the process at its n-th step.

    Args:
        waits_s: before it does, so that a thread at work may have gone on or not.
    """

    def __init__(self, coroutine, step, waits_s):
        self.coroutine, self.step, self.waits_s = coroutine, step, waits_s

    def __await__(self):
        steps = self.coroutine.__await__()
        for number in range(1, 1_000_000):
            if number == self.step:
                threading.Event().wait(self.waits_s)
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                yielded = next(steps)
            except StopIteration as done:
                return done.value
            yield yielded
        raise AssertionError("it does not end")


async def request(store, effects, key, mode, **settings):
    """One request; what came back, as text."""
    around = IdempotencyMiddleware(
        charging(effects, mode, turns=2), store, scope=everyone, transaction=mode == "transaction", **settings
    )
    reply = await ask_app(around, key=key)
    kind = reply.problem if reply.status >= 400 else reply.body.decode()
    return {"status": reply.status, "said": kind, "is_replay": reply.is_replay}


async def main(name, where, effects, key, mode, step=0, waits_s=0.0):
    store = made(name, where)
    asked = request(store, effects, key, mode, lease="100 ms")
    said = await (Dies(asked, step, waits_s) if step else asked)
    await store.close()
    return said


def dying_children(name, where, effects, mode, steps, waits_s):
    """A child for each step, made by fork before any thread or loop is there, until one ends before its step."""
    for step in steps:
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                asyncio.run(main(name, where, effects, f"k{step}", mode, step, waits_s))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"key": f"k{step}", "was_killed": os.WIFSIGNALED(status)}), flush=True)  # noqa: T201
        if not os.WIFSIGNALED(status):
            return


if __name__ == "__main__":
    named, place, written, way, first, last, every, waits = sys.argv[1:]
    dying_children(named, place, written, way, range(int(first), int(last), int(every)), float(waits))
