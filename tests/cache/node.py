"""A process of its own that uses a cache over Redis: `python node.py '{"url": ..., ...}'`; prints one line of JSON.

Callers start at one moment of the machine's monotonic clock, once per moment given. Each call of the loader is a line
in a file that all nodes append to: when, and by whom.
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
    starts_s: tuple[float, ...]  # when its callers come
    callers: int = 1
    load_s: float = 0.05
    settings: dict[str, Any] = field(default_factory=dict)

    def started(self) -> "subprocess.Popen[str]":
        """A node at work."""
        command = [sys.executable, __file__, json.dumps(asdict(self))]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))

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
        for start_s in orders.starts_s:
            await asyncio.sleep(start_s - time.monotonic())
            found = await asyncio.gather(*(caller(cache) for _ in range(orders.callers)), return_exceptions=True)
            waits = sorted(wait for wait in found if isinstance(wait, float))
            rounds.append(
                {"waits_s": waits, "errors": [repr(error) for error in found if not isinstance(error, float)]}
            )
    print(json.dumps(rounds))  # noqa: T201 - its answer


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    asyncio.run(main(Orders(**given)))
