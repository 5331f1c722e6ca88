"""One looks, the others get what it finds: whoever leaves, whatever ends."""

import asyncio

import pytest
from scene import MS, Scene, answers, counted, crowd, in_scene, tally

from tenfold.cache import ABSENT, CacheClosed, LoadBackedOff, LoadCancelled
from tenfold.runtime.pipeline import Pipeline


@in_scene()
async def test_a_value_is_loaded_once_and_then_hit_until_its_ttl(s: Scene) -> None:
    async with s.cache() as cache:
        assert [await cache.get("k", s.source.load) for _ in range(3)] == ["k1"] * 3
        await asyncio.sleep(10)
        assert await cache.get("k", s.source.load) == "k1"
    assert len(s.source.calls) == 2
    assert counted(cache) == {"hits": 2, "misses": 2, "loads": 2}


@in_scene()
async def test_a_crowd_on_a_cold_key_makes_one_load(s: Scene) -> None:
    async with s.cache() as cache:
        assert tally(await answers(crowd(cache, s.source, 500))) == {"k1": 500}
    assert s.source.calls == ["k"]
    assert counted(cache) == {"misses": 500, "waits": 499, "loads": 1}


@in_scene()
async def test_crowds_of_four_nodes_make_one_load_between_them(s: Scene) -> None:
    nodes = [s.cache(local="1 s") for _ in range(4)]
    tasks = [task for cache in nodes for task in crowd(cache, s.source, 500)]
    assert tally(await answers(tasks)) == {"k1": 2000}
    assert s.world.now_ns == 50 * MS, "waiters are woken, they do not poll"
    await asyncio.sleep(10)
    tasks = [task for cache in nodes for task in crowd(cache, s.source, 500)]
    assert tally(await answers(tasks)) == {"k1": 2000}
    assert s.source.calls == ["k", "k"]
    assert s.store.asked <= 4 * 20
    for cache in nodes:
        await cache.close()


@in_scene()
async def test_without_lock_every_miss_loads(s: Scene) -> None:
    async with s.cache(lock=False) as cache:
        assert tally(await answers(crowd(cache, s.source, 20))) == {"k1": 20}
        assert await cache.get("k", s.source.load) == "k1"
    assert len(s.source.calls) == 20


@pytest.mark.parametrize("gone", [0, 7, 19])
def test_a_cancelled_caller_leaves_and_the_others_get_the_value(gone: int) -> None:
    s = Scene()

    async def main() -> None:
        async with s.cache() as cache:
            tasks = crowd(cache, s.source, 20)
            await asyncio.sleep(0.01)
            tasks[gone].cancel()
            assert tally(await answers(tasks)) == {"k1": 19, "CancelledError": 1}
        assert s.source.calls == ["k"]
        assert s.source.cancelled == 0

    s.run(main())


@in_scene()
async def test_the_caller_that_looks_first_is_cancelled_before_the_store_answers(s: Scene) -> None:
    async with s.cache() as cache:
        reading = asyncio.Event()
        get = s.memory.get

        async def slow(key: str) -> object:
            reading.set()
            await asyncio.sleep(0.01)
            return await get(key)

        s.memory.get = slow  # type: ignore[method-assign, assignment]
        tasks = crowd(cache, s.source, 20)
        await reading.wait()
        tasks[0].cancel()
        assert tally(await answers(tasks)) == {"k1": 19, "CancelledError": 1}
    assert s.source.calls == ["k"]


@in_scene()
async def test_a_load_whose_callers_have_all_gone_still_fills(s: Scene) -> None:
    async with s.cache() as cache:
        tasks = crowd(cache, s.source, 3)
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0.05)
        assert await cache.get("k", s.source.load) == "k1"
    assert s.source.calls == ["k"]


@in_scene()
async def test_with_late_fill_never_it_ends_and_gives_its_lease_back(s: Scene) -> None:
    async with s.cache(late_fill="never", lease="1 h") as cache:
        tasks = crowd(cache, s.source, 3)
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert s.source.cancelled == 1
        assert await cache.get("k", s.source.load) == "k1"
    assert s.world.now_ns == 60 * MS


@in_scene()
async def test_without_lock_the_load_ends_with_its_caller(s: Scene) -> None:
    async with s.cache(lock=False) as cache:
        tasks = crowd(cache, s.source, 2)
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        assert tally(await answers(tasks)) == {"CancelledError": 1, "k1": 1}
    assert s.source.cancelled == 1


@in_scene()
async def test_the_loaders_error_reaches_every_waiter_as_it_is(s: Scene) -> None:
    s.source.error = ValueError("no such thing")
    async with s.cache() as cache:
        found = await answers(crowd(cache, s.source, 20))
        assert all(answer is s.source.error for answer in found)
        s.source.error = None
        assert await cache.get("k", s.source.load) == "k1"
    assert len(s.source.calls) == 2


@in_scene()
async def test_a_loader_cancelled_from_within_is_an_error_not_a_cancellation(s: Scene) -> None:
    async def torn(key: str) -> None:
        raise asyncio.CancelledError

    async with s.cache() as cache:
        with pytest.raises(LoadCancelled):
            await cache.get("k", torn)
        assert await cache.get("k", s.source.load) == "k1"


@in_scene()
async def test_closing_frees_the_lease_and_tells_who_waits(s: Scene) -> None:
    first, second = s.cache(lease="1 h"), s.cache()
    mine, others = crowd(first, s.source, 5), crowd(second, s.source, 5)
    await asyncio.sleep(0.01)
    await first.close()
    assert tally(await answers(mine)) == {"CacheClosed": 5}
    assert tally(await answers(others)) == {"k1": 5}
    assert s.world.now_ns == 60 * MS
    with pytest.raises(CacheClosed):
        await first.get("k", s.source.load)
    await second.close()


@in_scene()
async def test_a_closed_cache_may_be_opened_again(s: Scene) -> None:
    cache = s.cache()
    async with cache:
        await cache.get("k", s.source.load)
    async with cache:
        assert await cache.get("k", s.source.load) == "k1"
    assert s.source.calls == ["k"]


@in_scene()
async def test_what_the_source_does_not_have_is_remembered_for_the_negative_ttl(s: Scene) -> None:
    calls = 0

    async def nothing(key: str) -> object:
        nonlocal calls
        calls += 1
        return ABSENT

    async with s.cache(negative_ttl="2 s", local="1 s") as cache:
        assert [await cache.get("k", nothing) for _ in range(3)] == [ABSENT] * 3
        await asyncio.sleep(1.5)
        assert await cache.get("k", nothing) is ABSENT
        assert calls == 1
        await asyncio.sleep(0.5)
        assert await cache.get("k", nothing) is ABSENT
    assert calls == 2
    assert cache.counts.negative == 1, "hits on local copies are not told apart"


@in_scene()
async def test_none_is_a_value(s: Scene) -> None:
    async def none(key: str) -> None:
        return None

    async with s.cache() as cache:
        assert await cache.get("k", none) is None
        assert await cache.get("k", s.source.load) is None
    assert s.source.calls == []


@in_scene()
async def test_loads_in_flight_are_bounded_and_the_rest_wait_their_turn(s: Scene) -> None:
    async with s.cache(loads_in_flight=4) as cache:
        tasks = [task for i in range(20) for task in crowd(cache, s.source, 2, f"k{i}")]
        await answers(tasks)
    assert s.source.in_flight_max == 4
    assert len(s.source.calls) == 20
    assert s.world.now_ns == 5 * 50 * MS


@in_scene()
async def test_during_the_back_off_nobody_loads_and_the_refusal_names_its_cause(s: Scene) -> None:
    s.source.error = ValueError("broken")
    async with s.cache(load_backoff="1 s") as cache:
        with pytest.raises(ValueError, match="broken"):
            await cache.get("k", s.source.load)
        with pytest.raises(LoadBackedOff) as refused:
            await cache.get("k", s.source.load)
        assert refused.value.__cause__ is s.source.error
        assert 1_000 * MS <= refused.value.retry_after_ns <= 1_200 * MS
    assert len(s.source.calls) == 1


@in_scene(takes_s=0.1)
async def test_the_deadline_of_the_caller_that_began_a_load_does_not_bind_it(s: Scene) -> None:
    hasty, source = (Pipeline(timeout=limit, clock_ns=s.world.clock_ns) for limit in ("30 ms", "1 s"))

    async def load(key: str) -> object:
        return await source.call(lambda _: s.source.load(key), idempotent=True)

    async with s.cache() as cache:
        first = asyncio.create_task(hasty.call(lambda _: cache.get("k", load), idempotent=True))
        second = asyncio.create_task(cache.get("k", load))
        assert tally(await answers([first, second])) == {"TimeoutError": 1, "k1": 1}
    assert s.source.calls == ["k"]
    await asyncio.sleep(1)  # a pipeline keeps one timer for all its calls
