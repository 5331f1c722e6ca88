"""Writes, invalidations and tags, while others read and load."""

import asyncio

import pytest
from scene import MS, Scene, answers, crowd, in_scene, tally

from tenfold import UsageError
from tenfold.cache import ABSENT, Cache


@in_scene()
async def test_an_invalidation_in_mid_load_lets_the_value_reach_its_callers_and_never_the_store(s: Scene) -> None:
    async with s.cache(local="1 s") as cache:
        waiting = crowd(cache, s.source, 10)
        await asyncio.sleep(0.02)
        s.source.version = 2
        await cache.invalidate("k")
        after = crowd(cache, s.source, 10)
        assert tally(await answers(waiting)) == {"k1": 10}
        assert tally(await answers(after)) == {"k2": 10}, "who comes after the invalidation does not join the old load"
        assert await cache.get("k", s.source.load) == "k2"
    assert len(s.source.calls) == 2
    assert cache.counts.dropped == 1


@in_scene()
async def test_an_invalidation_by_another_node_in_mid_load_counts_as_well(s: Scene) -> None:
    first, second = s.cache(local="1 s"), s.cache(local="1 s")
    waiting = crowd(first, s.source, 10)
    await asyncio.sleep(0.02)
    s.source.version = 2
    await second.invalidate("k")
    assert tally(await answers(waiting)) == {"k1": 10}
    assert [await cache.get("k", s.source.load) for cache in (first, second)] == ["k2", "k2"]
    await first.close()
    await second.close()


@pytest.mark.parametrize("lock", [True, False])
def test_an_invalidation_of_a_key_that_is_not_there_stops_a_load_begun_before(lock: bool) -> None:
    s = Scene()

    async def main() -> None:
        async with s.cache(lock=lock) as cache:
            waiting = crowd(cache, s.source, 1)
            await asyncio.sleep(0.02)
            await cache.invalidate("k")
            s.source.version = 2
            await answers(waiting)
            assert await cache.get("k", s.source.load) == "k2"

    s.run(main())


@in_scene()
async def test_a_write_wins_over_a_load_begun_before(s: Scene) -> None:
    async with s.cache(local="1 s") as cache:
        waiting = crowd(cache, s.source, 3)
        await asyncio.sleep(0.02)
        await cache.set("k", "written")
        assert await cache.get("k", s.source.load) == "written"
        assert tally(await answers(waiting)) == {"k1": 3}
        assert await cache.get("k", s.source.load) == "written"


@in_scene()
async def test_a_write_wakes_nodes_that_wait_for_a_load_elsewhere(s: Scene) -> None:
    first, second = s.cache(), s.cache()
    s.source.takes_s = 5
    mine = crowd(first, s.source, 1)
    await asyncio.sleep(0.01)
    others = crowd(second, s.source, 3)
    await asyncio.sleep(0.01)
    await second.set("k", "written")
    assert tally(await answers(others)) == {"written": 3}
    assert s.world.now_ns == 20 * MS
    await answers(mine)
    await first.close()
    await second.close()


@in_scene()
async def test_many_are_written_and_read_at_once(s: Scene) -> None:
    async with s.cache() as cache:
        await cache.set_many({f"k{i}": i for i in range(2500)})
        assert await cache.get_many([f"k{i}" for i in range(2500)], s.source.load) == {f"k{i}": i for i in range(2500)}
        await cache.invalidate(*(f"k{i}" for i in range(2500)))
        assert await cache.get("k7", s.source.load) == "k71"
    assert s.source.calls == ["k7"]


@in_scene()
async def test_absent_can_be_written(s: Scene) -> None:
    async with s.cache(negative_ttl="1 s") as cache:
        await cache.set("k", ABSENT)
        assert await cache.get("k", s.source.load) is ABSENT
    assert s.source.calls == []


# Tags.


@in_scene()
async def test_a_tag_invalidates_every_value_that_carries_it_and_no_other(s: Scene) -> None:
    async with s.cache(local="5 s") as cache:
        for key, tags in (("a", ["x"]), ("b", ["x", "y"]), ("c", ["y"]), ("d", [])):
            await cache.get(key, s.source.load, tags=tags)
        s.source.version = 2
        await cache.invalidate_tag("x")
        found = [
            await cache.get(key, s.source.load, tags=tags)
            for key, tags in (("a", ["x"]), ("b", ["x", "y"]), ("c", ["y"]), ("d", []))
        ]
    assert found == ["a2", "b2", "c1", "d1"]


@in_scene()
async def test_a_reader_that_does_not_name_the_tags_is_not_served_what_they_invalidated(s: Scene) -> None:
    async with s.cache(local="5 s") as cache:
        await cache.get("a", s.source.load, tags=["x"])
        assert await cache.get("a", s.source.load) == "a1"
        await cache.invalidate_tag("x")
        s.source.version = 2
        assert await cache.get("a", s.source.load) == "a2"


@in_scene()
async def test_a_tag_invalidated_in_mid_load_makes_the_loaded_value_outdated(s: Scene) -> None:
    async with s.cache(local="5 s") as cache:
        waiting = asyncio.create_task(cache.get("a", s.source.load, tags=["x"]))
        await asyncio.sleep(0.02)
        await cache.invalidate_tag("x")
        s.source.version = 2
        after = asyncio.create_task(cache.get("a", s.source.load, tags=["x"]))
        assert [await waiting, await after] == ["a1", "a2"]
        assert await cache.get("a", s.source.load, tags=["x"]) == "a2"


@in_scene()
async def test_a_tag_invalidated_on_one_node_drops_the_copies_of_the_others(s: Scene) -> None:
    first, second = s.cache(local="1 h"), s.cache(local="1 h")
    for cache in (first, second):
        await cache.get("a", s.source.load, tags=["x"])
        await cache.get("a", s.source.load, tags=["x"])
    await first.invalidate_tag("x")
    s.source.version = 2
    assert await second.get("a", s.source.load, tags=["x"]) == "a2"
    await first.close()
    await second.close()


@in_scene()
async def test_a_store_that_loses_the_tag_costs_a_load_and_no_old_value(s: Scene) -> None:
    async with s.cache() as cache:
        await cache.get("a", s.source.load, tags=["x"])
        s.memory._records.delete("\0tag:x")
        s.source.version = 2
        assert await cache.get("a", s.source.load, tags=["x"]) == "a2"


@in_scene()
async def test_tags_live_as_long_as_what_carries_them(s: Scene) -> None:
    async with s.cache(ttl="100 s", lease="1 s") as cache:
        await cache.get("a", s.source.load, tags=["x"])
        await asyncio.sleep(95)
        await cache.get("b", s.source.load, tags=["x"])
        await asyncio.sleep(90)
        await cache.get("b", s.source.load, tags=["x"])
    assert s.source.calls == ["a", "b"]


@in_scene()
async def test_untagged_values_cost_one_question_and_tagged_ones_as_well(s: Scene) -> None:
    async with s.cache() as cache:
        await cache.get("a", s.source.load)
        await cache.get("b", s.source.load, tags=["x", "y"])
        for key, tags in (("a", ()), ("b", ("x", "y"))):
            before = s.store.asked
            await cache.get(key, s.source.load, tags=tags)
            assert s.store.asked == before + 1


# Names.


@in_scene()
async def test_caches_of_different_names_share_a_store_and_nothing_else(s: Scene) -> None:
    users, items = s.cache(name="users", local="1 s"), s.cache(name="items", local="1 s")
    await users.set("1", "user")
    await items.set("1", "item")
    await users.invalidate("1")
    assert await items.get("1", s.source.load) == "item"
    assert await users.get("1", s.source.load) == "11"
    await users.close()
    assert await items.get("1", s.source.load) == "item"
    await items.close()
    assert repr(items).startswith("Cache(")


@in_scene()
async def test_a_tag_that_is_no_list_is_refused(s: Scene) -> None:
    async with s.cache() as cache:
        with pytest.raises(UsageError, match="tags are a list"):
            await cache.get("k", s.source.load, tags="users")


def test_a_setting_that_cannot_be_read_is_refused_with_its_remedy() -> None:
    with pytest.raises(UsageError, match="ttl of cache"):
        Cache(Scene().memory, ttl="5m")
    with pytest.raises(UsageError, match="has no key"):
        Cache(Scene().memory, tll="5 min")  # type: ignore[call-arg]
