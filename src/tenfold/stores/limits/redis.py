"""Limits counted in Redis, by the server's time: one round trip for a hit, however many limits it has."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenfold.fields import setting
from tenfold.runtime.ratelimit.decision import STORE, Decision
from tenfold.runtime.ratelimit.meters import Meter
from tenfold.runtime.ratelimit.store import HIT, PEEK, REFUND, Ask
from tenfold.settings import configured
from tenfold.stores.limits.script import script
from tenfold.stores.redis.blocking import BlockingConnections
from tenfold.stores.redis.connections import origin
from tenfold.stores.redis.lanes import Lanes
from tenfold.stores.redis.wire import bulk, is_unknown_script
from tenfold.units import MS, S

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

US = 1_000
ASKS_MAX = 100
"""Hits of one script: it holds the server for about a millisecond."""

_TIME = struct.Struct("<dd")


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings of limits in Redis."""

    command_timeout_ns: int = setting(
        100_000_000,
        "How long the server may be silent while hits wait.",
        low=MS,
        source="every request waits for it: a tenth of a second is noticed, more is trouble",
    )
    connections: int = setting(
        1, "How many connections carry hits.", low=1, high=64, source="hits gather on a busy one and travel together"
    )


class RedisLimits:
    """Counts in Redis, shared by every process with the same server and prefix. For threads, and for one event loop.

    Nothing is connected before the first hit. A hit is never sent twice: one whose answer was lost may be counted.

    Args:
        url_or_client: a URL, or a client of redis.asyncio: its settings are copied, its connections left alone.
        prefix: of every key.
        command_timeout: how long the server may be silent while hits wait; text ("100 ms") or ns.
        connections: how many carry the hits of coroutines; each thread that asks has one of its own.
        time_us: a clock in us to go by instead of the server's, for tests.

    Raises:
        UsageError: when a setting cannot be read or is out of bounds.
    """

    def __init__(
        self,
        url_or_client: "str | Redis",
        prefix: str = "tenfold:limits:",
        command_timeout: str | int = "100 ms",
        connections: int = 1,
        *,
        time_us: Callable[[], int] | None = None,
    ) -> None:
        timeout = f"{command_timeout} ns" if isinstance(command_timeout, int) else command_timeout
        given = {"command_timeout": timeout, "connections": connections}
        settings: _Settings = configured(_Settings, given, "RedisLimits")
        found = origin(url_or_client)
        self._place = found.place
        self._prefix = prefix
        self._time_us = time_us
        limit_ns = settings.command_timeout_ns
        self._lanes = Lanes(found, settings.connections, limit_ns, _greet)
        self._blocking = BlockingConnections(lambda: found.make_blocking(limit_ns), found.place)

    def __repr__(self) -> str:
        return f"RedisLimits({self._place!r}, prefix={self._prefix!r})"

    def tally(self, name: str, meters: tuple[Meter[Any], ...]) -> "_RedisTally":
        """The counts of a limiter."""
        return _RedisTally(self._lanes, self._blocking, f"{self._prefix}{name}:", meters, self._time_us)

    async def close(self) -> None:
        """Disconnect what coroutines used; who waits is told StoreUnavailable. Used again, it connects again."""
        await self._lanes.close()
        self._lanes.open()

    def close_blocking(self) -> None:
        """Disconnect what threads used and use no more. Used again, it connects again."""
        self._blocking.close()


class _Call:
    """One run of a script.

    Args:
        asks: what it decides about.
        text, name: of the script.
        count, arguments: how many there are, and these.
    """

    __slots__ = ("_arguments", "_count", "_text", "asks", "short")

    def __init__(self, asks: Sequence[Ask], text: bytes, name: bytes, count: int, arguments: bytes) -> None:
        self.asks = asks
        self._text, self._count, self._arguments = text, count, arguments
        self.short = b"*%d\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n%b" % (2 + count, name, arguments)

    def whole(self) -> bytes:
        """The command with the text of the script."""
        return b"*%d\r\n$4\r\nEVAL\r\n%b%b" % (2 + self._count, bulk(self._text), self._arguments)


class _RedisTally:
    """See `Tally`."""

    def __init__(
        self,
        lanes: Lanes,
        blocking: BlockingConnections,
        prefix: str,
        meters: tuple[Meter[Any], ...],
        time_us: Callable[[], int] | None,
    ) -> None:
        self._lanes = lanes
        self._blocking = blocking
        self._meters = meters
        self._prefixes = [f"{prefix}{meter.limit.mark}:".encode() for meter in meters]
        self._time_us = time_us
        letters = "".join(meter.letter for meter in meters)
        self._scripts = {verb: script(letters, verb) for verb in (HIT, PEEK, REFUND)}
        constants = [number for meter in meters for number in meter.constants()]
        self._limits = bulk(letters.encode()) + bulk(struct.pack(f"<{len(constants)}d", *constants))
        self._one = bulk(self._packed(1, 0))

    async def ask(self, verb: str, asks: Sequence[Ask]) -> list[Decision]:
        """One script for a hundred asks, sent together."""
        calls = self._calls(verb, asks)
        answers = await self._lanes.ask(b"".join([call.short for call in calls]), len(calls))
        answers = answers if len(calls) > 1 else [answers]
        for place, call in enumerate(calls):
            if is_unknown_script(answers[place]):
                answers[place] = await self._lanes.ask(call.whole())
        return self._decisions(calls, answers)

    def ask_blocking(self, verb: str, asks: Sequence[Ask]) -> list[Decision]:
        """The same on a connection of the caller's thread."""
        calls = self._calls(verb, asks)
        answers = self._blocking.ask(b"".join([call.short for call in calls]), len(calls))
        answers = answers if len(calls) > 1 else [answers]
        for place, call in enumerate(calls):
            if is_unknown_script(answers[place]):
                answers[place] = self._blocking.ask(call.whole())
        return self._decisions(calls, answers)

    def _calls(self, verb: str, asks: Sequence[Ask]) -> list["_Call"]:
        """The scripts to run."""
        parts = [asks[first : first + ASKS_MAX] for first in range(0, len(asks), ASKS_MAX)]
        return [_Call(part, *self._scripts[verb], *self._arguments(verb, part)) for part in parts]

    def _decisions(self, calls: list["_Call"], answers: list[Any]) -> list[Decision]:
        decisions: list[Decision] = []
        for call, answer in zip(calls, answers, strict=True):
            self._read(self._lanes.checked(answer), call.asks, decisions)
        return decisions

    def _arguments(self, verb: str, asks: Sequence[Ask]) -> tuple[int, bytes]:
        """How many parts the script gets, and these, as `script` has them."""
        encoded = [key.encode(errors="surrogatepass") for key, _, _ in asks]
        keys = [bulk(prefix + key) for key in encoded for prefix in self._prefixes]
        time = b"" if self._time_us is None else _TIME.pack(*divmod(self._time_us(), 1_000_000))
        packed = [self._one if cost == 1 and not at_ns else bulk(self._packed(cost, at_ns)) for _, cost, at_ns in asks]
        parts = [bulk(b"%d" % len(keys)), *keys, bulk(time), bulk(verb.encode()), self._limits, *packed]
        return len(parts) + 1, b"".join(parts)  # the limits are two

    def _packed(self, cost: int, at_ns: int) -> bytes:
        """An ask."""
        seconds, rest_ns = divmod(at_ns, S)
        amounts = [number for meter in self._meters for number in meter.amounts(cost)]
        return struct.pack(f"<{3 + len(amounts)}d", cost, seconds, rest_ns // US, *amounts)

    def _read(self, raw: bytes, asks: Sequence[Ask], decisions: list[Decision]) -> None:
        """The script's answer."""
        seconds, rest_us = _TIME.unpack_from(raw)
        now_ns, at = int(seconds) * S + int(rest_us) * US, _TIME.size
        for key, cost, _ in asks:
            allowed, at, seen = raw[at] == 1, at + 1, []
            for meter in self._meters:
                summary, at = meter.read(raw, at)
                seen.append(summary)
            decisions.append(Decision(allowed, key, cost, now_ns, STORE, self._meters, tuple(seen)))


async def _greet(connection: "AbstractConnection") -> None:
    """Nothing to ask first: the script goes by the server's time itself."""
