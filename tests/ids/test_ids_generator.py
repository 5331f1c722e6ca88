"""One generator on a clock the test moves: order, bounds, steps of the clock, batches, asyncio."""

import asyncio
import json
import pickle
import threading
from collections import Counter

import pytest
from hands import MS, NOON_NS, Hands, fixed, rising, times_ms
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold import UsageError, ids
from tenfold.testing.world import World
from tenfold.units import S

PER_MS = 4096


def test_an_id_says_when_and_by_whom_it_was_made() -> None:
    made = ids.decode(fixed(Hands(), worker=7, datacenter=2).next())
    assert (made.time.timestamp(), made.datacenter, made.worker, made.sequence) == (NOON_NS / S, 2, 7, 0)


def test_all_ways_to_ask_give_rising_ids() -> None:
    ours = fixed(Hands())

    async def asked() -> list[int]:
        made = [await ours.anext(), await anext(ours), *await ours.abatch(2)]
        async for id_ in ours:
            return [*made, id_]
        raise AssertionError

    assert rising([ours.next(), next(ours), *ours.batch(3), *asyncio.run(asked()), ours.next()])


def test_a_millisecond_has_4096_ids_and_the_next_are_borrowed() -> None:
    made = times_ms(fixed(Hands()).batch(3 * PER_MS))
    assert Counter(made) == {NOON_NS // MS + ahead: PER_MS for ahead in range(3)}


def test_a_million_ids_are_at_most_10_ms_ahead_and_then_wait() -> None:
    hands = Hands()
    ours, ahead, made = fixed(hands), [], []
    for _ in range(100):
        made += ours.batch(10_000)
        ahead.append(ours.ahead_ms)
    assert max(ahead) == 10
    assert hands.slept == [MS] * len(hands.slept)
    assert len(hands.slept) == -(-1_000_000 // PER_MS) - 11  # every millisecond but the first and ten borrowed ones
    assert rising(made)


def test_without_drift_nothing_is_borrowed() -> None:
    hands = Hands()
    fixed(hands, drift="0 ms").batch(PER_MS + 1)
    assert hands.slept == [MS]


def test_waiting_ends_with_the_clock_s_millisecond() -> None:
    hands = Hands(wall=NOON_NS + 300_000)
    fixed(hands, drift="0 ms").batch(PER_MS + 1)
    assert hands.slept == [700_000]


# The clock goes back.


def test_a_clock_5_ms_back_goes_unnoticed() -> None:
    hands = Hands()
    ours = fixed(hands)
    before = ours.batch(10)
    hands.step(-5 * MS)
    hands.go_on(MS)
    made = before + ours.batch(10_000)
    assert rising(made)
    assert hands.slept == []


def test_a_clock_5_s_back_is_an_error_at_once_and_no_id_comes_twice() -> None:
    hands = Hands()
    ours = fixed(hands)
    made = ours.batch(100)
    hands.step(-5 * S)
    hands.go_on(MS)
    with pytest.raises(ids.ClockMovedBackwards, match=r"the clock is 5 s behind the newest id") as refused:
        ours.next()
    assert 4.99 * S <= refused.value.back_ns == refused.value.retry_after_ns <= 5 * S
    assert hands.slept == []
    for _ in range(60):  # through the old moment and past it
        hands.go_on(100 * MS)
        try:
            made += ours.batch(100)
        except ids.ClockMovedBackwards:
            continue
    assert len(made) > 100
    assert rising(made)


def test_a_step_back_is_seen_within_a_millisecond() -> None:
    hands = Hands()
    ours = fixed(hands)
    ours.next()
    hands.step(-5 * S)
    hands.go_on(MS - 1)
    ours.next()
    hands.go_on(1)
    with pytest.raises(ids.ClockMovedBackwards):
        ours.next()


def test_by_option_it_waits_until_the_clock_has_caught_up() -> None:
    hands = Hands()
    ours = fixed(hands, on_clock_back="wait")
    before = ours.next()
    hands.step(-5 * S)
    hands.go_on(MS)
    after = ours.next()
    assert after > before
    assert 4.9 * S <= sum(hands.slept) <= 5 * S
    assert max(hands.slept) <= 50 * MS  # it looks again, somebody may put the clock right


def test_a_clock_put_right_ends_the_waiting() -> None:
    hands = Hands()
    ours = fixed(hands, on_clock_back="wait")
    ours.next()
    hands.step(-3600 * S)
    hands.go_on(MS)
    slept = hands.sleep_ns

    def put_right(wait_ns: int) -> None:
        slept(wait_ns)
        hands.step(3600 * S)

    hands.sleep_ns = put_right  # type: ignore[method-assign]
    ours._clocks = hands.clocks
    ours.next()
    assert len(hands.slept) == 1


def test_the_clock_may_go_back_while_nobody_makes_ids() -> None:
    hands = Hands()
    ours = fixed(hands)
    before = ours.next()
    hands.go_on(3600 * S)
    hands.step(-5 * S)
    assert ours.next() > before


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-30_000_000, 30_000_000), st.integers(0, 3_000_000), st.integers(0, 9000)),
        max_size=60,
    ),
    st.sampled_from(["raise", "wait"]),
    st.integers(0, 12),
)
def test_ids_rise_whatever_the_clock_does(moves: list[tuple[int, int, int]], on_clock_back: str, drift_ms: int) -> None:
    hands = Hands()
    ours = fixed(hands, on_clock_back=on_clock_back, drift=f"{drift_ms} ms")
    made: list[int] = []
    for step, passed, count in moves:
        hands.step(step)
        hands.go_on(passed)
        try:
            made += [ours.next(), *ours.batch(count)]
        except ids.ClockMovedBackwards:
            continue
        assert passed < MS or ours.ahead_ms <= drift_ms  # a step is seen within a millisecond
    assert rising(made)


# Counts, ends, misuse.


def test_a_batch_has_the_asked_number() -> None:
    ours = fixed(Hands())
    assert [len(ours.batch(count)) for count in (0, 1, 5000)] == [0, 1, 5000]
    for count in (-1, 10_000_001):
        with pytest.raises(UsageError, match=f"a batch of {count} ids"):
            ours.batch(count)
        with pytest.raises(UsageError, match=f"a batch of {count} ids"):
            asyncio.run(ours.abatch(count))


def test_a_closed_generator_makes_no_ids() -> None:
    with fixed(Hands()) as ours:
        ours.next()
    for ask in (ours.next, lambda: ours.batch(1), lambda: asyncio.run(ours.anext())):
        with pytest.raises(UsageError, match="closed"):
            ask()
    ours.close()


def test_a_clock_outside_of_the_layout_s_years_is_refused() -> None:
    hands = Hands(wall=1_600_000_000 * S)
    with pytest.raises(UsageError, match="outside of the layout"):
        fixed(hands).next()
    ours = fixed(hands, layout=ids.Layout(epoch_ms=1_600_000_000_000 - 1, timestamp_bits=1))
    assert ours.next()
    hands.go_on(MS)
    with pytest.raises(UsageError, match="outside of the layout"):
        ours.next()


def test_another_layout_gives_ids_that_javascript_can_hold() -> None:
    layout = ids.Layout(41, 0, 2, 10)
    id_ = fixed(Hands(), layout=layout).next()
    assert id_ < 2**53
    assert json.loads(json.dumps(id_), parse_int=float) == id_
    assert ids.decode(id_, layout).worker == 3


def test_settings_are_checked() -> None:
    for wrong in ({"drift": "1 d"}, {"on_clock_back": "ignore"}, {"drfit": "1 ms"}):
        with pytest.raises(UsageError):
            ids.generator(worker=1, **wrong)
    with pytest.raises(UsageError, match="neither leases nor a worker"):
        ids.generator()
    with pytest.raises(UsageError, match="as long as the lease"):
        ids.generator("memory:", lease={"ttl": "1 s", "margin": "1 s"})


def test_a_generator_cannot_be_copied_to_another_process() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(ids.generator(worker=1))


# Asyncio and threads.


def test_asyncio_waits_without_blocking_the_loop() -> None:
    world, since_0 = World(), ids.Layout(epoch_ms=0)  # the loop's clock is a float of seconds: near 0 it is exact
    ours = ids.generator(worker=1, drift="0 ms", layout=since_0, clocks=ids.Clocks(world.clock_ns, world.clock_ns))
    seen: list[int] = []

    async def beside() -> None:
        for _ in range(4):
            seen.append(world.now_ns)
            await asyncio.sleep(0.001)

    async def both() -> list[int]:
        other = asyncio.create_task(beside())
        made = await ours.abatch(3 * PER_MS)
        await other
        return made

    made = world.run(both())
    assert rising(made)
    assert len(made) == 3 * PER_MS
    assert len(seen) == 4
    assert times_ms(made)[-1] - times_ms(made)[0] == 2


def test_tasks_get_different_ids() -> None:
    async def many() -> list[int]:
        ours = ids.generator(worker=1)

        async def some() -> list[int]:
            return [await ours.anext() for _ in range(500)]

        return [id_ for part in await asyncio.gather(*(some() for _ in range(10))) for id_ in part]

    assert len(set(asyncio.run(many()))) == 5000


def test_threads_get_different_ids_each_in_order() -> None:
    ours = ids.generator(worker=1)
    made: list[list[int]] = []

    def some() -> None:
        made.append([ours.next() for _ in range(4000)] + ours.batch(1000))

    threads = [threading.Thread(target=some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(rising(part) for part in made)
    assert len({id_ for part in made for id_ in part}) == 40_000
