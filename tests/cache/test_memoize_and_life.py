"""Functions that remember, values as bytes, and the life of a cache: loops, forks, shared stores."""

import asyncio
import contextlib
import os
import pickle
import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import Scene, in_scene

from tenfold import UsageError
from tenfold.cache import ABSENT, Cache, JsonSerializer, MemoryStore, MsgspecSerializer, PickleSerializer, Serializer
from tenfold.runtime.cache.payload import BytesPayloads, Undecodable


@in_scene()
async def test_a_memoized_function_is_called_once_per_key(s: Scene) -> None:
    async with s.cache(local="1 s") as cache:
        calls: list[int] = []

        @cache.memoize(key="user:{user_id}", ttl="2 s")
        async def user(user_id: int, is_loud: bool = False) -> str:
            """Its own words."""
            calls.append(user_id)
            return f"u{user_id}"

        assert [await user(1), await user(user_id=1), await user(2)] == ["u1", "u1", "u2"]
        assert calls == [1, 2]
        assert (user.__doc__, user.key(7)) == ("Its own words.", "user:7")
        await user.invalidate(1)
        await user(1)
        assert calls == [1, 2, 1]
        await asyncio.sleep(2)
        await user(2)
        assert calls == [1, 2, 1, 2], "its ttl, not the cache's"


@in_scene()
async def test_without_a_template_plain_arguments_make_the_key_and_others_are_refused(s: Scene) -> None:
    async with s.cache() as cache:

        @cache.memoize()
        async def added(a: int, b: Any = 0) -> Any:
            return a

        assert added.key(1) == added.key(1, 0) != added.key(1, "0")
        with pytest.raises(UsageError, match="argument b is a list"):
            await added(1, [])

        @cache.memoize(key=lambda a, b: f"{a}/{b[0]}")
        async def other(a: int, b: list[int]) -> int:
            return a + b[0]

        assert (other.key(1, [2]), await other(1, [2])) == ("1/2", 3)


@in_scene()
async def test_settings_of_a_memoized_function_are_checked_at_once(s: Scene) -> None:
    async with s.cache() as cache:
        with pytest.raises(UsageError, match="ttl"):
            cache.memoize(ttl="soon")


# Bytes.


@dataclass
class Point:
    x: int
    y: int


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "serializer", [MsgspecSerializer(), JsonSerializer(), PickleSerializer()], ids=lambda s: type(s).__name__
)
@settings(max_examples=60, deadline=None)
@given(value=PLAIN, versions=st.dictionaries(st.text(max_size=9), st.integers(0, 2**62), max_size=3))
def test_values_and_versions_come_back_as_they_were(
    serializer: Serializer, value: Any, versions: dict[str, int]
) -> None:
    payloads = BytesPayloads(serializer)
    assert payloads.unpack(payloads.pack(value, versions)) == (value, versions)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_of_somebody_else_are_undecodable_and_nothing_worse(raw: bytes) -> None:
    with contextlib.suppress(Undecodable):
        BytesPayloads(JsonSerializer()).unpack(raw)


def test_a_typed_serializer_brings_the_type_back() -> None:
    payloads = BytesPayloads(MsgspecSerializer(Point))
    assert payloads.unpack(payloads.pack(Point(1, 2), {})) == (Point(1, 2), {})
    with pytest.raises(Undecodable):
        payloads.unpack(payloads.pack({"x": "one"}, {}))


class BytesStore(MemoryStore):
    """A store in memory that wants bytes."""

    holds_bytes = True


@in_scene()
async def test_a_stored_value_that_cannot_be_read_is_loaded_again(s: Scene) -> None:
    store = BytesStore(monotonic_ns=s.world.clock_ns)
    old, new = s.cache(store), s.cache(store, serializer=MsgspecSerializer(Point))

    async def point(key: str) -> Point:
        return Point(1, 2)

    await old.get("k", s.source.load)
    assert await new.get("k", point) == Point(1, 2)
    assert await new.get("k", point) == Point(1, 2)
    assert (new.counts.undecodable, new.counts.loads) == (1, 1)
    await old.close()
    await new.close()


@in_scene()
async def test_a_value_that_cannot_be_written_is_an_error_and_frees_the_lease(s: Scene) -> None:
    async def strange(key: str) -> object:
        return object()

    async with s.cache(BytesStore(monotonic_ns=s.world.clock_ns), lease="1 h") as cache:
        with pytest.raises(TypeError):
            await cache.get("k", strange)
        assert await cache.get("k", s.source.load) == "k1"


def test_absent_survives_pickle_and_is_false() -> None:
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT  # noqa: S301
    assert not ABSENT


# Life.


@in_scene()
async def test_the_last_of_the_caches_that_share_a_store_closes_it(s: Scene) -> None:
    closed: list[int] = []

    async def close() -> None:
        closed.append(1)

    s.memory.close = close  # type: ignore[method-assign]
    store = s.memory
    first, second = s.cache(store, name="a"), s.cache(store, name="b")
    await first.open()
    await second.open()
    await first.close()
    assert not closed
    await second.close()
    assert closed == [1]


def test_a_cache_in_use_in_another_event_loop_is_refused() -> None:
    cache = Cache(MemoryStore())

    async def value(key: str) -> str:
        return key

    asyncio.run(cache.get("k", value))
    with pytest.raises(UsageError, match="another event loop"):
        asyncio.run(cache.get("l", value))


def test_a_child_made_by_fork_begins_anew() -> None:
    cache = Cache(MemoryStore(), local="10 ms")
    calls = 0

    async def value(key: str) -> int:
        nonlocal calls
        calls += 1
        return calls

    async def parent() -> int:
        waiting = asyncio.create_task(cache.get("slow", lambda key: asyncio.sleep(0.05, "slow")))
        await cache.get("k", value)
        await asyncio.sleep(0.01)
        child = os.fork()
        if not child:
            os._exit(in_child())
        status = await asyncio.to_thread(os.waitpid, child, 0)
        assert await waiting == "slow"
        await cache.close()
        return os.waitstatus_to_exitcode(status[1])

    def in_child() -> int:
        try:
            asyncio.events._set_running_loop(None)  # type: ignore[attr-defined]
            time.sleep(0.02)

            async def child() -> int:
                found = [await cache.get("k", value), await cache.get("l", value)]
                await cache.close()
                return 0 if found == [1, 2] else 1

            return asyncio.run(child())
        except BaseException:
            return 2

    assert asyncio.run(parent()) == 0
