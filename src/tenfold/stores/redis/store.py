"""The store itself: each method is one round trip."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING

from tenfold.fields import setting
from tenfold.policies.cache.freshness import Entry
from tenfold.runtime.cache.store import Record, StoreUnavailable
from tenfold.settings import configured
from tenfold.stores.redis.announcements import SENDER_BYTES, Subscription, messages
from tenfold.stores.redis.clock import ServerClock
from tenfold.stores.redis.connections import origin
from tenfold.stores.redis.lanes import ABANDONED, Lanes
from tenfold.stores.redis.records import HEADER_BYTES, header, keep_ms, packed, unpacked
from tenfold.stores.redis.wire import bulk, command, is_unknown_script, time_ns

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

CLOCK_EVERY_S = 5.0  # at 100 ppm that is 0.5 ms of drift
CLOCK_FIRST = 3  # questions when a store opens: the shortest round trip counts

# The entry is compared in the server, all else is decided in the process. A string too short for an entry is not ours.
SWAP = f"""
local there = redis.call('GETRANGE', KEYS[1], 0, {HEADER_BYTES - 1})
if #there < {HEADER_BYTES} then there = '' end
if there ~= ARGV[1] then return redis.call('GET', KEYS[1]) end
if ARGV[4] == '1' then
  redis.call('SETRANGE', KEYS[1], 0, ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
""".encode()
SWAP_NAME = sha1(SWAP, usedforsecurity=False).hexdigest().encode()


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings of the store in Redis."""

    command_timeout_ns: int = setting(
        250_000_000,
        "How long the server may be silent while commands wait.",
        low=1_000_000,
        source="a loader behind a cache takes tens of ms: longer, and asking the cache is worse than not having one",
    )
    connections: int = setting(
        2, "How many connections carry commands.", low=1, high=64, source="one may carry a large value meanwhile"
    )


class RedisStore:
    """Records in Redis, shared by every process with the same server and prefix.

    Args:
        url_or_client: a URL, or a client of redis.asyncio: its settings are copied, its connections left alone.
        prefix: of every key and of the channel.
        command_timeout: how long the server may be silent while commands wait; text ("250 ms") or ns.
        connections: how many carry commands; one more listens.
        monotonic_ns: the process's clock.

    Raises:
        UsageError: when a setting cannot be read or is out of bounds.
    """

    holds_bytes = True

    def __init__(
        self,
        url_or_client: "str | Redis",
        prefix: str = "tenfold:",
        command_timeout: str | int = "250 ms",
        connections: int = 2,
        *,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        timeout = f"{command_timeout} ns" if isinstance(command_timeout, int) else command_timeout
        given = {"command_timeout": timeout, "connections": connections}
        self._settings: _Settings = configured(_Settings, given, "RedisStore")
        self._origin = origin(url_or_client)
        self._prefix = prefix.encode()
        self._channel = self._prefix + b"announcements"
        self._clock = ServerClock(monotonic_ns)
        self.now_ns = self._clock.now_ns
        self._watch: asyncio.Task[None] | None = None
        count, limit_ns = self._settings.connections, self._settings.command_timeout_ns
        self._lanes = Lanes(self._origin, count, limit_ns, self._greet, self._forked)
        self._start()

    @property
    def command_timeout_ns(self) -> int:
        """How long the server may be silent while commands wait, in ns."""
        return self._settings.command_timeout_ns

    def __repr__(self) -> str:
        return f"RedisStore({self._origin.place!r}, prefix={self._prefix.decode()!r})"

    def _start(self) -> None:
        """A name for this process, and a subscription that nobody listens to yet."""
        self._sender = os.urandom(SENDER_BYTES)
        self._subscription = Subscription(
            self._origin.make, self._channel, self._sender, self._settings.command_timeout_ns
        )

    async def open(self) -> None:
        """Connect, and read the server's clock; from then on it is read every few seconds.

        Raises:
            StoreUnavailable: when the server does not answer. The store may be used all the same: it connects again.
        """
        self._lanes.open()
        if self._watch is None:
            self._watch = asyncio.create_task(self._keep_time(), name="tenfold redis clock")
        for _ in range(max(CLOCK_FIRST, len(self._lanes))):  # each connection is asked in turn, and so connected
            await self._measure()

    async def close(self) -> None:
        """Give back every connection and task; who waits is told StoreUnavailable."""
        await self._lanes.close()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])
        await self._subscription.close()

    async def get(self, key: str) -> Record | None:
        """The record, or None: one GET."""
        raw = await self._lanes.ask(b"*2\r\n$3\r\nGET\r\n" + bulk(self._prefix + key.encode()))
        return unpacked(self._lanes.checked(raw))

    async def get_many(self, keys: Sequence[str]) -> list[Record | None]:
        """The records of many keys: one MGET."""
        if not keys:
            return []
        names = [self._prefix + key.encode() for key in keys]
        return [unpacked(raw) for raw in self._lanes.checked(await self._lanes.ask(command(b"MGET", *names)))]

    async def swap(
        self, key: str, expected: Entry | None, record: Record, keep_ns: int, *, keeps_payload: bool = False
    ) -> tuple[bool, Record | None]:
        """Replace the record if its entry is still the expected one: one script, atomic in the server."""
        arguments = (
            b"1",
            self._prefix + key.encode(),
            b"" if expected is None else header(expected),
            header(record.entry) if keeps_payload else packed(record),
            b"%d" % keep_ms(keep_ns),
            b"1" if keeps_payload else b"0",
        )
        answer = await self._lanes.ask(command(b"EVALSHA", SWAP_NAME, *arguments))
        if is_unknown_script(answer):  # the server was started anew, or its scripts were flushed
            answer = await self._lanes.ask(command(b"EVAL", SWAP, *arguments))
        answer = self._lanes.checked(answer)
        return (True, None) if answer == 1 else (False, unpacked(answer))

    async def put(self, records: Mapping[str, Record], keep_ns: Mapping[str, int]) -> None:
        """Write records whatever stands there: as many SETs, in one round trip."""
        await self._ask_all(
            command(b"SET", self._prefix + key.encode(), packed(record), b"PX", b"%d" % keep_ms(keep_ns[key]))
            for key, record in records.items()
        )

    async def announce(self, keys: Sequence[str], *, is_change: bool) -> None:
        """Tell every other process that listens."""
        await self._ask_all(
            command(b"PUBLISH", self._channel, message) for message in messages(self._sender, keys, is_change)
        )

    async def listen(
        self, told: Callable[[str, bool], None], lost: Callable[[], None]
    ) -> Callable[[], Awaitable[None]]:
        """Call `told` in the event loop for announcements of other processes, `lost` when some may be missed.

        Does not raise when the server is away: `lost` is called, and again when the subscription is there.
        """
        self._lanes.see_to_fork()
        subscription = self._subscription
        await subscription.add(told, lost)
        return lambda: subscription.remove(told, lost)

    async def _ask_all(self, commands: Iterable[bytes]) -> None:
        """Send commands together and see that none failed."""
        gathered = list(commands)
        if not gathered:
            return
        answers = await self._lanes.ask(b"".join(gathered), len(gathered))
        for answer in answers if len(gathered) > 1 else [answers]:
            self._lanes.checked(answer)

    async def _greet(self, connection: "AbstractConnection") -> None:
        """The clock of a server just connected to, which may be another than before."""
        sent_ns = self._clock.monotonic_ns()
        await connection.send_packed_command(command(b"TIME"), check_health=False)
        server_ns = time_ns(await connection.read_response(disable_decoding=True))
        self._clock.measured(sent_ns, server_ns, self._clock.monotonic_ns(), is_other_server=True)

    async def _measure(self) -> None:
        """Ask for the time once."""
        sent_ns = self._clock.monotonic_ns()
        answer = self._lanes.checked(await self._lanes.ask(command(b"TIME")))
        self._clock.measured(sent_ns, time_ns(answer), self._clock.monotonic_ns())

    async def _keep_time(self) -> None:
        """Ask for the time every few seconds."""
        while True:
            await asyncio.sleep(CLOCK_EVERY_S)
            with contextlib.suppress(StoreUnavailable):
                await self._measure()

    def _forked(self) -> None:
        """In a child made by fork: leave the parent's subscription and task alone."""
        ABANDONED.append((self._subscription, self._watch))
        self._watch = None
        self._start()
