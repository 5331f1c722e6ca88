"""The table of keys and what is asked of it, in the SQL that SQLite and PostgreSQL share. Times are us.

`{now}` stands for the database's time. Each change is one statement, atomic by itself. Completing touches no index.
"""

from typing import Any

from tenfold.runtime.idempotency.store import CLAIMED, DONE, MISMATCH, RUNNING, UNKNOWN, Answer, Ask

TABLE = "tenfold_idempotency"
US = 1_000
SWEEP_EVERY, SWEPT = 64, 128  # claims, and keys deleted then: twice as many as were added

CREATE = """
CREATE TABLE IF NOT EXISTS tenfold_idempotency (
    id              {text} NOT NULL PRIMARY KEY,
    fingerprint     {bytes} NOT NULL,
    token           bigint NOT NULL,
    lease_until_us  bigint NOT NULL,
    forget_at_us    bigint NOT NULL,
    response        {bytes}
)"""
INDEX = "CREATE INDEX IF NOT EXISTS tenfold_idempotency_forget ON tenfold_idempotency (forget_at_us)"

READ = """
SELECT fingerprint, response, lease_until_us > {now} FROM tenfold_idempotency
WHERE id = :key AND forget_at_us > {now}"""

CLAIM = """
INSERT INTO tenfold_idempotency AS held (id, fingerprint, token, lease_until_us, forget_at_us, response)
VALUES (:key, :fingerprint, :token, {now} + :lease, {now} + :keep, NULL)
ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, token = excluded.token,
    lease_until_us = excluded.lease_until_us, forget_at_us = excluded.forget_at_us, response = NULL
WHERE held.forget_at_us <= {now} OR (
    CAST(:runs_unknown AS integer) = 1 AND held.response IS NULL
    AND held.lease_until_us <= {now} AND held.fingerprint = excluded.fingerprint)"""

EXTEND = """
UPDATE tenfold_idempotency SET lease_until_us = {now} + :lease, forget_at_us = {now} + :keep
WHERE id = :key AND token = :token AND response IS NULL AND forget_at_us > {now}"""

COMPLETE = """
UPDATE tenfold_idempotency SET response = :response
WHERE id = :key AND token = :token AND response IS NULL AND forget_at_us > {now}"""

RELEASE = "DELETE FROM tenfold_idempotency WHERE id = :key AND token = :token AND response IS NULL"

SWEEP = """
DELETE FROM tenfold_idempotency WHERE id IN (
    SELECT id FROM tenfold_idempotency WHERE forget_at_us <= {now} ORDER BY forget_at_us LIMIT :limit)"""


def values(ask: Ask, response: bytes | None = None) -> dict[str, Any]:
    """The parameters of the statements."""
    return {
        "key": ask.key,
        "fingerprint": ask.fingerprint,
        "token": ask.token,
        "lease": ask.lease_ns // US,
        "keep": ask.keep_ns // US,
        "runs_unknown": int(ask.runs_unknown),
        "response": response,
    }


def standing(row: tuple[Any, ...] | None, ask: Ask) -> Answer:
    """What a row says to who asks; CLAIMED: nothing stands against claiming it."""
    if row is None:
        return Answer(CLAIMED)
    fingerprint, response, is_leased = row
    if fingerprint != ask.fingerprint:
        return Answer(MISMATCH)
    if response is not None:
        return Answer(DONE, response)
    if is_leased:
        return Answer(RUNNING)
    return Answer(CLAIMED) if ask.runs_unknown else Answer(UNKNOWN)
