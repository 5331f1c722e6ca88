"""Client and server over a real socket: what a stand-in for the network would not show."""

import asyncio
import contextlib
import socket

import httpx
import uvicorn

from tenfold import Pipeline
from tenfold.policies.call import circuit_breaker
from tenfold.runtime.adapters.asgi import PolicyMiddleware
from tenfold.runtime.adapters.httpx import PolicyTransport
from tenfold.runtime.headers import SHOULD_RETRY

STARTS_WITHIN_S = 20


@contextlib.asynccontextmanager
async def served(app):
    """The application on a port of loopback; its URL."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_config=None))
        task = asyncio.create_task(server.serve([listening]))
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not server.started:
                await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


class Shop:
    """An application that says what became of its requests."""

    def __init__(self):
        self.begun, self.ended = asyncio.Event(), asyncio.Queue()

    async def __call__(self, scope, receive, send):
        self.begun.set()
        try:
            await getattr(self, scope["path"].strip("/"))(receive, send)
        except BaseException as error:
            self.ended.put_nowait(type(error).__name__)
            raise
        self.ended.put_nowait("answered")

    async def slow(self, receive, send):
        await asyncio.sleep(60)

    async def listening(self, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    async def streaming(self, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(3):
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": number < 2})
            await asyncio.sleep(0.01)


def test_the_server_stops_working_when_the_callers_time_is_over():
    async def main():
        shop = Shop()
        async with served(PolicyMiddleware(shop)) as url:
            transport = PolicyTransport(Pipeline(timeout="300 ms"))
            async with httpx.AsyncClient(transport=transport) as client:
                with contextlib.suppress(httpx.TimeoutException):  # its own clock, or the server's 504: a race
                    assert (await client.get(f"{url}/slow")).status_code == 504
            return await asyncio.wait_for(shop.ended.get(), 10)

    assert asyncio.run(main()) == "CancelledError"


def test_what_is_too_much_is_refused_and_repeated_after_its_time():
    async def main():
        shop = Shop()
        around = Pipeline(bulkhead={"in_flight": 1})
        async with served(PolicyMiddleware(shop, around)) as url:
            transport = PolicyTransport(Pipeline(retry={"attempts": 2}))
            async with httpx.AsyncClient(transport=transport) as client, httpx.AsyncClient() as other:
                holding = asyncio.create_task(other.get(f"{url}/slow", headers={"grpc-timeout": "500m"}))
                await asyncio.wait_for(shop.begun.wait(), 10)
                response = await client.get(f"{url}/streaming")  # 503, a second later 200
                await holding
        return response, around.counts.rejected_by_bulkhead

    response, refused = asyncio.run(main())
    assert (response.status_code, response.content, refused) == (200, b"012", 1)
    assert SHOULD_RETRY not in response.headers


def test_a_caller_who_hangs_up_counts_nowhere():
    async def main():
        shop = Shop()
        around = Pipeline(circuit_breaker={"failures": 1}, bulkhead={"in_flight": 1})
        async with served(PolicyMiddleware(shop, around)) as url, httpx.AsyncClient() as client:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.get(f"{url}/listening")
            ended = await asyncio.wait_for(shop.ended.get(), 10)
        return ended, around

    ended, around = asyncio.run(main())
    assert ended == "answered"
    assert around.state("circuit_breaker") == circuit_breaker.State()
    assert around.state("bulkhead").in_flight_count == 0
