"""One record at a time: a copy of its entry is changed by the policy, and swapped in if nobody was faster."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tenfold.policies.cache import freshness
from tenfold.policies.cache.freshness import VALUE, Config, Entry
from tenfold.runtime.cache.store import Record, Store

KEPT: Final = object()
"""Instead of a payload: it stays as it is."""

Alter = Callable[[Entry, int], bool]
"""Changes an entry at a time of the store; False: leave the record alone."""


@dataclass(slots=True)
class Change:
    """How a change went: whether it was made, and what stands there now."""

    is_made: bool
    record: Record | None


def copied(record: Record | None, now_ns: int, born_token: int = -1) -> Entry:
    """The entry to decide on; when there is no record, one that comes into being now, or came with that token."""
    if record is None:
        return Entry(token=born_token if born_token >= 0 else freshness.first_token(now_ns))
    entry = record.entry
    return Entry(entry.fresh_until_ns, entry.blocked_until_ns, entry.token, entry.load_ns, entry.flags)


def keep_ns(config: Config, entry: Entry, now_ns: int) -> int:
    """How long the store has to keep a record.

    As long as the value may be served. A lease or a back-off, and the trace of an invalidation, stay one lease longer
    than they hold: a load that takes longer still finds its token unknown then, and is dropped. So does a value without
    lock: the loads of its expiry know it by its token.
    """
    held_ns = entry.blocked_until_ns - now_ns if entry.blocked_until_ns > now_ns else 0
    kept_ns = held_ns + config.lease_ns if held_ns or entry.flags == 0 else 0
    if entry.flags & VALUE:
        known_ns = 0 if config.lock else config.lease_ns
        old_ns = max(config.stale_while_revalidate_ns, config.fail_safe_ns, known_ns)
        return max(1, kept_ns, entry.fresh_until_ns + old_ns - now_ns)
    return max(1, kept_ns, entry.fresh_until_ns - now_ns)


async def swap(
    store: Store, config: Config, key: str, seen: Record | None, entry: Entry, payload: Any = KEPT
) -> tuple[bool, Record | None]:
    """Swap an entry in for what was seen; whether that was still there, and what stands there now."""
    keeps = payload is KEPT and seen is not None and (entry.flags & VALUE) != 0
    record = Record(entry, None if payload is KEPT else payload)
    kept_ns = keep_ns(config, entry, store.now_ns())
    is_swapped, there = await store.swap(key, seen.entry if seen else None, record, kept_ns, keeps_payload=keeps)
    if not is_swapped:
        return False, there
    return True, Record(entry, seen.payload) if keeps and seen else record


async def change(
    store: Store,
    config: Config,
    key: str,
    seen: Record | None,
    alter: Alter,
    payload: Any = KEPT,
    *,
    born_token: int = -1,
) -> Change:
    """Change a record whatever others do meanwhile, unless `alter` says no.

    Args:
        store: where it is.
        config: says how long it is kept.
        key: its key.
        seen: what is thought to stand there. A guess costs one more round trip, and must not make `alter` say no.
        alter: called for what stands there in the end, once for every time somebody was faster.
        payload: what stands behind the entry afterwards.
        born_token: of the entry, should there still be no record.
    """
    while True:
        now_ns = store.now_ns()
        entry = copied(seen, now_ns, born_token)
        if not alter(entry, now_ns):
            return Change(False, seen)
        is_swapped, there = await swap(store, config, key, seen, entry, payload)
        if is_swapped:
            return Change(True, there)
        seen, born_token = there, -1
