"""An answer as bytes: status, headers in their order with all repetitions, body."""

import struct
from typing import NamedTuple

Headers = list[tuple[bytes, bytes]]

_HEAD = struct.Struct("<BHBH")  # version, status, whether the body is there, how many headers
_PAIR = struct.Struct("<HI")  # lengths of name and value
VERSION = 1
OF_THE_CONNECTION = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"})  # RFC 9110, 7.6.1


class Kept(NamedTuple):
    """An answer."""

    status: int
    headers: Headers
    body: bytes | None  # None: it was larger than what is kept


def packed(answer: Kept) -> bytes:
    """The answer as bytes, without what belongs to a single connection."""
    headers = [(name, value) for name, value in answer.headers if name.lower() not in OF_THE_CONNECTION]
    parts = [_HEAD.pack(VERSION, answer.status, answer.body is not None, len(headers))]
    for name, value in headers:
        parts += (_PAIR.pack(len(name), len(value)), name, value)
    parts.append(answer.body or b"")
    return b"".join(parts)


def unpacked(raw: bytes) -> Kept:
    """The answer.

    Raises:
        ValueError: it was written by another version.
    """
    version, status, has_body, count = _HEAD.unpack_from(raw)
    if version != VERSION:
        raise ValueError(f"an answer of version {version}: this one reads {VERSION}")
    at, headers = _HEAD.size, []
    for _ in range(count):
        of_name, of_value = _PAIR.unpack_from(raw, at)
        at += _PAIR.size
        headers.append((bytes(raw[at : at + of_name]), bytes(raw[at + of_name : at + of_name + of_value])))
        at += of_name + of_value
    return Kept(status, headers, bytes(raw[at:]) if has_body else None)
