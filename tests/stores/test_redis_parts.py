"""The parts of the store in Redis that need no server: its clock, its messages, its records."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_loop import MS, S, in_loop

from servers import RedisServer
from tenfold.errors import UsageError
from tenfold.policies.cache.freshness import Entry
from tenfold.stores.memory import MemoryStore
from tenfold.stores.redis import RedisStore
from tenfold.stores.redis.announcements import KEYS_MAX, messages, read
from tenfold.stores.redis.clock import ServerClock
from tenfold.stores.redis.records import keep_ms, packed, unpacked

US = 1_000


class Monotonic:
    """A clock the test moves."""

    def __init__(self) -> None:
        self.at_ns = 5 * S

    def __call__(self) -> int:
        return self.at_ns


def clocks() -> tuple[Monotonic, ServerClock]:
    monotonic = Monotonic()
    return monotonic, ServerClock(monotonic)


# The clock.


def test_without_an_answer_the_clock_is_the_one_of_this_machine() -> None:
    monotonic, clock = clocks()
    assert (clock.now_ns(), clock.error_ns()) == (5 * S, -1)
    monotonic.at_ns += 1
    assert clock.now_ns() == 5 * S + 1


def test_the_server_read_its_clock_in_the_middle_of_the_round_trip() -> None:
    monotonic, clock = clocks()
    clock.measured(5 * S, 1_000 * S, 5 * S + 2 * MS)
    monotonic.at_ns = 5 * S + 2 * MS
    assert clock.now_ns() == 1_000 * S + 1 * MS
    assert clock.error_ns() == 1 * MS


@given(st.integers(0, 50 * MS), st.integers(0, 50 * MS), st.integers(-(10**18), 10**18))
def test_the_error_is_at_most_half_the_round_trip(there_ns: int, back_ns: int, apart_ns: int) -> None:
    monotonic, clock = clocks()
    sent_ns = 5 * S
    clock.measured(sent_ns, sent_ns + there_ns + apart_ns, sent_ns + there_ns + back_ns)
    monotonic.at_ns = sent_ns + there_ns + back_ns
    off_ns = abs(clock._offset_ns - apart_ns)
    assert off_ns <= clock.error_ns() <= (there_ns + back_ns + 1) // 2


def test_a_longer_round_trip_does_not_replace_a_shorter_one() -> None:
    monotonic, clock = clocks()
    clock.measured(5 * S, 1_000 * S, 5 * S + 100 * US)
    monotonic.at_ns = 6 * S
    clock.measured(6 * S - 40 * MS, 1_001 * S, 6 * S)
    assert clock.now_ns() == 1_001 * S - 50 * US
    assert clock.error_ns() < 200 * US


def test_a_longer_round_trip_replaces_one_that_drift_has_made_worthless() -> None:
    monotonic, clock = clocks()
    clock.measured(5 * S, 1_000 * S, 5 * S + 100 * US)
    monotonic.at_ns = 1_005 * S
    assert clock.error_ns() == pytest.approx(100 * MS, rel=0.01)
    clock.measured(1_005 * S - 40 * MS, 2_000 * S + 3 * MS, 1_005 * S)
    assert clock.now_ns() == 2_000 * S + 23 * MS


def test_the_clock_of_another_server_counts_whatever_its_round_trip() -> None:
    monotonic, clock = clocks()
    clock.measured(5 * S, 1_000 * S, 5 * S + 2)
    clock.measured(5 * S, 7_000 * S, 5 * S + 40 * MS, is_other_server=True)
    monotonic.at_ns = 5 * S + 20 * MS
    assert clock.now_ns() == 7_000 * S


def test_time_is_never_set_back_but_goes_slower_until_the_server_has_caught_up() -> None:
    monotonic, clock = clocks()
    clock.measured(5 * S, 1_000 * S, 5 * S)
    assert clock.now_ns() == 1_000 * S
    clock.measured(5 * S, 990 * S, 5 * S, is_other_server=True)
    read = []
    for _ in range(40):
        read.append(clock.now_ns())
        monotonic.at_ns += 1 * S
    assert read == sorted(read)
    assert read[0] == 1_000 * S
    assert read[10] == 1_005 * S
    assert read[-1] == 990 * S + 39 * S


@in_loop
async def test_the_store_knows_the_time_of_its_server_within_the_round_trip(shared_redis: RedisServer) -> None:
    from redis.asyncio import Redis

    read: list[int] = []

    def late_clock() -> int:  # another epoch than any real clock, and not a wall clock
        import time

        read.append(time.monotonic_ns() + 12_345 * S)
        return read[-1]

    store = RedisStore(shared_redis.url, command_timeout="5 s", monotonic_ns=late_clock)
    await store.open()
    client = Redis.from_url(shared_redis.url)
    for _ in range(5):
        before_ns = store.now_ns()
        seconds, microseconds = await client.time()
        after_ns = store.now_ns()
        server_ns = seconds * S + microseconds * US
        error_ns = store._clock.error_ns()
        assert before_ns - error_ns - US <= server_ns <= after_ns + error_ns
    assert 0 <= store._clock.error_ns() < 1 * S
    assert len(read) > 10
    await client.aclose()
    await store.close()


@in_loop
async def test_the_time_is_asked_for_again_every_few_seconds(
    shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenfold.stores.redis.store.CLOCK_EVERY_S", 0.005)
    store = RedisStore(shared_redis.url, command_timeout="5 s")
    await store.open()
    store._clock._measured_ns -= 10**15  # long ago: anything is better
    worn_ns = store._clock.error_ns()
    while store._clock.error_ns() >= worn_ns:
        await asyncio.sleep(0.001)
    await store.close()


# Messages.


@given(st.lists(st.text(max_size=20), max_size=30), st.booleans())
def test_a_message_says_who_what_and_which_keys(keys: list[str], is_change: bool) -> None:
    keys = [key.encode(errors="replace").decode() for key in keys]
    sent = [read(message) for message in messages(b"12345678", keys, is_change)]
    assert sent == ([(b"12345678", is_change, keys)] if keys else [])


def test_many_keys_are_several_messages() -> None:
    keys = [f"k{n}" for n in range(2 * KEYS_MAX + 1)]
    sent = [read(message) for message in messages(b"12345678", keys, True)]
    assert [len(message[2]) for message in sent if message] == [KEYS_MAX, KEYS_MAX, 1]
    assert [key for message in sent if message for key in message[2]] == keys


@given(st.binary(max_size=60))
def test_what_others_publish_is_read_or_refused_and_never_breaks(message: bytes) -> None:
    for found in (read(message), read(b"1" + message)):
        assert found is None or len(found[0]) == 8


def test_a_message_cut_short_is_refused() -> None:
    (message,) = messages(b"12345678", ["key"], False)
    assert read(message[:-1]) is None


# Records.


def test_a_record_is_forty_bytes_and_its_payload() -> None:
    from tenfold.runtime.cache.store import Record

    record = Record(Entry(1, 2, 3, 4, 1), b"payload")
    assert packed(record)[:16] == b"\x01" + bytes(7) + b"\x02" + bytes(7)
    assert packed(record)[40:] == b"payload"
    assert unpacked(packed(record)) == record


@pytest.mark.parametrize(
    ("keep_ns", "expected"), [(0, 1), (-5, 1), (1, 1), (MS, 1), (MS + 1, 2), (2**63, 3_153_600_000_000)]
)
def test_the_time_to_keep_is_whole_ms_and_never_shorter_than_asked(keep_ns: int, expected: int) -> None:
    assert keep_ms(keep_ns) == expected


# The store in memory, beyond the contract.


@in_loop
async def test_the_store_in_memory_keeps_its_bound_and_drops_by_time() -> None:
    from tenfold.runtime.cache.store import Record

    monotonic = Monotonic()
    store = MemoryStore("1k", monotonic_ns=monotonic)
    record = Record(Entry(), None)
    for n in range(5_000):
        await store.put({f"k{n}": record}, {f"k{n}": 10 * S})
    assert len(store) == 1_000
    monotonic.at_ns += 12 * S
    assert len(store) == 0
    assert repr(store) == "MemoryStore(entries_max=1000)"


@in_loop
async def test_the_store_in_memory_hands_out_the_object_itself() -> None:
    from tenfold.runtime.cache.store import Record

    store, value = MemoryStore(), object()
    await store.put({"k": Record(Entry(flags=1), value)}, {"k": S})
    got = await store.get("k")
    assert got is not None
    assert got.payload is value


def test_a_bound_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="too small"):
        MemoryStore(0)
