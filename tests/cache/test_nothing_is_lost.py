"""Ten thousand random steps of two nodes: callers come, are cancelled, time out, fail; nothing is lost, nobody hangs.

After every run no task, timer, flight, waiter or lease is left; every caller has ended; what it got was true at some
moment between its coming and its going, or before by no more than the policy allows.
"""

import asyncio
import random
from typing import Any

import pytest
from scene import S, Scene

from tenfold.cache import ABSENT, Cache, CacheUnavailable, LoadBackedOff

STEPS, SEEDS = 500, 20
KEYS = ("a", "b", "c")

SETTINGS: tuple[dict[str, Any], ...] = (
    {"local": "300 ms"},
    {"lease": "100 ms", "late_fill": "always"},
    {"late_fill": "never", "lease": "200 ms"},
    {"lock": False},
    {"fail_safe": "2 s", "load_backoff": "200 ms", "soft_timeout": "40 ms", "hard_timeout": "150 ms"},
    {"stale_while_revalidate": "500 ms", "early_refresh": 1, "local": {"entries": 2, "ttl": "200 ms"}},
    {"loads_in_flight": 1, "negative_ttl": "100 ms"},
    {"on_store_down": "stale", "fail_safe": "2 s", "local": "200 ms"},
)


class Trial:
    """One run: what is true in the source, who asks, what they may be told."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.s = Scene(seed)
        self.settings = SETTINGS[seed % len(SETTINGS)]
        self.nodes = [self.s.cache(ttl="1 s", ttl_jitter="10%", **self.settings) for _ in range(2)]
        self.truth = dict.fromkeys(KEYS, 0)
        self.began: dict[tuple[str, int], int] = {(key, 0): 0 for key in KEYS}  # when each version became true
        self.tasks: list[asyncio.Task[None]] = []

    async def load(self, key: str) -> Any:
        """Reads the truth at its begin, then takes a while, fails, finds nothing."""
        found, how = self.truth[key], self.rng.random()
        await asyncio.sleep(self.rng.choice([0, 0.01, 0.05, 0.12, 0.3]))
        if how < 0.15:
            raise OSError("source")
        return ABSENT if how < 0.25 else found

    async def load_many(self, keys: list[str]) -> dict[str, Any]:
        return {key: await self.load(key) for key in keys}

    async def ask(self, cache: Cache, key: str) -> None:
        """One caller."""
        came_ns = self.s.world.now_ns
        try:
            if self.rng.random() < 0.2:
                found = (await cache.get_many(KEYS, bulk=self.load_many))[key]
            else:
                found = await cache.get(key, self.load, tags=["t"] if self.rng.random() < 0.5 else ())
        except (OSError, LoadBackedOff, TimeoutError, CacheUnavailable, asyncio.CancelledError):
            return
        assert self.s.world.now_ns - came_ns < 5 * S, "nobody waits for ever"
        if found is not ABSENT:
            replaced_ns = self.began.get((key, found + 1), self.s.world.now_ns)
            assert replaced_ns >= came_ns - 5 * S, "nothing older than the policy allows"

    async def step(self) -> None:
        """Something happens."""
        rng, cache, key = self.rng, self.rng.choice(self.nodes), self.rng.choice(KEYS)
        what = rng.random()
        if what < 0.55:
            self.tasks.append(asyncio.create_task(self.ask(cache, key)))
        elif what < 0.75 and self.tasks:
            rng.choice(self.tasks).cancel()
        elif what < 0.80:
            await self.write(cache, key)
        elif what < 0.82:
            await cache.invalidate_tag("t")
        elif what < 0.83:
            self.s.store.breaks()
        elif what < 0.86:
            self.s.store.comes_back()
        else:
            await asyncio.sleep(rng.choice([0, 0, 0.001, 0.02, 0.1, 0.6]))

    async def write(self, cache: Cache, key: str) -> None:
        """The truth changes, and the cache is told."""
        self.truth[key] += 1
        self.began[key, self.truth[key]] = self.s.world.now_ns
        if self.rng.random() < 0.5:
            await cache.invalidate(key)
        else:
            await cache.set(key, self.truth[key])

    async def run(self) -> None:
        for node in self.nodes:
            await node.open()
        for _ in range(STEPS):
            await self.step()
        self.s.store.comes_back()
        async with asyncio.timeout(30):
            ended = await asyncio.gather(*self.tasks, return_exceptions=True)
        assert [error for error in ended if error and not isinstance(error, asyncio.CancelledError)] == []
        await asyncio.sleep(2)
        for node in self.nodes:
            assert len(node._parts.flights) == 0
            assert not node._parts.flights._asleep
            assert not node._parts.flights._refreshing
            assert not node._parts.outage.owed
            assert node.in_flight == 0
            await node.close()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_lost(seed: int) -> None:
    trial = Trial(seed)
    trial.s.run(trial.run())


def test_the_last_word_wins_whatever_was_going_on() -> None:
    for seed in range(SEEDS):
        trial = Trial(100 + seed)

        async def main(trial: Trial = trial) -> None:
            for _ in range(60):
                await trial.step()
            trial.s.store.comes_back()
            await asyncio.sleep(0.6)
            for node in trial.nodes:  # with the store in use again everywhere
                await trial.ask(node, "a")
            for key in KEYS:
                trial.truth[key] += 1
                await trial.nodes[0].set(key, trial.truth[key])
            for node in trial.nodes:
                for key in KEYS:
                    assert await node.get(key, trial.load) == trial.truth[key]
            await asyncio.gather(*trial.tasks, return_exceptions=True)
            await asyncio.sleep(2)
            for node in trial.nodes:
                await node.close()

        trial.s.run(main())
