"""What stands behind an entry: the value, and the versions of its tags at the time it was loaded.

In bytes: one byte of format; for a tagged value the number of tags (2 bytes), each as length (2), name and version (8),
little-endian; then the value. An untagged value costs that one byte. A store in memory holds the object itself.
"""

import struct
from dataclasses import dataclass
from typing import Any

from tenfold.runtime.cache.serializers import Serializer

PLAIN, TAGGED = 0, 1
_PLAIN = bytes([PLAIN])
_SHORT, _LONG = struct.Struct("<H"), struct.Struct("<q")

Versions = dict[str, int]
NO_TAGS: Versions = {}


class Undecodable(Exception):
    """The bytes are not what this serializer, or this version of us, has written."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tagged value in a store of objects."""

    value: Any
    versions: Versions


class ObjectPayloads:
    """For stores that hold objects."""

    def pack(self, value: Any, versions: Versions) -> Any:
        """The payload."""
        return Tagged(value, versions) if versions else value

    def unpack(self, payload: Any) -> tuple[Any, Versions]:
        """Value and versions."""
        return (payload.value, payload.versions) if type(payload) is Tagged else (payload, NO_TAGS)


class BytesPayloads:
    """For stores that hold bytes."""

    def __init__(self, serializer: Serializer) -> None:
        self._dumps = serializer.dumps
        self._loads = serializer.loads

    def pack(self, value: Any, versions: Versions) -> bytes:
        """The payload."""
        if not versions:
            return _PLAIN + self._dumps(value)
        parts = [bytes([TAGGED]), _SHORT.pack(len(versions))]
        for tag, version in versions.items():
            name = tag.encode()
            parts += [_SHORT.pack(len(name)), name, _LONG.pack(version)]
        return b"".join([*parts, self._dumps(value)])

    def unpack(self, payload: bytes) -> tuple[Any, Versions]:
        """Value and versions.

        Raises:
            Undecodable: with the serializer's own error as cause.
        """
        try:
            if payload[0] == PLAIN:
                return self._loads(memoryview(payload)[1:]), NO_TAGS
            if payload[0] != TAGGED:
                raise Undecodable(f"format {payload[0]} is not known")
            versions, at = _versions(payload)
            return self._loads(memoryview(payload)[at:]), versions
        except Undecodable:
            raise
        except Exception as error:
            raise Undecodable(str(error)) from error


def _versions(payload: bytes) -> tuple[Versions, int]:
    """The versions of the tags, and where the value begins."""
    versions, at = {}, 3
    for _ in range(_SHORT.unpack_from(payload, 1)[0]):
        end = at + 2 + _SHORT.unpack_from(payload, at)[0]
        versions[payload[at + 2 : end].decode()] = _LONG.unpack_from(payload, end)[0]
        at = end + 8
    return versions, at
