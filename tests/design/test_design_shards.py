"""Shards in the design file: what has to be named."""

import pytest
from reading import SMALL, changed, mistakes_in, read

DB = "  db: {kind: postgres}\n"
CACHE = "  cache: {kind: redis, holds: item}\n"


def test_a_store_is_divided_by_hash_or_range_of_a_data_set() -> None:
    text = changed(DB, "  db: {kind: postgres, shards: 8, shard_by: range, shard_key: item}\n")
    spec = read(text).components["db"].spec
    assert (spec.shards, spec.shard_by, spec.shard_key) == (8, 1, "item")
    assert read(SMALL).components["db"].spec.shards == 1


def test_shards_can_be_set_from_the_command_line() -> None:
    text = changed(DB, "  db: {kind: postgres, shard_key: item}\n")
    assert read(text, "components.db.shards=4").components["db"].spec.shards == 4


@pytest.mark.parametrize(
    ("old", "new", "message", "remedy"),
    [
        (DB, "  db: {kind: postgres, shards: 8}\n", "db has shards and no shard_key", "write shard_key:"),
        (DB, "  db: {kind: postgres, shards: 8, shard_key: itme}\n", "db is sharded by an unknown data set", "item"),
        (DB, "  db: {kind: postgres, shards: 0, shard_key: item}\n", "too small", "1 or more"),
        (DB, "  db: {kind: postgres, shards: 2, shard_by: rang, shard_key: item}\n", 'unknown word "rang"', "range"),
        (CACHE, "  cache: {kind: redis, shard_by: range}\n", "cache has ranges of no data set", "write holds:"),
    ],
)
def test_what_is_wrong_with_shards_is_told_with_its_line(old: str, new: str, message: str, remedy: str) -> None:
    text = changed(old, new)
    if old == CACHE:
        text = changed("get: cache\n", "get: cache\n        hit_ratio: 90%\n", text)
    (found,) = mistakes_in(text)
    assert message in found.message
    assert remedy in found.remedy
    assert found.source_line.strip() == new.strip()
