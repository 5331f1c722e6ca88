"""What every store promises: one suite, run by each member of the table."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_loop import KEEP_NS, MS, S, in_loop, leased, until, valued

from servers import RedisServer
from tenfold.policies.cache.freshness import VALUE, Entry
from tenfold.runtime.cache.store import Record, Store
from tenfold.stores import STORES

Nodes = Callable[[], AbstractAsyncContextManager[tuple[Store, Store]]]
_numbers = count()


def made(name: str) -> type[Any]:
    module, _, attribute = STORES[name].partition(":")
    found: type[Any] = getattr(importlib.import_module(module), attribute)
    return found


@contextlib.asynccontextmanager
async def memory_nodes(url: str) -> AsyncIterator[tuple[Store, Store]]:
    store = made("memory")()
    await store.open()
    yield store, store
    await store.close()


@contextlib.asynccontextmanager
async def redis_nodes(url: str) -> AsyncIterator[tuple[Store, Store]]:
    prefix = f"contract{next(_numbers)}:"
    first, second = (made("redis")(url, prefix, "5 s") for _ in range(2))
    await first.open()
    await second.open()
    yield first, second
    await first.close()
    await second.close()


NODES = {"memory": memory_nodes, "redis": redis_nodes}
"""Two nodes of one service: stores over the same records."""


@pytest.fixture(params=STORES)
def nodes(request: pytest.FixtureRequest, shared_redis: RedisServer) -> Nodes:
    return lambda: NODES[request.param](shared_redis.url)


def test_every_member_of_the_table_is_held_to_the_contract() -> None:
    assert set(NODES) == set(STORES)


@in_loop
async def test_a_key_never_written_has_no_record(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        assert await store.get("k") is None
        assert await store.get_many(["k", "l"]) == [None, None]


@in_loop
async def test_what_one_node_puts_the_other_gets(nodes: Nodes) -> None:
    async with nodes() as (store, other):
        await store.put({"k": valued(b"v"), "l": valued(b"w", token=2)}, {"k": KEEP_NS, "l": KEEP_NS})
        assert await other.get("k") == valued(b"v")
        assert await other.get_many(["l", "none", "k", "l"]) == [
            valued(b"w", token=2),
            None,
            valued(b"v"),
            valued(b"w", token=2),
        ]


@in_loop
async def test_nothing_is_put_got_and_announced_without_harm(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        await store.put({}, {})
        await store.announce([], is_change=True)
        assert await store.get_many([]) == []


@in_loop
async def test_put_replaces_whatever_stands_there(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        await store.put({"k": valued(b"v")}, {"k": KEEP_NS})
        await store.put({"k": leased(9)}, {"k": KEEP_NS})
        assert await store.get("k") == leased(9)


@in_loop
async def test_the_first_swap_of_an_absent_key_wins_and_the_second_sees_it(nodes: Nodes) -> None:
    async with nodes() as (store, other):
        assert await store.swap("k", None, leased(1), KEEP_NS) == (True, None)
        assert await other.swap("k", None, leased(2), KEEP_NS) == (False, leased(1))
        assert await store.get("k") == leased(1)


@in_loop
async def test_a_swap_needs_every_number_of_the_entry_as_it_was_seen(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        seen = Entry(1, 2, 3, 4, VALUE)
        await store.put({"k": Record(seen, b"v")}, {"k": KEEP_NS})
        others = (
            Entry(0, 2, 3, 4, 1),
            Entry(1, 0, 3, 4, 1),
            Entry(1, 2, 0, 4, 1),
            Entry(1, 2, 3, 0, 1),
            Entry(1, 2, 3, 4),
        )
        for other in others:
            assert await store.swap("k", other, leased(9), KEEP_NS) == (False, Record(seen, b"v"))
        assert await store.swap("k", seen, leased(9), KEEP_NS) == (True, None)


@in_loop
async def test_a_swap_of_a_record_that_is_gone_fails_with_none(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        assert await store.swap("k", Entry(), leased(1), KEEP_NS) == (False, None)
        assert await store.get("k") is None


@in_loop
async def test_a_swap_of_the_entry_keeps_the_payload(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        await store.put({"k": valued(b"v" * 1_000)}, {"k": KEEP_NS})
        changed = valued(None, token=2)
        assert await store.swap("k", valued(b"").entry, changed, KEEP_NS, keeps_payload=True) == (True, None)
        assert await store.get("k") == valued(b"v" * 1_000, token=2)


@in_loop
async def test_a_swap_that_keeps_the_payload_of_an_absent_key_makes_a_record_without_one(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        assert await store.swap("k", None, leased(1), KEEP_NS, keeps_payload=True) == (True, None)
        assert await store.get("k") == leased(1)


@in_loop
async def test_of_many_swaps_at_once_one_wins(nodes: Nodes) -> None:
    async with nodes() as (store, other):
        swaps = [(store, other)[n % 2].swap("k", None, leased(n + 1), KEEP_NS) for n in range(60)]
        answers = await asyncio.gather(*swaps)
        winner = await store.get("k")
        assert sum(is_done for is_done, _ in answers) == 1
        assert all(there == winner for is_done, there in answers if not is_done)


@in_loop
async def test_a_counter_raised_by_swaps_of_two_nodes_loses_nothing(nodes: Nodes) -> None:
    async def raise_by(store: Store, times: int) -> None:
        for _ in range(times):
            there = await store.get("k")
            while True:
                token = there.entry.token + 1 if there else 1
                is_done, there = await store.swap("k", there and there.entry, leased(token), KEEP_NS)
                if is_done:
                    break

    async with nodes() as (store, other):
        await asyncio.gather(*(raise_by(node, 20) for node in (store, other) for _ in range(3)))
        assert await store.get("k") == leased(120)


@in_loop
async def test_the_entry_handed_out_is_a_copy(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        record = valued(b"v")
        await store.put({"k": record}, {"k": KEEP_NS})
        record.entry.token = 77
        got = await store.get("k")
        assert got is not None
        got.entry.token = 78
        _, there = await store.swap("k", None, leased(1), KEEP_NS)
        assert there == valued(b"v")
        there.entry.token = 79
        assert await store.get("k") == valued(b"v")


@in_loop
async def test_an_empty_value_is_not_the_same_as_none(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        await store.put({"empty": valued(b""), "none": leased(1)}, {"empty": KEEP_NS, "none": KEEP_NS})
        assert await store.get_many(["empty", "none"]) == [valued(b""), leased(1)]


@in_loop
async def test_a_record_is_gone_when_its_time_to_keep_is_over(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        await store.put({"short": valued(b"v"), "long": valued(b"v")}, {"short": 20 * MS, "long": KEEP_NS})
        assert await store.swap("swapped", None, leased(1), 20 * MS) == (True, None)
        end_ns = store.now_ns() + 25 * MS
        await until(lambda: store.now_ns() > end_ns)
        assert await store.get_many(["short", "swapped", "long"]) == [None, None, valued(b"v")]
        assert await store.swap("short", None, leased(2), KEEP_NS) == (True, None)


@in_loop
async def test_a_swap_of_the_entry_moves_the_time_to_keep(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        await store.put({"k": valued(b"v")}, {"k": 100 * MS})
        end_ns = store.now_ns() + 110 * MS
        await store.swap("k", valued(b"").entry, valued(None), KEEP_NS, keeps_payload=True)
        await until(lambda: store.now_ns() > end_ns)
        assert await store.get("k") == valued(b"v")


@in_loop
async def test_keys_may_be_any_text(nodes: Nodes) -> None:
    keys = ["", " ", "a b", "ключ", "k" * 2_000, "new\r\nline", "\x00", "{tag}:1"]
    async with nodes() as (store, _):
        await store.put({key: valued(key.encode()) for key in keys}, dict.fromkeys(keys, KEEP_NS))
        assert await store.get_many(keys) == [valued(key.encode()) for key in keys]
        assert [await store.get(key) for key in keys] == [valued(key.encode()) for key in keys]


@in_loop
async def test_large_payloads_and_many_keys_pass(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        large = valued(bytes(range(256)) * 8_192)
        records = {f"k{n}": large if n % 400 == 0 else valued(b"v%d" % n) for n in range(1_200)}
        await store.put(records, dict.fromkeys(records, KEEP_NS))
        assert await store.get_many(list(records)) == list(records.values())


@in_loop
async def test_time_is_the_same_on_two_nodes_and_goes_forward(nodes: Nodes) -> None:
    async with nodes() as (store, other):
        read = [node.now_ns() for _ in range(500) for node in (store, other)]
        assert read[0::2] == sorted(read[0::2])
        assert max(abs(a - b) for a, b in zip(read[0::2], read[1::2], strict=True)) < S


@in_loop
async def test_an_announcement_reaches_the_other_node(nodes: Nodes) -> None:
    heard: list[tuple[str, bool]] = []
    async with nodes() as (store, other):
        end = await other.listen(lambda key, is_change: heard.append((key, is_change)), lambda: None)
        await store.announce(["a", "ключ"], is_change=True)
        await store.announce(["b"], is_change=False)
        await until(lambda: len(heard) == 3)
        assert heard == [("a", True), ("ключ", True), ("b", False)]
        await end()


@in_loop
async def test_every_listener_hears_until_it_ends(nodes: Nodes) -> None:
    first: list[str] = []
    second: list[str] = []
    async with nodes() as (store, other):
        end_first = await other.listen(lambda key, is_change: first.append(key), lambda: None)
        end_second = await other.listen(lambda key, is_change: second.append(key), lambda: None)
        await store.announce(["a"], is_change=True)
        await until(lambda: first and second)
        await end_first()
        await store.announce(["b"], is_change=True)
        await until(lambda: len(second) == 2)
        await end_second()
        await end_second()
        assert (first, second) == (["a"], ["a", "b"])


@in_loop
async def test_thousands_of_keys_announced_at_once_all_arrive(nodes: Nodes) -> None:
    heard: list[str] = []
    async with nodes() as (store, other):
        end = await other.listen(lambda key, is_change: heard.append(key), lambda: None)
        await store.announce([f"k{n}" for n in range(5_000)], is_change=True)
        await until(lambda: len(heard) == 5_000)
        assert heard == [f"k{n}" for n in range(5_000)]
        await end()


@in_loop
async def test_a_cancelled_caller_disturbs_nobody(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        await store.put({"k": valued(b"v")}, {"k": KEEP_NS})
        for _ in range(20):
            calls = [asyncio.ensure_future(store.get("k")) for _ in range(5)]
            await asyncio.sleep(0)
            calls[0].cancel()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert answers[1:] == [valued(b"v")] * 4


@in_loop
async def test_a_closed_store_opens_again(nodes: Nodes) -> None:
    async with nodes() as (store, _):
        await store.put({"k": valued(b"v")}, {"k": KEEP_NS})
        await store.close()
        await store.close()
        await store.open()
        assert await store.get("k") == valued(b"v")


_entries = st.builds(Entry, *[st.integers(-(2**63), 2**63 - 1)] * 4, st.integers(0, 7))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entry=_entries, payload=st.binary(max_size=300))
def test_any_entry_and_payload_come_back_as_they_were(nodes: Nodes, entry: Entry, payload: bytes) -> None:
    async def scenario() -> None:
        async with nodes() as (store, other):
            record = Record(entry, payload if entry.flags & VALUE else None)
            assert await store.swap("k", None, record, KEEP_NS) == (True, None)
            assert await other.get("k") == record
            assert await other.swap("k", entry, leased(1), KEEP_NS) == (True, None)

    asyncio.run(scenario())
