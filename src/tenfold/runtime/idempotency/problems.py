"""Refusals as answers: problem details (RFC 9457) with the statuses of the IETF draft.

draft-ietf-httpapi-idempotency-key-header, 2.7: 400 without a key where one is needed, 422 for a key that stands for
another request, 409 while the first is at work.
"""

import json
from typing import NamedTuple

from tenfold.runtime.adapters.asgi import Send

TYPES = "urn:tenfold:idempotency:"


class Problem(NamedTuple):
    """A refusal."""

    status: int
    name: str  # the end of its type
    title: str
    detail: str
    retry_after_s: int = 0  # 0: coming back will not help


MISSING = Problem(400, "key-missing", "Idempotency-Key is missing", "send a header Idempotency-Key of your own making")
MALFORMED = Problem(
    400,
    "key-malformed",
    "Idempotency-Key cannot be read",
    'send one key of 1 to 255 visible ASCII characters, quoted ("...") or bare',
)
OTHER_REQUEST = Problem(
    422,
    "key-reused",
    "Idempotency-Key is already used",
    "this key came with another method, path, query or body; send another key",
)
AT_WORK = Problem(
    409, "running", "A request is outstanding for this Idempotency-Key", "the first request is still at work", 1
)
OUTCOME_UNKNOWN = Problem(
    409,
    "unknown",
    "The outcome of the first request is unknown",
    "it was broken off and may have taken effect; find out before you send it with another key",
)
NOT_KEPT = Problem(
    409, "answer-not-kept", "The answer was too large to keep", "the first request is done; it is not run again"
)
TOO_LARGE = Problem(413, "body-too-large", "The body is too large", "requests with a key have a limit on their body")
AWAY = Problem(503, "store-unavailable", "Idempotency is not available", "nothing was done; try again", 1)
NOT_COMMITTED = Problem(
    503, "not-committed", "The work was not committed", "repeat the request with the same key to learn the outcome", 1
)


async def answer(send: Send, problem: Problem) -> None:
    """Send a refusal."""
    body = json.dumps(
        {
            "type": TYPES + problem.name,
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail,
        }
    ).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
    ]
    if problem.retry_after_s:
        headers.append((b"retry-after", b"%d" % problem.retry_after_s))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
