"""What a key stands for: method, path, query and body, as one hash.

Headers are left out, since a repetition has others (traceparent, date). Bodies of JSON are compared as values, not as
text: clients may write the members of an object in another order. Whatever could make two bodies equal that are not
(a member named twice, numbers beyond a float's digits) keeps its text.
"""

import json
from hashlib import sha256
from typing import Any


def fingerprint(method: str, path: str, query: bytes, content_type: str, body: bytes) -> bytes:
    """32 bytes that differ when the request does.

    Args:
        method, path, query: of the request; the query as it came.
        content_type: of the body: `application/json` and `...+json` are compared as values, parameters ignored.
        body: all of it.
    """
    media = content_type.partition(";")[0].strip().lower()
    canonical = _canonical(body) if media == "application/json" or media.endswith("+json") else None
    kind, text = (b"bytes", body) if canonical is None else (b"json", canonical)
    parts = (method.encode(), path.encode("utf-8", "surrogatepass"), query, kind, text)
    return sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest()


def _canonical(body: bytes) -> bytes | None:
    """JSON with sorted members and without spaces; None when it is none."""
    if rb"\u0000" in body:
        return None  # a text that begins so would look like a number of ours
    try:
        return _ENCODER.encode(_DECODER.decode(body.decode())).encode()
    except (ValueError, RecursionError):
        return None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is there twice: readers differ in which one counts (RFC 8259, 4)")
    return members


def _as_written(number: str) -> str:
    """A number with a fraction keeps its text: two of them may be one float."""
    return f"\0{number}"


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_float=_as_written, parse_constant=_as_written)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
