"""The table of leases and what is asked of it, in the SQL that SQLite and PostgreSQL share.

Whoever calls these functions holds a lock on the table, so that reading and writing are one step.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tenfold.runtime.ids.leases import Ask, Lease, LeaseLost, none_left

TABLE = "tenfold_worker_ids"

CREATE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    name       text   NOT NULL,
    node       bigint NOT NULL,
    epoch      bigint NOT NULL,
    expires_ms bigint NOT NULL,
    mark_ms    bigint NOT NULL,
    holder     text   NOT NULL,
    PRIMARY KEY (name, node)
)"""

_FREE = """
SELECT node, epoch, mark_ms FROM tenfold_worker_ids
WHERE name = :name AND node BETWEEN :first AND :last AND expires_ms <= :now
ORDER BY mark_ms, node LIMIT 1"""

_UNUSED = """
SELECT min(candidate) FROM (
    SELECT :first AS candidate
    UNION ALL
    SELECT node + 1 FROM tenfold_worker_ids WHERE name = :name AND node >= :first AND node < :last
) AS candidates
WHERE NOT EXISTS (SELECT 1 FROM tenfold_worker_ids AS used WHERE used.name = :name AND used.node = candidate)"""

_EARLIEST = "SELECT min(expires_ms) FROM tenfold_worker_ids WHERE name = :name AND node BETWEEN :first AND :last"

_WRITE = """
INSERT INTO tenfold_worker_ids (name, node, epoch, expires_ms, mark_ms, holder)
VALUES (:name, :node, :epoch, :expires, :mark, :holder)
ON CONFLICT (name, node) DO UPDATE SET
    epoch = excluded.epoch, expires_ms = excluded.expires_ms, mark_ms = excluded.mark_ms, holder = excluded.holder"""

_RENEW = """
UPDATE tenfold_worker_ids SET
    expires_ms = :expires, mark_ms = CASE WHEN mark_ms > :expires THEN mark_ms ELSE :expires END
WHERE name = :name AND node = :node AND epoch = :epoch AND holder = :holder AND expires_ms > 0
RETURNING mark_ms"""

_RELEASE = """
UPDATE tenfold_worker_ids SET expires_ms = 0, mark_ms = :mark
WHERE name = :name AND node = :node AND epoch = :epoch AND holder = :holder AND expires_ms > 0
RETURNING node"""

Row = tuple[Any, ...] | None
Run = Callable[[str, dict[str, Any]], Row]
"""Runs a statement with named parameters; its first row, if it has one."""


def acquire(run: Run, ask: Ask, now_ms: int) -> Lease:
    """Lease a free node: see `LeaseStore.acquire`."""
    node, epoch, before_ms = _chosen(run, ask, now_ms)
    expires_ms = now_ms + ask.ttl_ms
    lease = Lease(ask.name, node, epoch + 1, before_ms, max(before_ms, expires_ms), ask.ttl_ms, ask.holder)
    row = {"name": ask.name, "node": node, "epoch": lease.epoch, "expires": expires_ms, "mark": lease.limit_ms}
    run(_WRITE, {**row, "holder": ask.holder})
    return lease


def _chosen(run: Run, ask: Ask, now_ms: int) -> tuple[int, int, int]:
    """Node, epoch and mark of the node to lease."""
    asked = {"name": ask.name, "first": ask.first, "last": ask.last}
    free = run(_FREE, {**asked, "now": now_ms})
    if free is not None and free[2] < now_ms:
        return free[0], free[1], free[2]
    unused = run(_UNUSED, asked)
    if unused is not None and unused[0] is not None:
        return unused[0], 0, 0
    if free is not None:
        return free[0], free[1], free[2]
    earliest = run(_EARLIEST, asked)
    assert earliest is not None
    raise none_left(ask, earliest[0] - now_ms)


def renew(run: Run, lease: Lease, now_ms: int) -> Lease:
    """Lengthen a lease: see `LeaseStore.renew`."""
    mark = run(_RENEW, {**_key(lease), "expires": now_ms + lease.ttl_ms})
    if mark is None:
        raise LeaseLost(lease)
    return replace(lease, limit_ms=mark[0])


def release(run: Run, lease: Lease, mark_ms: int) -> None:
    """Give a node back: see `LeaseStore.release`."""
    run(_RELEASE, {**_key(lease), "mark": mark_ms})


def _key(lease: Lease) -> dict[str, Any]:
    return {"name": lease.name, "node": lease.node, "epoch": lease.epoch, "holder": lease.holder}
