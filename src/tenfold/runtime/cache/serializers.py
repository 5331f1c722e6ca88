"""How values become bytes, for stores that hold bytes.

Pickle runs code that stands in what it reads, so who can write to the store can run code in its readers: it is never
the default.
"""

import json
import pickle
from typing import Any, Protocol


class Serializer(Protocol):
    """Both ways; `loads` may raise anything when the bytes are not what it wrote: the value is then loaded again."""

    def dumps(self, value: Any) -> bytes:
        """The value as bytes."""

    def loads(self, payload: memoryview) -> Any:
        """The value again."""


class MsgspecSerializer:
    """MessagePack by msgspec: fast, compact, typed.

    Args:
        type: what values are decoded as and checked against: a msgspec.Struct, a dataclass, list[int], ...; without it
            dicts, lists, str, int, float, bool, bytes and None come back as such.
    """

    def __init__(self, type: Any = Any) -> None:  # noqa: A002 - msgspec calls it so
        import msgspec

        self.dumps = msgspec.msgpack.Encoder().encode
        self.loads = msgspec.msgpack.Decoder(type).decode


class JsonSerializer:
    """JSON by the standard library: for values that others read as well."""

    def dumps(self, value: Any) -> bytes:
        """The value as UTF-8 JSON."""
        return json.dumps(value, separators=(",", ":")).encode()

    def loads(self, payload: memoryview) -> Any:
        """The value again."""
        return json.loads(bytes(payload))


class PickleSerializer:
    """Pickle: any Python object. Only where nobody else can write to the store."""

    def dumps(self, value: Any) -> bytes:
        """The value as a pickle."""
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)

    def loads(self, payload: memoryview) -> Any:
        """The value again; runs what the pickle says."""
        return pickle.loads(payload)  # noqa: S301 - chosen by the user, who was told
