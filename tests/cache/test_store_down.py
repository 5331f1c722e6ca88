"""The store goes away and comes back: what callers get, what the source is asked, what is owed."""

import asyncio

import pytest
from scene import MS, Scene, answers, crowd, in_scene, tally

from tenfold.cache import CacheUnavailable, LoadBackedOff

KEYS = [f"k{i}" for i in range(50)]


async def round_of(cache: object, s: Scene, count: int = 4) -> dict[str, int]:
    """So many callers for each of fifty keys."""
    tasks = [task for key in KEYS for task in crowd(cache, s.source, count, key)]  # type: ignore[arg-type]
    return tally(await answers(tasks))


@in_scene()
async def test_bypass_loads_once_per_key_within_the_limit_and_raises_nothing(s: Scene) -> None:
    async with s.cache(loads_in_flight=8) as cache:
        s.store.breaks()
        seen = await round_of(cache, s)
    assert sum(seen.values()) == 200
    assert not {"StoreUnavailable", "CacheUnavailable", "CallRejected"} & set(seen)
    assert len(s.source.calls) == 50
    assert s.source.in_flight_max == 8
    assert cache.counts.bypassed == 50


@in_scene()
async def test_a_dead_store_is_left_alone(s: Scene) -> None:
    async with s.cache() as cache:
        s.store.breaks()
        before = s.store.asked
        for _ in range(100):
            await cache.get("k", s.source.load)
        assert s.world.now_ns == 5_000 * MS
        assert s.store.asked - before <= 3 + 5.0 / 0.5
        assert cache.is_store_down


@in_scene()
async def test_the_store_is_in_use_again_within_a_second_of_its_return(s: Scene) -> None:
    async with s.cache() as cache:
        s.store.breaks()
        for _ in range(20):
            await cache.get("k", s.source.load)
        s.store.comes_back()
        await asyncio.sleep(0.5)
        await cache.get("k", s.source.load)
        loads = len(s.source.calls)
        assert await cache.get("k", s.source.load) == "k1"
        assert len(s.source.calls) == loads
        assert not cache.is_store_down


@in_scene()
async def test_local_copies_spare_the_source_for_their_ttl_while_the_store_is_down(s: Scene) -> None:
    async with s.cache(local="1 s") as cache:
        s.store.breaks()
        while s.world.now_ns < 5_000 * MS:
            await cache.get("k", s.source.load)
            await asyncio.sleep(0.01)
    assert len(s.source.calls) == 5


@in_scene()
async def test_loads_after_the_return_are_no_more_than_during_the_outage(s: Scene) -> None:
    # The store comes back empty, as a restarted server does.
    async with s.cache(local="500 ms", loads_in_flight=8) as cache:
        await round_of(cache, s)
        s.store.breaks()
        per_half_s: list[int] = []
        for step in range(20):
            if step == 10:
                s.memory._records.clear()
                s.store.comes_back()
            before, until_ns = len(s.source.calls), s.world.now_ns + 500 * MS
            while s.world.now_ns < until_ns:
                await round_of(cache, s)
                await asyncio.sleep(0.01)
            per_half_s.append(len(s.source.calls) - before)
    assert max(per_half_s[10:]) <= 1.2 * max(per_half_s[:10])
    assert sum(per_half_s[13:]) == 0, "normal again: everything is in the store"


@in_scene()
async def test_stale_mode_serves_old_local_copies_without_asking_anybody(s: Scene) -> None:
    async with s.cache(local="1 s", ttl="2 s", fail_safe="1 h", on_store_down="stale") as cache:
        await cache.get("k", s.source.load)
        await asyncio.sleep(30)
        s.store.breaks()
        assert tally(await answers(crowd(cache, s.source, 50))) == {"k1": 50}
        assert s.source.calls == ["k"]
        assert await cache.get("other", s.source.load) == "other1", "nothing old: it is loaded"


@in_scene()
async def test_fail_mode_says_so_to_readers_and_writers(s: Scene) -> None:
    async with s.cache(on_store_down="fail") as cache:
        s.store.breaks()
        assert tally(await answers(crowd(cache, s.source, 5))) == {"CacheUnavailable": 5}
        with pytest.raises(CacheUnavailable):
            await cache.invalidate("k")
        with pytest.raises(CacheUnavailable):
            await cache.get_many(["a", "b"], s.source.load)
    assert s.source.calls == []


@in_scene()
async def test_the_store_dies_in_mid_load_and_the_callers_get_the_value(s: Scene) -> None:
    async with s.cache() as cache:
        tasks = crowd(cache, s.source, 20)
        await asyncio.sleep(0.01)
        s.store.breaks()
        assert tally(await answers(tasks)) == {"k1": 20}
    assert s.source.calls == ["k"]
    assert cache.counts.unstored == 1


@in_scene()
async def test_a_failing_source_is_backed_off_from_also_without_the_store(s: Scene) -> None:
    async with s.cache(load_backoff="1 s") as cache:
        s.store.breaks()
        s.source.error = OSError("down as well")
        with pytest.raises(OSError, match="down as well"):
            await cache.get("k", s.source.load)
        for _ in range(10):
            with pytest.raises(LoadBackedOff):
                await cache.get("k", s.source.load)
        await asyncio.sleep(1.2)
        s.source.error = None
        assert await cache.get("k", s.source.load) == "k1"
    assert len(s.source.calls) == 2


@in_scene()
async def test_an_invalidation_while_the_store_is_down_holds_when_it_is_back(s: Scene) -> None:
    here, there = s.cache(local="1 s"), s.cache()
    await here.get("k", s.source.load)
    s.store.breaks()
    s.source.version = 2
    await here.invalidate("k")
    s.store.comes_back()
    assert await here.get("k", s.source.load) == "k2", "at once where it was said"
    await asyncio.sleep(1)
    assert await there.get("k", s.source.load) == "k2", "soon everywhere else"
    await here.close()
    await there.close()


@in_scene()
async def test_a_tag_invalidated_while_the_store_is_down_holds_when_it_is_back(s: Scene) -> None:
    here, there = s.cache(), s.cache()
    await here.get("k", s.source.load, tags=["x"])
    s.store.breaks()
    s.source.version = 2
    await here.invalidate_tag("x")
    s.store.comes_back()
    assert await here.get("k", s.source.load, tags=["x"]) == "k2"
    await asyncio.sleep(1)
    assert await there.get("k", s.source.load, tags=["x"]) == "k2"
    await here.close()
    await there.close()


@in_scene()
async def test_a_write_while_the_store_is_down_voids_what_stands_there(s: Scene) -> None:
    async with s.cache() as cache:
        await cache.get("k", s.source.load)
        s.store.breaks()
        s.source.version = 2
        await cache.set("k", "written")
        s.store.comes_back()
        await asyncio.sleep(1)
        assert await cache.get("k", s.source.load) == "k2"


@in_scene()
async def test_a_cache_whose_store_is_down_from_the_start_begins_all_the_same(s: Scene) -> None:
    s.store.is_down = True
    async with s.cache() as cache:
        assert await cache.get_many(["a", "b"], s.source.load) == {"a": "a1", "b": "b1"}
        assert await cache.get_many(["c", "d"], bulk=s.source.load_many) == {"c": "c1", "d": "d1"}
        s.store.comes_back()
        await asyncio.sleep(0.6)
        await cache.get("a", s.source.load)
        await cache.get("a", s.source.load)
    assert s.source.calls.count("a") == 2
