"""Bits and texts: both ways, in order, and what is refused."""

import contextlib
import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold import UsageError, ids

any_id = st.integers(0, ids.ID_MAX)
widths = st.tuples(st.integers(1, 47), st.integers(0, 10), st.integers(0, 10), st.integers(1, 20)).filter(
    lambda bits: sum(bits) <= 63
)


@given(widths, st.data())
def test_what_a_layout_packs_it_takes_apart_again(bits: tuple[int, int, int, int], data: st.DataObject) -> None:
    layout = ids.Layout(*bits)
    timestamp, datacenter, worker, sequence = (data.draw(st.integers(0, 2**width - 1)) for width in bits)
    id_ = layout.first_id(layout.epoch_ms + timestamp, layout.node(datacenter, worker)) + sequence
    fields = layout.decode(id_)
    assert (fields.timestamp_ms, fields.datacenter, fields.worker, fields.sequence) == (
        timestamp,
        datacenter,
        worker,
        sequence,
    )
    assert 0 <= id_ <= ids.ID_MAX


def test_the_default_is_snowflake_s_41_5_5_12() -> None:
    layout = ids.Layout(epoch_ms=1_288_834_974_657)
    id_ = (367_597_485_448 << 22) | (10 << 17) | (18 << 12) | 7
    assert layout.decode(id_) == ids.Fields(
        id_, datetime(2022, 6, 28, 16, 7, 40, 105_000, tzinfo=UTC), 367_597_485_448, 10, 18, 7
    )


def test_the_largest_id_is_the_end_of_the_layout() -> None:
    fields = ids.decode(ids.ID_MAX)
    assert (fields.time.year, fields.datacenter, fields.worker, fields.sequence) == (2094, 31, 31, 4095)


@pytest.mark.parametrize(
    ("bits", "remedy"),
    [
        ((42, 5, 5, 12), "take some away"),
        ((41, 5, 5, 0), "1 or more"),
        ((0, 5, 5, 12), "1 or more"),
        ((41, -1, 5, 12), "0 or more"),
        ((41.0, 5, 5, 12), "a whole number"),
        ((50, 0, 0, 12), "fewer bits of timestamp"),
    ],
)
def test_widths_that_make_no_ids_are_refused(bits: tuple[int, int, int, int], remedy: str) -> None:
    with pytest.raises(UsageError) as refused:
        ids.Layout(*bits)
    assert remedy in refused.value.remedy


def test_a_number_too_wide_for_its_bits_is_refused() -> None:
    with pytest.raises(UsageError, match="worker 32 does not fit 5 bits"):
        ids.generator(worker=32)
    with pytest.raises(UsageError, match="datacenter -1 does not fit"):
        ids.generator(worker=1, datacenter=-1)


def test_the_first_id_of_a_moment_bounds_a_query_by_time() -> None:
    layout, moment = ids.Layout(), datetime(2027, 3, 1, tzinfo=UTC)
    bound = layout.first_at(moment)
    assert layout.decode(bound).time == moment
    assert layout.decode(bound - 1).time == moment - timedelta(milliseconds=1)
    with pytest.raises(UsageError, match="has no time zone"):
        layout.first_at(datetime(2027, 3, 1))
    with pytest.raises(UsageError, match="no id of this layout"):
        layout.first_at(datetime(2020, 1, 1, tzinfo=UTC))


# Base 62.


def test_ten_thousand_ids_come_back_from_text_and_sort_like_the_numbers() -> None:
    dice = random.Random(62)
    made = [0, ids.ID_MAX, *(dice.getrandbits(63) >> dice.randrange(63) for _ in range(10_000))]
    texts = [ids.to_base62(id_) for id_ in made]
    assert {len(text) for text in texts} == {11}
    assert [ids.from_base62(text) for text in texts] == made
    assert sorted(texts) == [ids.to_base62(id_) for id_ in sorted(made)]
    assert (texts[0], texts[1]) == ("00000000000", "AzL8n0Y58m7")


@given(any_id, any_id)
def test_texts_compare_like_numbers(one: int, other: int) -> None:
    assert (ids.to_base62(one) < ids.to_base62(other)) == (one < other)
    assert ids.from_base62(ids.to_base62(one)) == one


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has 0 characters"),
        ("0000000000", "has 10 characters"),
        ("000000000000", "has 12 characters"),
        ("0000000000-", "'-' in"),
        ("0000000000é", "is no base-62 digit"),
        ("0000000000\n", "is no base-62 digit"),
        ("AzL8n0Y58m8", "more than 63 bits"),
        ("zzzzzzzzzzz", "more than 63 bits"),
    ],
)
def test_text_that_is_no_base62_id_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        ids.from_base62(text)


@pytest.mark.parametrize("id_", [-1, ids.ID_MAX + 1])
def test_numbers_outside_of_63_bits_are_refused(id_: int) -> None:
    for form in (ids.to_base62, ids.to_json, ids.decode):
        with pytest.raises(UsageError, match="is no id"):
            form(id_)


@given(st.text(max_size=14))
def test_any_text_is_an_id_or_refused(text: str) -> None:
    for read in (ids.from_text, ids.from_base62, ids.from_decimal):
        with contextlib.suppress(UsageError):
            assert 0 <= read(text) <= ids.ID_MAX


# JSON and decimal.


@given(any_id)
def test_ids_travel_through_json_as_strings(id_: int) -> None:
    text = ids.to_json(id_)
    assert json.loads(text) == str(id_)
    assert ids.from_json(json.loads(text)) == id_
    assert ids.from_text(str(id_)) == id_ or len(str(id_)) == 11


def test_a_json_number_that_may_have_been_rounded_is_refused() -> None:
    assert ids.from_json(2**53 - 1) == 2**53 - 1
    with pytest.raises(UsageError, match="may have been rounded"):
        ids.from_json(2**53)
    for value in (1.0, True, None, [], "1.5", "-1", "٣", str(2**63)):
        with pytest.raises(UsageError):
            ids.from_json(value)


def test_a_text_is_read_in_the_form_it_has() -> None:
    assert ids.from_text("00000000011") == 63  # 11 characters, leading 0: base 62
    assert ids.from_text("12345678901") == 12_345_678_901
    assert ids.from_text("AzL8n0Y58m7") == ids.ID_MAX
    with pytest.raises(UsageError, match="'12 3' is no id"):
        ids.from_text("12 3")
