"""A process of its own that uses a cache over Redis: `python node.py '{"url": ..., ...}'`.

It says `ready`, is told a moment of the machine's monotonic clock, lets its callers come so many seconds after that,
and answers with one line of JSON. Each call of the loader is a line in a file that all nodes append to: when, and by
whom.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Orders:
    """What a node is to do."""

    url: str
    calls: str  # path of the file with the loader's calls
    after_s: tuple[float, ...]  # when its callers come
    callers: int = 1
    load_s: float = 0.05
    settings: dict[str, Any] = field(default_factory=dict)

    def started(self) -> "subprocess.Popen[str]":
        """A node at work."""
        command = [sys.executable, __file__, json.dumps(asdict(self))]
        node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert node.stdout is not None
        assert node.stdout.readline() == "ready\n"
        return node

    def loads(self) -> list[tuple[float, int]]:
        """When the loader was called, and in which process."""
        path = Path(self.calls)
        lines = path.read_text().splitlines() if path.exists() else []
        return [(float(at), int(pid)) for at, pid in (line.split() for line in lines)]


async def main(orders: Orders) -> None:
    from tenfold.cache import Cache, RedisStore

    async def load(key: str) -> str:
        with open(orders.calls, "a") as calls:
            calls.write(f"{time.monotonic()} {os.getpid()}\n")
        await asyncio.sleep(orders.load_s)
        return "value"

    async def caller(cache: Cache) -> float:
        start_s = time.perf_counter()
        assert await cache.get("hot", load) == "value"
        return time.perf_counter() - start_s

    rounds = []
    async with Cache(RedisStore(orders.url), **orders.settings) as cache:
        await cache.get("other", lambda _: asyncio.sleep(0, "value"))  # connected, and the script is known
        print("ready", flush=True)  # noqa: T201 - to who started it
        start_s = float(await asyncio.to_thread(sys.stdin.readline))
        for after_s in orders.after_s:
            await asyncio.sleep(start_s + after_s - time.monotonic())
            found = await asyncio.gather(*(caller(cache) for _ in range(orders.callers)), return_exceptions=True)
            waits = sorted(wait for wait in found if isinstance(wait, float))
            rounds.append(
                {"waits_s": waits, "errors": [repr(error) for error in found if not isinstance(error, float)]}
            )
    print(json.dumps(rounds))  # noqa: T201 - its answer


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    asyncio.run(main(Orders(**given)))
