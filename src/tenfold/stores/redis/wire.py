"""Commands as the protocol has them, and what answers to them mean."""

from typing import Any

S, US = 1_000_000_000, 1_000


def command(*parts: bytes) -> bytes:
    """A command (RESP: an array of bulk strings)."""
    return b"*%d\r\n" % len(parts) + b"".join([bulk(part) for part in parts])


def bulk(part: bytes) -> bytes:
    """A part of a command."""
    return b"$%d\r\n%b\r\n" % (len(part), part)


def time_ns(answer: Any) -> int:
    """What TIME answers, seconds and microseconds, in ns."""
    return int(answer[0]) * S + int(answer[1]) * US


def is_unknown_script(answer: Any) -> bool:
    """Whether the server was started anew, or its scripts were flushed: the script has to be sent whole."""
    from redis.exceptions import NoScriptError

    return isinstance(answer, NoScriptError)
