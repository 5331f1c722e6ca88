"""Leases in Redis, by the server's clock. Each operation is one script, which Redis runs alone.

A hash per name holds `epoch:expires_ms:mark_ms:holder` for every node that was ever leased. It never expires: the
marks must outlive the leases. Use a Redis that keeps what it was told (`appendonly yes`). One that forgets its marks,
or fails over to a replica without them, can lease a worker a second time while its first holder still runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tenfold.errors import UsageError
from tenfold.runtime.ids.leases import Ask, Lease, LeaseLost, LeaseStoreUnavailable, none_left

if TYPE_CHECKING:
    import redis

_READ = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function read(text)
    local epoch, expires, mark, holder = string.match(text, '^(%d+):(%d+):(%d+):(.*)$')
    return tonumber(epoch), tonumber(expires), tonumber(mark), holder
end
local function write(node, epoch, expires, mark, holder)
    redis.call('HSET', KEYS[1], node, string.format('%.0f:%.0f:%.0f:%s', epoch, expires, mark, holder))
end
local function shown(number) return string.format('%.0f', number) end
"""

_ACQUIRE = (
    _READ
    + """
local first, last, ttl = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local used, free, free_mark, free_epoch, earliest = {}, nil, nil, 0, nil
local rows = redis.call('HGETALL', KEYS[1])
for at = 1, #rows, 2 do
    local node = tonumber(rows[at])
    if node >= first and node <= last then
        local epoch, expires, mark = read(rows[at + 1])
        used[node] = true
        if expires > now then
            if not earliest or expires < earliest then earliest = expires end
        elseif not free or mark < free_mark or (mark == free_mark and node < free) then
            free, free_mark, free_epoch = node, mark, epoch
        end
    end
end
if not free or free_mark >= now then
    for node = first, last do
        if not used[node] then
            free, free_mark, free_epoch = node, 0, 0
            break
        end
    end
end
if not free then return {'-1', shown(earliest - now)} end
local expires = now + ttl
local limit = math.max(free_mark, expires)
write(shown(free), free_epoch + 1, expires, limit, ARGV[4])
return {shown(free), shown(free_epoch + 1), shown(free_mark), shown(limit)}
"""
)

_RENEW = (
    _READ
    + """
local row = redis.call('HGET', KEYS[1], ARGV[1])
if not row then return false end
local epoch, expires, mark, holder = read(row)
if epoch ~= tonumber(ARGV[2]) or holder ~= ARGV[3] or expires == 0 then return false end
local limit = math.max(mark, now + tonumber(ARGV[4]))
write(ARGV[1], epoch, now + tonumber(ARGV[4]), limit, holder)
return shown(limit)
"""
)

_RELEASE = (
    _READ
    + """
local row = redis.call('HGET', KEYS[1], ARGV[1])
if not row then return false end
local epoch, expires, mark, holder = read(row)
if epoch == tonumber(ARGV[2]) and holder == ARGV[3] and expires > 0 then
    write(ARGV[1], epoch, 0, tonumber(ARGV[4]), holder)
end
return false
"""
)


class RedisLeaseStore:
    """See `LeaseStore`. A lease costs a scan of the name's hash: a millisecond at 1,024 nodes.

    Args:
        url: of the server.
        timeout_ns: for connecting and for each answer. Nothing is tried twice: who lost an answer asks again.
    """

    def __init__(self, url: str, timeout_ns: int) -> None:
        self._url, self._timeout_ns = url, timeout_ns

    def acquire(self, ask: Ask) -> Lease:
        """Lease a free node."""
        answer = self._run(_ACQUIRE, ask.name, ask.first, ask.last, ask.ttl_ms, ask.holder)
        node, *rest = map(int, answer)
        if node < 0:
            raise none_left(ask, rest[0])
        epoch, mark_ms, limit_ms = rest
        return Lease(ask.name, node, epoch, mark_ms, limit_ms, ask.ttl_ms, ask.holder)

    def renew(self, lease: Lease) -> Lease:
        """Lengthen the lease."""
        limit_ms = self._run(_RENEW, lease.name, lease.node, lease.epoch, lease.holder, lease.ttl_ms)
        if limit_ms is None:
            raise LeaseLost(lease)
        return replace(lease, limit_ms=int(limit_ms))

    def release(self, lease: Lease, mark_ms: int) -> None:
        """Give the node back."""
        self._run(_RELEASE, lease.name, lease.node, lease.epoch, lease.holder, mark_ms)

    def close(self) -> None:
        """Nothing stays open."""

    def _run(self, script: str, name: str, *values: object) -> Any:
        """The answer of a script on the hash of a name."""
        with self._client() as client:
            return client.eval(script, 1, f"tenfold:worker_ids:{name}", *map(str, values))

    @contextmanager
    def _client(self) -> Iterator["redis.Redis"]:
        """A connection for one operation."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        limit_s = self._timeout_ns / 1e9
        try:
            with redis.Redis.from_url(
                self._url,
                socket_timeout=limit_s,
                socket_connect_timeout=limit_s,
                retry=Retry(NoBackoff(), 0),
                single_connection_client=True,
            ) as client:
                yield client
        except redis.RedisError as error:
            raise LeaseStoreUnavailable(f"the lease store in Redis does not work: {error}") from error


def open_store(url: str, timeout_ns: int) -> RedisLeaseStore:
    """The store in a server: `redis://host:6379/0`."""
    try:
        import redis as redis
    except ImportError as error:
        raise UsageError("leases in Redis need the package redis", "pip install 'tenfold[redis]'") from error
    return RedisLeaseStore(url, timeout_ns)
