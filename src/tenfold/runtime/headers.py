"""What a call says on the wire: how much time is left, the key that makes it safe to repeat, "do not retry".

Time goes out as a duration, never as a date, so that no two clocks are compared: what the wire takes is lost, and the
caller's own clock still ends the call (gRPC: "Deadlines", and `grpc-timeout` of its HTTP/2 protocol). Names are ones
others write and read already:

    x-envoy-expected-rq-timeout-ms   time left in ms. Envoy sets it for what stands behind it. Written and read.
    grpc-timeout                     time left as `250m`. Read.
    idempotency-key                  draft-ietf-httpapi-idempotency-key-header. Written and read.
    x-should-retry                   `false`: whoever answered has given up for good, another attempt only adds load.
                                     Stripe, OpenAI and Anthropic answer with it and their clients obey. Written, read.

Whatever comes in is a stranger's: what cannot be read is ignored, of several times the shortest counts, and what was
read can only shorten a deadline that is in force.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from tenfold.policies.verbs import LONGEST_NS, NEVER
from tenfold.runtime.attempt import CURRENT, Attempt

TIMEOUT = "x-envoy-expected-rq-timeout-ms"
GRPC_TIMEOUT = "grpc-timeout"
KEY = "idempotency-key"
SHOULD_RETRY = "x-should-retry"

NO_RETRY: Mapping[str, str] = {SHOULD_RETRY: "false"}
"""The mark, for a response or a request."""

KEY_CHARACTERS_MAX = 255  # Stripe's limit
DIGITS_MAX = 15  # of a number in a header; more than LONGEST_NS in any unit but ns
UNITS_NS = {"H": 3_600_000_000_000, "M": 60_000_000_000, "S": 1_000_000_000, "m": 1_000_000, "u": 1_000, "n": 1}
MS = 1_000_000

Headers: TypeAlias = "Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]"


class Incoming(NamedTuple):
    """What the headers of a request or response say."""

    remaining_ns: int | None  # time its sender waits for the answer; None: not said
    is_marked: bool  # do not retry
    key: str  # idempotency key; "": none


def outgoing(attempt: Attempt | None = None, *, with_key: bool = True) -> dict[str, str]:
    """Headers for a request that is made in an attempt.

    Args:
        attempt: what the pipeline told the function; None: the attempt or `within` block in force, if any.
        with_key: send the idempotency key, the same for every attempt of the call. Only an attempt given as argument
            has one: what a block makes in it are different calls.

    Returns:
        Header names in lower case and values. Time is rounded down to ms, but not to 0, which means no limit to Envoy.
    """
    made = attempt or CURRENT.get()
    headers: dict[str, str] = {}
    if made is None:
        return headers
    if made.ends_ns < NEVER:
        headers[TIMEOUT] = str(max(1, made.remaining_ns // MS))
    if made.is_marked:
        headers |= NO_RETRY
    if attempt is not None and with_key:
        headers[KEY] = f'"{attempt.key}"'
    return headers


def incoming(headers: Headers) -> Incoming:
    """Read a request's or a response's headers; never raises on what they hold.

    Args:
        headers: a mapping, or pairs as in an ASGI scope. Names in any case.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    remaining_ns, is_marked, key = NEVER, False, ""
    for raw_name, raw_value in pairs:
        name, value = _text(raw_name).lower(), _text(raw_value).strip()
        if name == TIMEOUT:
            remaining_ns = min(remaining_ns, _time_ns(value, MS))
        elif name == GRPC_TIMEOUT and value[-1:] in UNITS_NS:
            remaining_ns = min(remaining_ns, _time_ns(value[:-1], UNITS_NS[value[-1]]))
        elif name == SHOULD_RETRY:
            is_marked |= value.lower() == "false"
        elif name == KEY:
            key = _key(value)
    return Incoming(None if remaining_ns >= NEVER else remaining_ns, is_marked, key)


def _time_ns(text: str, unit_ns: int) -> int:
    """A duration; NEVER when it cannot be read or is longer than any."""
    time_ns = int(text) * unit_ns if is_number(text) else NEVER
    return time_ns if time_ns <= LONGEST_NS else NEVER


def is_number(text: str) -> bool:
    """Whether a header's text is a whole number of a sensible length, without a sign."""
    return 0 < len(text) <= DIGITS_MAX and text.isascii() and text.isdigit()


def _key(text: str) -> str:
    """A key without the quotes of a structured field; "" when it is none."""
    bare = text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text
    return bare if len(bare) <= KEY_CHARACTERS_MAX and bare.isascii() and bare.isprintable() else ""


def _text(part: str | bytes) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else part
