"""What a call says on the wire, and what a stranger may say to us."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold import Pipeline, ThreadPipeline, within
from tenfold.policies.verbs import LONGEST_NS, NEVER
from tenfold.runtime.adapters.retry_after import retry_after_ns
from tenfold.runtime.headers import KEY, SHOULD_RETRY, TIMEOUT, Incoming, incoming, outgoing
from tenfold.testing import World

MS = 1_000_000
SECOND = 1_000_000_000
WALL_S = 1_700_000_000.0


def sent(**options):
    """The headers of the one attempt of a call."""
    world, seen = World(), []
    pipeline = ThreadPipeline(clock_ns=world.clock_ns)
    pipeline.call(lambda attempt: seen.append(outgoing(attempt)), idempotent=True, **options)
    return seen[0]


# Out.


def test_time_left_goes_out_in_ms_rounded_down():
    assert sent(deadline_ns=1_234_999_999)[TIMEOUT] == "1234"


def test_less_than_a_millisecond_goes_out_as_one_because_0_means_no_limit_elsewhere():
    assert sent(deadline_ns=1)[TIMEOUT] == "1"


def test_without_a_deadline_no_time_goes_out():
    assert TIMEOUT not in sent()


def test_the_key_goes_out_as_a_quoted_string():
    assert sent(key="order-17")[KEY] == '"order-17"'


def test_the_mark_goes_out_with_a_marked_call():
    assert sent(is_marked=True)[SHOULD_RETRY] == "false"
    assert SHOULD_RETRY not in sent()


def test_every_attempt_of_a_call_sends_the_same_key_and_less_time():
    world, seen = World(draws=[0.5] * 10), []
    clock = {"clock_ns": world.clock_ns, "sleep_ns": world.pass_ns, "draw": world.draw}
    pipeline = ThreadPipeline(deadline="2 s", retry={"attempts": 2, "backoff": "500 ms"}, **clock)

    def failing(attempt):
        seen.append(outgoing(attempt))
        raise ConnectionError

    with pytest.raises(ConnectionError):
        pipeline.call(failing, idempotent=True)
    assert [each[TIMEOUT] for each in seen] == ["2000", "1500"]
    assert seen[0][KEY] == seen[1][KEY]


def test_outside_of_any_block_nothing_goes_out():
    assert outgoing() == {}


def test_in_a_block_its_time_goes_out_and_no_key():
    world = World()
    with within(SECOND, world.clock_ns):
        world.pass_ns(400 * MS)
        assert outgoing() == {TIMEOUT: "600"}


def test_a_block_without_a_limit_hands_on_the_mark_alone():
    with within(NEVER, is_marked=True):
        assert outgoing() == {SHOULD_RETRY: "false"}


# In.


def test_what_goes_out_comes_in():
    assert incoming(sent(deadline_ns=SECOND, key="k", is_marked=True)) == Incoming(SECOND, True, "k")


def test_nothing_said_is_nothing_read():
    assert incoming({}) == Incoming(None, False, "")


@pytest.mark.parametrize(("value", "ns"), [("250m", 250 * MS), ("3S", 3 * SECOND), ("1H", 3600 * SECOND), ("7n", 7)])
def test_the_timeout_of_grpc_is_read(value, ns):
    assert incoming({"grpc-timeout": value}).remaining_ns == ns


def test_of_several_times_the_shortest_counts():
    pairs = [(b"Grpc-Timeout", b"2S"), (b"X-Envoy-Expected-Rq-Timeout-Ms", b"900"), (TIMEOUT.encode(), b"1500")]
    assert incoming(pairs).remaining_ns == 900 * MS


def test_a_time_that_is_over_is_read_as_such():
    assert incoming({TIMEOUT: "0"}).remaining_ns == 0


@pytest.mark.parametrize("value", ["", "-5", "1.5", "1e3", "soon", "0x10", "١٢", "9" * 400, "99999999999999", "1, 2"])
@pytest.mark.parametrize("name", [TIMEOUT, "grpc-timeout"])
def test_a_time_that_cannot_be_read_or_is_absurd_is_ignored(name, value):
    assert incoming({name: value}).remaining_ns is None


@pytest.mark.parametrize("value", ["true", "", "no", "0"])
def test_only_the_word_itself_is_the_mark(value):
    assert not incoming({SHOULD_RETRY: value}).is_marked
    assert incoming({"X-Should-Retry": " False "}).is_marked


@pytest.mark.parametrize(("value", "key"), [("abc", "abc"), ('"a b"', "a b"), ("x" * 256, ""), ("é", ""), ("a\nb", "")])
def test_a_key_is_read_with_or_without_quotes_when_it_is_one(value, key):
    assert incoming({"Idempotency-Key": value}).key == key


NAMES = st.sampled_from([TIMEOUT, "grpc-timeout", KEY, SHOULD_RETRY, "accept"])


@given(st.lists(st.tuples(NAMES, st.text(max_size=40)) | st.tuples(NAMES.map(str.encode), st.binary(max_size=40))))
def test_nothing_a_stranger_sends_raises_or_lengthens_a_deadline(pairs):
    told = incoming(pairs)
    assert told.remaining_ns is None or 0 <= told.remaining_ns <= LONGEST_NS
    with within(SECOND, World().clock_ns), within(told.remaining_ns or 0, World().clock_ns) as block:
        assert block.remaining_ns <= SECOND


def test_a_block_that_is_marked_keeps_pipelines_in_it_from_retrying():
    world, attempts = World(draws=[0.5] * 10), []
    pipeline = Pipeline(retry={"attempts": 3}, clock_ns=world.clock_ns, draw=world.draw)

    async def failing(attempt):
        attempts.append(attempt.number)
        raise ConnectionError

    async def main():
        with within(NEVER, world.clock_ns, is_marked=True):
            await pipeline.call(failing, idempotent=True)

    with pytest.raises(ConnectionError):
        world.run(main())
    assert attempts == [1]


# Retry-After.


def date(seconds):
    return format_datetime(datetime.fromtimestamp(WALL_S, UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        ("7", 7 * SECOND),
        (" 0 ", 0),
        (date(90), 90 * SECOND),
        (date(-90), 0),
        ("9" * 15, LONGEST_NS),
        (date(10**9 * 3), LONGEST_NS),
        ("9" * 400, 0),
        ("-7", 0),
        ("7.5", 0),
        ("tomorrow", 0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", 0),
        ("", 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_otherwise_ignored(value, ns):
    assert retry_after_ns(value, WALL_S) == ns


@given(st.text(max_size=60))
def test_no_retry_after_raises(value):
    assert 0 <= retry_after_ns(value, WALL_S) <= LONGEST_NS
