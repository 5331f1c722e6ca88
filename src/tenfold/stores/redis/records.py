"""A record as one string: five little-endian 64-bit numbers, the entry, then the payload."""

import struct

from tenfold.policies.cache.freshness import VALUE, Entry
from tenfold.runtime.cache.store import Record

_HEADER = struct.Struct("<5q")
HEADER_BYTES = _HEADER.size
MS = 1_000_000
KEEP_MAX_MS = 100 * 365 * 86_400_000  # the server adds it to its clock, in 64 bits


def header(entry: Entry) -> bytes:
    """The entry as bytes."""
    return _HEADER.pack(entry.fresh_until_ns, entry.blocked_until_ns, entry.token, entry.load_ns, entry.flags)


def packed(record: Record) -> bytes:
    """The record as bytes."""
    return header(record.entry) + record.payload if record.payload else header(record.entry)


def unpacked(raw: bytes | None) -> Record | None:
    """The record; None for no string, and for one that is too short to be ours."""
    if raw is None or len(raw) < HEADER_BYTES:
        return None
    entry = Entry(*_HEADER.unpack_from(raw))
    return Record(entry, raw[HEADER_BYTES:] if entry.flags & VALUE else None)


def keep_ms(keep_ns: int) -> int:
    """The time to keep a record in whole ms, never less than asked, at least 1."""
    return min(max(1, -(-keep_ns // MS)), KEEP_MAX_MS)
