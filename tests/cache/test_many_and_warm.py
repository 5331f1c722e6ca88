"""Many keys at once: looked up together, loaded in bulk, warmed at a rate."""

import asyncio
from typing import Any

import pytest
from scene import MS, Scene, answers, crowd, in_scene, tally

from tenfold import UsageError
from tenfold.cache import ABSENT, WarmUp


@in_scene()
async def test_many_keys_are_one_question_and_each_missing_one_a_load(s: Scene) -> None:
    async with s.cache() as cache:
        await cache.get("a", s.source.load)
        before = s.store.asked
        assert await cache.get_many(["a", "b", "c", "a"], s.source.load) == {"a": "a1", "b": "b1", "c": "c1"}
        assert s.source.calls == ["a", "b", "c"]
        before = s.store.asked
        await cache.get_many(["a", "b", "c"], s.source.load)
        assert s.store.asked == before + 1


@in_scene()
async def test_a_bulk_loader_is_called_once_for_all_that_is_missing(s: Scene) -> None:
    async with s.cache(local="1 s") as cache:
        await cache.get("b", s.source.load)
        found = await cache.get_many(["a", "b", "c"], bulk=s.source.load_many)
        assert found == {"a": "a1", "b": "b1", "c": "c1"}
        assert s.source.calls == ["b", "a,c"]
        assert await cache.get("a", s.source.load) == "a1"
    assert cache.counts.loads == 3


@in_scene()
async def test_what_a_bulk_loader_leaves_out_is_absent(s: Scene) -> None:
    async def some(keys: list[str]) -> dict[str, Any]:
        return {"a": 1}

    async with s.cache(negative_ttl="5 s") as cache:
        assert await cache.get_many(["a", "b"], bulk=some) == {"a": 1, "b": ABSENT}
        assert await cache.get("b", s.source.load) is ABSENT


@in_scene()
async def test_bulk_and_single_callers_of_a_key_share_one_load_across_nodes(s: Scene) -> None:
    first, second = s.cache(), s.cache()
    bulk = [asyncio.create_task(cache.get_many(["a", "b"], bulk=s.source.load_many)) for cache in (first, second)]
    await asyncio.sleep(0.01)
    singles = crowd(first, s.source, 3, "a") + crowd(second, s.source, 3, "b")
    assert await answers(bulk) == [{"a": "a1", "b": "b1"}] * 2
    assert tally(await answers(singles)) == {"a1": 3, "b1": 3}
    assert s.source.calls == ["a,b"]
    await first.close()
    await second.close()


@in_scene()
async def test_a_bulk_loader_that_fails_fails_every_key_and_serves_what_is_old(s: Scene) -> None:
    async def broken(keys: list[str]) -> dict[str, Any]:
        raise OSError("down")

    async with s.cache(fail_safe="1 h", load_backoff="1 s") as cache:
        await cache.get("a", s.source.load)
        await asyncio.sleep(20)
        assert await cache.get_many(["a"], bulk=broken) == {"a": "a1"}
        with pytest.raises(OSError, match="down"):
            await cache.get_many(["a", "b"], bulk=broken)
    assert cache.counts.failures == 2


@in_scene()
async def test_a_cancelled_bulk_caller_leaves_the_others_their_values(s: Scene) -> None:
    async with s.cache() as cache:
        first = asyncio.create_task(cache.get_many(["a", "b"], bulk=s.source.load_many))
        second = asyncio.create_task(cache.get_many(["b", "c"], bulk=s.source.load_many))
        await asyncio.sleep(0.01)
        first.cancel()
        assert await second == {"b": "b1", "c": "c1"}
        assert await cache.get_many(["a"], bulk=s.source.load_many) == {"a": "a1"}
    assert s.source.calls == ["a,b", "c"]


@in_scene()
async def test_a_loader_and_a_bulk_loader_together_are_refused(s: Scene) -> None:
    async with s.cache() as cache:
        with pytest.raises(UsageError):
            await cache.get_many(["a"])
        with pytest.raises(UsageError):
            await cache.get_many(["a"], s.source.load, bulk=s.source.load_many)
        with pytest.raises(UsageError, match="rate"):
            await cache.warm(["a"], s.source.load, rate="fast")


# Warm-up.


@pytest.mark.parametrize("is_bulk", [False, True])
def test_warming_keeps_its_rate_reports_progress_and_spreads_expiry(is_bulk: bool) -> None:
    s = Scene(takes_s=0.02)
    seen: list[WarmUp] = []

    async def main() -> None:
        async with s.cache(ttl="60 s", ttl_jitter="10%", loads_in_flight=1000) as cache:
            keys = (f"k{i}" for i in range(10_000))
            loaders: dict[str, Any] = {"bulk": s.source.load_many} if is_bulk else {"loader": s.source.load}
            done = await cache.warm(keys, rate="5k/s", progress=seen.append, **loaders)
            assert (done.position, done.loaded, done.failed) == (10_000, 10_000, 0)
            assert done.elapsed_ns == pytest.approx(2_000 * MS, rel=0.05)
            assert cache.counts.loads == 10_000

    s.run(main())
    assert len(seen) == 100
    assert [warmed.position for warmed in seen] == sorted(warmed.position for warmed in seen)
    # Half way, half are done: it is a rate, not a burst.
    assert seen[49].elapsed_ns == pytest.approx(1_000 * MS, rel=0.05)
    ends = sorted(held[0].entry.fresh_until_ns for held in map(s.memory._records.peek, s.memory._records))
    assert ends[-1] - ends[0] == pytest.approx((2 + 12) * 1_000 * MS, rel=0.05)


@in_scene(takes_s=0.02)
async def test_a_warm_up_that_was_broken_off_is_resumed_where_it_stopped(s: Scene) -> None:
    keys = [f"k{i}" for i in range(1_000)]
    seen: list[WarmUp] = []
    async with s.cache() as cache:
        warming = asyncio.create_task(cache.warm(keys, s.source.load, rate="1k/s", progress=seen.append))
        await asyncio.sleep(0.5)
        warming.cancel()
        await answers([warming])
        reached = seen[-1].position
        assert 440 <= reached <= 500
        done = await cache.warm(keys, s.source.load, rate="1k/s", resume=reached)
        assert (done.position, done.loaded + done.fresh) == (1_000, 1_000 - reached)
        assert done.fresh <= 40, "what was on its way may have arrived"
        again = await cache.warm(keys, s.source.load, rate="1k/s")
        assert (again.fresh, again.loaded) == (1_000, 0)


@in_scene(takes_s=0.05)
async def test_warming_overwrites_nothing_newer(s: Scene) -> None:
    async with s.cache() as cache:
        warming = asyncio.create_task(cache.warm(["a", "b", "c"], s.source.load, rate="1k/s"))
        await asyncio.sleep(0.02)
        s.source.version = 2
        await cache.set("a", "written")
        await cache.invalidate("b")
        done = await warming
        assert (done.loaded, done.overtaken) == (1, 2)
        assert await cache.get_many(["a", "b", "c"], s.source.load) == {"a": "written", "b": "b2", "c": "c1"}


@in_scene()
async def test_keys_that_cannot_be_warmed_are_counted_and_the_rest_goes_on(s: Scene) -> None:
    async def odd_fails(key: str) -> str:
        if int(key) % 2:
            raise OSError(key)
        return key

    async with s.cache() as cache:
        done = await cache.warm((str(i) for i in range(100)), odd_fails, rate="1k/s")
        assert (done.loaded, done.failed, done.position) == (50, 50, 100)
        s.store.breaks()
        done = await cache.warm((str(i) for i in range(100)), odd_fails, rate="1k/s")
        assert (done.loaded, done.failed, done.position) == (0, 100, 100)


@in_scene(takes_s=0.5)
async def test_a_source_slower_than_the_rate_is_not_flooded(s: Scene) -> None:
    async with s.cache(loads_in_flight=10) as cache:
        done = await cache.warm((str(i) for i in range(200)), s.source.load, rate="1k/s")
        assert done.loaded == 200
    assert s.source.in_flight_max == 10
