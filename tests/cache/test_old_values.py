"""When an old value is served: while another one is loaded, when loading fails, when it takes too long."""

import asyncio

import pytest
from scene import MS, Scene, answers, counted, crowd, in_scene, tally

from tenfold.cache import LoadBackedOff


@in_scene()
async def test_stale_while_revalidate_serves_the_old_value_at_once_and_loads_one(s: Scene) -> None:
    async with s.cache(stale_while_revalidate="30 s") as cache:
        await cache.get("k", s.source.load)
        await asyncio.sleep(15)
        s.source.version = 2
        before_ns = s.world.now_ns
        assert tally(await answers(crowd(cache, s.source, 50))) == {"k1": 50}
        assert s.world.now_ns == before_ns
        await asyncio.sleep(0.06)
        assert await cache.get("k", s.source.load) == "k2"
    assert len(s.source.calls) == 2
    assert counted(cache) == {"hits": 51, "misses": 1, "loads": 2, "stale": 50}


@in_scene()
async def test_early_refresh_loads_before_expiry_and_nobody_waits(s: Scene) -> None:
    async with s.cache(early_refresh=1, local="10 s") as cache:
        await cache.get("k", s.source.load)
        while s.world.now_ns < 60_000 * MS:
            await asyncio.sleep(0.005)
            await cache.get("k", s.source.load)
    assert cache.counts.misses == 1
    assert cache.counts.early == cache.counts.loads - 1 == 6
    assert cache.counts.hits > 10_000


@in_scene()
async def test_a_refresh_that_outlives_the_stale_window_wakes_those_who_had_to_wait(s: Scene) -> None:
    s.source.takes_s = 3
    async with s.cache(stale_while_revalidate="1 s") as cache:
        await cache.get("k", s.source.load)
        await asyncio.sleep(10.5)
        await cache.get("k", s.source.load)
        await asyncio.sleep(1)
        s.source.version = 2
        assert await cache.get("k", s.source.load) == "k1"
        assert s.world.now_ns == 16_500 * MS
    assert len(s.source.calls) == 2


@in_scene()
async def test_a_failed_load_serves_the_old_value_and_backs_off(s: Scene) -> None:
    async with s.cache(fail_safe="1 h", load_backoff="1 s") as cache:
        await cache.get("k", s.source.load)
        await asyncio.sleep(20)
        s.source.error = OSError("down")
        assert tally(await answers(crowd(cache, s.source, 50))) == {"k1": 50}
        assert await cache.get("k", s.source.load) == "k1"
    assert len(s.source.calls) == 2
    assert (cache.counts.failures, cache.counts.stale) == (1, 51)


def broken_for_five_seconds(has_old: bool) -> tuple[Scene, dict[str, int], float]:
    """20 callers, each asking every 20 ms, over 5 s in which the source fails, and 2.5 s after; when it recovered."""
    s = Scene()
    recovered_s = 0.0
    seen: dict[str, int] = {}

    async def caller(cache: object, end_s: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < end_s:
            try:
                answer = await cache.get("k", s.source.load)  # type: ignore[attr-defined]
            except (OSError, LoadBackedOff) as error:
                answer = type(error).__name__
            seen[answer] = seen.get(answer, 0) + 1
            if answer == "k2":
                return
            await asyncio.sleep(0.02)

    async def main() -> None:
        nonlocal recovered_s
        async with s.cache(fail_safe="1 h", load_backoff="500 ms") as cache:
            if has_old:
                await cache.get("k", s.source.load)
                await asyncio.sleep(10)
            s.source.error, s.source.version = OSError("down"), 2
            start_s = asyncio.get_running_loop().time()
            callers = [asyncio.create_task(caller(cache, start_s + 7.5)) for _ in range(20)]
            await asyncio.sleep(5)
            s.source.error, recovered_s = None, start_s + 5
            await asyncio.gather(*callers)

    s.run(main())
    return s, seen, recovered_s


def test_a_broken_source_is_asked_once_per_back_off_and_the_old_value_served_throughout() -> None:
    s, seen, _ = broken_for_five_seconds(has_old=True)
    assert set(seen) == {"k1", "k2"}
    assert seen["k2"] == 20
    assert len(s.source.calls) <= 2 + 5.0 / 0.5


def test_a_broken_source_without_an_old_value_gives_everybody_the_error() -> None:
    s, seen, _ = broken_for_five_seconds(has_old=False)
    assert set(seen) == {"OSError", "LoadBackedOff", "k2"}
    assert seen["OSError"] >= 20
    assert len(s.source.calls) <= 1 + 5.0 / 0.5


@pytest.mark.parametrize("has_old", [True, False])
def test_the_value_is_fresh_within_one_step_of_recovery(has_old: bool) -> None:
    s, seen, recovered_s = broken_for_five_seconds(has_old)
    assert seen["k2"] == 20
    assert 0 < s.source.at_s[-1] - recovered_s <= 0.5 * 1.2 + 0.05


@in_scene()
async def test_past_fail_safe_the_error_is_raised(s: Scene) -> None:
    async with s.cache(fail_safe="5 s") as cache:
        await cache.get("k", s.source.load)
        await asyncio.sleep(16)
        s.source.error = OSError("down")
        with pytest.raises(OSError, match="down"):
            await cache.get("k", s.source.load)


@in_scene()
async def test_soft_timeout_serves_the_old_value_and_the_load_goes_on_and_fills(s: Scene) -> None:
    async with s.cache(fail_safe="1 h", soft_timeout="20 ms") as cache:
        await cache.get("k", s.source.load)
        await asyncio.sleep(20)
        s.source.version, s.source.takes_s, before_ns = 2, 2, s.world.now_ns
        assert tally(await answers(crowd(cache, s.source, 10))) == {"k1": 10}
        assert s.world.now_ns - before_ns == 20 * MS
        assert await cache.get("k", s.source.load) == "k1"
        assert s.world.now_ns - before_ns == 20 * MS, "it is known to be slow: nobody waits again"
        await asyncio.sleep(2)
        assert await cache.get("k", s.source.load) == "k2"
    assert len(s.source.calls) == 2
    assert cache.counts.stale == 11


@in_scene()
async def test_without_an_old_value_the_soft_timeout_lets_callers_wait(s: Scene) -> None:
    async with s.cache(fail_safe="1 h", soft_timeout="20 ms") as cache:
        assert await cache.get("k", s.source.load) == "k1"
    assert s.world.now_ns == 50 * MS


@in_scene()
async def test_hard_timeout_gives_up_the_load_and_counts_as_its_failure(s: Scene) -> None:
    async with s.cache(fail_safe="1 h", load_backoff="1 s", hard_timeout="100 ms") as cache:
        s.source.takes_s = 5
        assert tally(await answers(crowd(cache, s.source, 5))) == {"TimeoutError": 5}
        assert s.world.now_ns == 100 * MS
        with pytest.raises(LoadBackedOff):
            await cache.get("k", s.source.load)
    assert s.source.cancelled == 1


@in_scene()
async def test_hard_timeout_serves_the_old_value_when_there_is_one(s: Scene) -> None:
    async with s.cache(fail_safe="1 h", hard_timeout="100 ms") as cache:
        await cache.get("k", s.source.load)
        await asyncio.sleep(20)
        s.source.takes_s = 5
        assert await cache.get("k", s.source.load) == "k1"
    assert s.source.cancelled == 1
