"""Copies in the process: how long they live, who drops them, how many there are."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from scene import Scene, answers, crowd, in_scene

from tenfold.policies.cache.freshness import VALUE, Config, Entry
from tenfold.runtime.cache.hot import HotKeys
from tenfold.runtime.cache.local import LocalLayer
from tenfold.runtime.cache.settings import Local


@in_scene()
async def test_a_copy_is_served_without_asking_the_store_until_the_local_ttl(s: Scene) -> None:
    async with s.cache(local="1 s") as cache:
        await cache.get("k", s.source.load)
        before = s.store.asked
        await asyncio.sleep(0.99)
        await cache.get("k", s.source.load)
        assert s.store.asked == before
        await asyncio.sleep(0.01)
        await cache.get("k", s.source.load)
        assert s.store.asked == before + 1


@in_scene()
async def test_a_copy_does_not_outlive_its_value(s: Scene) -> None:
    async with s.cache(local="1 h", ttl="2 s") as cache:
        await cache.get("k", s.source.load)
        await asyncio.sleep(2)
        s.source.version = 2
        assert await cache.get("k", s.source.load) == "k2"


@in_scene()
async def test_a_write_elsewhere_drops_the_copy_at_once(s: Scene) -> None:
    first, second = s.cache(local="1 h"), s.cache(local="1 h")
    await second.get("k", s.source.load)
    await second.get("k", s.source.load)
    await first.set("k", "written")
    assert await second.get("k", s.source.load) == "written"
    await first.close()
    await second.close()


@in_scene()
async def test_a_change_heard_of_while_the_old_value_is_on_its_way_leaves_no_copy(s: Scene) -> None:
    first, second = s.cache(), s.cache(local="1 h")
    await first.set("k", "old")
    await second.open()
    get = s.memory.get

    async def slow(key: str) -> object:
        found = await get(key)
        await asyncio.sleep(0.1)
        return found

    s.memory.get = slow  # type: ignore[method-assign, assignment]
    reading = asyncio.create_task(second.get("k", s.source.load))
    await asyncio.sleep(0.05)
    await first.set("k", "written")
    assert await reading == "old"
    assert second.local_entries == 0
    assert await second.get("k", s.source.load) == "written"
    await first.close()
    await second.close()


@in_scene()
async def test_copies_are_not_trusted_once_announcements_may_be_missed(s: Scene) -> None:
    for mode in ("bypass", "stale"):
        async with s.cache(local="1 h", on_store_down=mode) as cache:
            await cache.get("k", s.source.load)
            before = s.store.asked
            for lost in s.store.lost:
                lost()
            await cache.get("k", s.source.load)
            assert s.store.asked == before + 1


@in_scene()
async def test_there_are_never_more_copies_than_allowed(s: Scene) -> None:
    async with s.cache(local={"entries": 10, "ttl": "1 h"}) as cache:
        for i in range(100):
            await cache.get(f"k{i}", s.source.load)
            assert cache.local_entries <= 10


@in_scene()
async def test_the_hottest_keys_are_known_wherever_they_were_served(s: Scene) -> None:
    async with s.cache(local={"entries": 10, "ttl": "1 s"}) as cache:
        for i in range(300):
            await cache.get("hot", s.source.load)
            await cache.get("warm" if i % 3 else "hot", s.source.load)
            await cache.get(f"k{i}", s.source.load)
        top = cache.hot_keys(2)
    assert [
        (key, uses - surplus <= true <= uses) for (key, uses, surplus), true in zip(top, (400, 200), strict=True)
    ] == [
        ("hot", True),
        ("warm", True),
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=400), st.integers(1, 8))
def test_the_sketch_never_counts_too_little_and_keeps_every_frequent_key(stream: list[int], counters: int) -> None:
    hot = HotKeys(counters)
    for key in stream:
        hot.add(str(key))
    top = {found.key: found for found in hot.top(counters)}
    assert len(top) <= counters
    for key in set(stream):
        true = stream.count(key)
        if true > len(stream) / counters:
            assert str(key) in top
        if str(key) in top:
            assert top[str(key)].uses - top[str(key)].surplus <= true <= top[str(key)].uses


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "drop", "drop_tag", "distrust", "pass"]),
            st.integers(0, 5),
            st.sets(st.integers(0, 2), max_size=2),
        ),
        max_size=60,
    )
)
def test_a_copy_of_a_changed_value_is_never_served(steps: list[tuple[str, int, set[int]]]) -> None:
    now_ns = 0
    local = LocalLayer(Local(ttl_ns=1000, entries=4), lambda: now_ns, HotKeys(), keeps_old=False)
    alive: dict[str, tuple[int, tuple[str, ...]]] = {}
    for step, (verb, number, numbers) in enumerate(steps):
        key, tags = f"k{number}", tuple(f"t{tag}" for tag in sorted(numbers))
        if verb == "put":
            local.put(key, step, Config(), Entry(now_ns + 500, 0, 1, 0, VALUE), now_ns, tags, local.note(key, tags))
            alive[key] = (step, tags)
        elif verb == "drop":
            local.drop(key)
            alive.pop(key, None)
        elif verb == "drop_tag":
            local.drop_tag(f"t{number}")
            alive = {key: held for key, held in alive.items() if f"t{number}" not in held[1]}
        elif verb == "distrust":
            local.distrust()
            alive = {}
        else:
            now_ns += 100 * number
        for other in (f"k{i}" for i in range(6)):
            place = local.peek(other)
            if place is not None and now_ns < place.certain_ns:
                assert place.value == alive[other][0]
        assert {k for keys in local._keys_of.values() for k in keys} <= set(local._map)


@in_scene()
async def test_a_crowd_on_copies_asks_nobody(s: Scene) -> None:
    async with s.cache(local="1 s") as cache:
        await cache.get("k", s.source.load)
        before = s.store.asked
        await answers(crowd(cache, s.source, 100))
        assert s.store.asked == before
