"""Tags: one record per tag, whose token is its version. A value remembers the versions it was loaded under.

- A value is outdated when a tag of it has another version now, or none: then the store has lost the tag, and an
  invalidation may be lost with it. So a store that evicts costs a load, never an old value.
- Invalidating a tag is one swap, however many values carry it. Reading a tagged value asks for its tags' records in the
  same round trip. Untagged values pay nothing.
- `fresh_until_ns` of a tag's record says until when the store keeps it. Loading under a tag keeps it for at least as
  long as the value may be served, twice as long when it has to be written anyway: one write per tag in that time.
"""

from collections.abc import Iterable, Mapping

from tenfold.policies.cache import freshness
from tenfold.policies.cache.freshness import Config, Entry
from tenfold.runtime.cache.payload import Versions
from tenfold.runtime.cache.records import copied
from tenfold.runtime.cache.store import Record, Store

MARK = "\0tag:"
"""Before the name of a tag: its key in the store. Keys of values do not begin with a NUL."""

Known = Mapping[str, Record | None]
"""Records of tags, by tag."""


def is_outdated(versions: Versions, known: Known) -> bool:
    """Whether a tag's version is another than when the value was loaded."""
    for tag, version in versions.items():
        record = known.get(tag)
        if record is None or record.entry.token != version:
            return True
    return False


def unknown(versions: Versions, known: Known) -> list[str]:
    """The tags of a value that nobody has asked for yet."""
    return [tag for tag in versions if tag not in known]


async def versions_now(store: Store, config: Config, tags: Iterable[str], known: Known) -> Versions:
    """The versions to load under: as known, kept for as long as the value may be served.

    Args:
        store: where the records are.
        config: says how long a value may be served.
        tags: those of the value.
        known: their records as read before the load.
    """
    return {tag: await _version_now(store, config, tag, known.get(tag)) for tag in tags}


async def _version_now(store: Store, config: Config, tag: str, seen: Record | None) -> int:
    """The version of one tag; a record that is not there, or not for long enough, is written."""
    needed_ns = _life_ns(config)
    while True:
        now_ns = store.now_ns()
        if seen is not None and seen.entry.fresh_until_ns >= now_ns + needed_ns:
            return seen.entry.token
        entry = copied(seen, now_ns)
        entry.fresh_until_ns = now_ns + 2 * needed_ns
        is_swapped, there = await store.swap(
            MARK + tag, seen.entry if seen else None, Record(entry, None), 2 * needed_ns
        )
        if is_swapped:
            return entry.token
        seen = there


def _life_ns(config: Config) -> int:
    """The longest time from the start of a load to the last time its value may be served."""
    spread_ns = int(config.ttl_ns * config.ttl_jitter_ratio)
    old_ns = max(config.stale_while_revalidate_ns, config.fail_safe_ns)
    return config.ttl_ns + spread_ns + old_ns + 2 * config.lease_ns


def outdate(config: Config, entry: Entry, now_ns: int) -> bool:
    """A change of a tag's record: the next version."""
    freshness.invalidate(config, entry, now_ns)
    return True
