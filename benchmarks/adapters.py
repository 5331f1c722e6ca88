"""What the adapters add to a request: under an httpx client, around an ASGI application, per span.

`uv run python benchmarks/adapters.py`. CPU microseconds per request, the least of several rounds, taken in turns so
that a busy machine disturbs all alike. The network is a function: what is measured is the work of client and server.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
from opentelemetry.sdk.trace import TracerProvider

from tenfold import Pipeline
from tenfold.runtime.adapters.asgi import PolicyMiddleware
from tenfold.runtime.adapters.httpx import PolicyTransport
from tenfold.runtime.observe.otel import traced

ROUNDS, REQUESTS = 7, 2_000
HEADERS = [(b"host", b"service.test"), (b"accept", b"*/*"), (b"x-envoy-expected-rq-timeout-ms", b"800")]
MESSAGES = [
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b"ok"},
]

Request = Callable[[], Awaitable[object]]


def four() -> Pipeline:
    """Timeout, retry with a budget, breaker, bulkhead."""
    return Pipeline(
        timeout="1 s", retry={"attempts": 3, "budget": "20%"}, circuit_breaker=True, bulkhead={"in_flight": 10}
    )


async def application(scope: object, receive: object, send: Callable[[object], Awaitable[None]]) -> None:
    """Says ok."""
    for message in MESSAGES:
        await send(message)


async def nowhere(message: object = None) -> dict[str, str]:
    """Both ends of a server that does nothing."""
    return {"type": "http.request"}


def client(transport: httpx.AsyncBaseTransport) -> Request:
    """One GET of an httpx client."""
    sender = httpx.AsyncClient(transport=transport)
    return lambda: sender.get("http://service.test/orders")


def server(app: Callable[..., Awaitable[None]]) -> Request:
    """One request to an application."""
    scope = {"type": "http", "method": "GET", "headers": HEADERS}
    return lambda: app(scope, nowhere, nowhere)


def bare(pipeline: Pipeline) -> Request:
    """One call of a function that does nothing."""

    async def nothing(attempt: object) -> None:
        return None

    return lambda: pipeline.call(nothing, idempotent=True)


CASES: dict[str, Callable[[], Request]] = {
    "pipeline of four policies": lambda: bare(four()),
    "  with spans that are not sampled": lambda: bare(traced(four())),
    "  with spans of an SDK": lambda: bare(traced(four(), TracerProvider())),
    "httpx client": lambda: client(httpx.MockTransport(lambda request: httpx.Response(200, text="ok"))),
    "  with the pipeline under it": lambda: client(
        PolicyTransport(four(), httpx.MockTransport(lambda request: httpx.Response(200, text="ok")))
    ),
    "ASGI application": lambda: server(application),
    "  with the deadline read": lambda: server(PolicyMiddleware(application)),
    "  and the pipeline around it": lambda: server(PolicyMiddleware(application, four())),
}


async def timed(request: Request) -> float:
    """CPU microseconds of one request."""
    begun = time.process_time_ns()
    for _ in range(REQUESTS):
        await request()
    return (time.process_time_ns() - begun) / 1e3 / REQUESTS


async def main() -> None:
    """Measure all cases in turns; print the least of each."""
    requests = {name: make() for name, make in CASES.items()}
    least = dict.fromkeys(requests, float("inf"))
    for _ in range(ROUNDS):
        for name, request in requests.items():
            least[name] = min(least[name], await timed(request))
    for name, us in least.items():
        print(f"{name:<38}{us:8.1f} us")


if __name__ == "__main__":
    asyncio.run(main())
