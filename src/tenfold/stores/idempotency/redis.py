"""Keys in Redis: a hash each, changed by scripts. A first request costs two round trips, a repetition one.

- The clock is the server's, and the server forgets keys when their time is over.
- Redis acknowledges before its replicas and, as configured by default, its disk have a key: after a failover or the
  server's death the last ones may be gone, and their requests run again. Where that must not be, take a database.
"""

import os
from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING, Any

from tenfold.fields import setting
from tenfold.runtime.idempotency.store import Answer, Ask
from tenfold.settings import configured
from tenfold.stores.redis.connections import origin
from tenfold.stores.redis.lane import Lane, unavailable

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection


US, MS = 1_000, 1_000_000


class Script:
    """A script, sent by name once the server knows it."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.name = sha1(self.text, usedforsecurity=False).hexdigest().encode()


_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""
_HELD = """
local held = redis.call('HMGET', KEYS[1], 'token', 'response')
if held[1] ~= ARGV[1] or held[2] then return 0 end
"""

BEGIN = Script(
    _NOW
    + """
local held = redis.call('HMGET', KEYS[1], 'fingerprint', 'lease', 'response')
if held[1] then
  if held[1] ~= ARGV[1] then return {'mismatch'} end
  if held[3] then return {'done', held[3]} end
  if tonumber(held[2]) > now then return {'running'} end
  if ARGV[5] ~= '1' then return {'unknown'} end
end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'token', ARGV[2], 'lease', string.format('%.0f', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'claimed'}
"""
)
EXTEND = Script(
    _NOW
    + _HELD
    + """
redis.call('HSET', KEYS[1], 'lease', string.format('%.0f', now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
)
COMPLETE = Script(
    _HELD
    + """
redis.call('HSET', KEYS[1], 'response', ARGV[2])
return 1
"""
)
RELEASE = Script(_HELD + "return redis.call('DEL', KEYS[1])")


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings of the store in Redis."""

    timeout_ns: int = setting(
        1_000_000_000, "How long the server may be silent while commands wait.", low=1_000_000, source="a bound"
    )
    connections: int = setting(
        2, "How many connections carry commands.", low=1, high=64, source="one may carry a large answer meanwhile"
    )


class RedisStore:
    """See `runtime.idempotency.store.Store`.

    Args:
        url_or_client: a URL, or a client of redis.asyncio: its settings are copied, its connections left alone.
        prefix: of every key.
        timeout: how long the server may be silent while commands wait; text ("1 s").
        connections: how many carry commands.

    Raises:
        UsageError: when a setting cannot be read.
    """

    def __init__(
        self,
        url_or_client: "str | Redis",
        prefix: str = "tenfold:idempotency:",
        timeout: str = "1 s",
        connections: int = 2,
    ) -> None:
        self._settings: _Settings = configured(
            _Settings, {"timeout": timeout, "connections": connections}, "RedisStore"
        )
        self._origin, self._prefix = origin(url_or_client), prefix.encode()
        self._start()

    def __repr__(self) -> str:
        return f"RedisStore({self._origin.place!r}, prefix={self._prefix.decode()!r})"

    def _start(self) -> None:
        limit_ns, place = self._settings.timeout_ns, self._origin.place
        self._lanes = [Lane(self._origin.make(), _greet, limit_ns, place) for _ in range(self._settings.connections)]
        self._pid = os.getpid()

    async def begin(self, ask: Ask) -> Answer:
        """Claim the key."""
        terms = (b"%d" % (ask.lease_ns // US), b"%d" % _ms(ask.keep_ns), b"1" if ask.runs_unknown else b"0")
        state, *response = await self._run(BEGIN, ask, ask.fingerprint, b"%d" % ask.token, *terms)
        return Answer(state.decode(), *response)

    async def extend(self, ask: Ask) -> bool:
        """Lengthen the lease."""
        terms = (b"%d" % (ask.lease_ns // US), b"%d" % _ms(ask.keep_ns))
        return bool(await self._run(EXTEND, ask, b"%d" % ask.token, *terms))

    async def complete(self, ask: Ask, response: bytes) -> bool:
        """Keep the answer."""
        return bool(await self._run(COMPLETE, ask, b"%d" % ask.token, response))

    async def release(self, ask: Ask) -> None:
        """Forget the key."""
        await self._run(RELEASE, ask, b"%d" % ask.token)

    async def sweep(self, limit: int) -> int:
        """Nothing: the server forgets by itself."""
        return 0

    async def close(self) -> None:
        """Disconnect; who waits is told StoreUnavailable."""
        if self._pid == os.getpid():
            for lane in self._lanes:
                await lane.close()

    async def _run(self, script: Script, ask: Ask, *arguments: bytes) -> Any:
        """What a script answers. A key has one connection, so that what is asked of it stays in order."""
        from redis.exceptions import NoScriptError

        if self._pid != os.getpid():
            _ABANDONED.append(self._lanes)
            self._start()
        lane = self._lanes[hash(ask.key) % len(self._lanes)]
        rest = (b"1", self._prefix + ask.key.encode(), *arguments)
        answer = await lane.ask(_command(b"EVALSHA", script.name, *rest))
        if isinstance(answer, NoScriptError):  # the server was started anew, or its scripts were flushed
            answer = await lane.ask(_command(b"EVAL", script.text, *rest))
        if isinstance(answer, Exception):
            raise unavailable(self._origin.place, answer)
        return answer


async def _greet(connection: "AbstractConnection") -> None:
    """Nothing to ask of a server just connected to: every script reads its clock."""


def _ms(time_ns: int) -> int:
    return max(1, -(-time_ns // MS))


def _command(*parts: bytes) -> bytes:
    """A command as the protocol has it: an array of bulk strings."""
    return b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])


_ABANDONED: list[Any] = []  # kept: to let go of a connection is to close it, and its selector is the parent's
