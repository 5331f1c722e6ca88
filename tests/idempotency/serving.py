"""A service for tests with real servers: `serving.py STORE WHERE EFFECTS WAIT` serves it in this process."""

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

import uvicorn
from keyed_stores import made
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tenfold.idempotency import IdempotencyMiddleware, everyone

PAUSE_S = 0.02


class Stamping(BaseHTTPMiddleware):
    """A middleware of the kind that streams every answer."""

    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-stamp"] = "1"
        return response


def shop(effects, takes_s=0.0):
    """Routes that write a line into the file for each run."""

    def ran(name):
        with Path(effects).open("a") as file:
            file.write(name + "\n")

    async def pay(request):
        ran("pay")
        await request.json()
        await asyncio.sleep(takes_s)
        response = JSONResponse({"paid": True}, 201)
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    async def status(request):
        ran("status")
        return Response(b"" if request.path_params["code"] == 204 else b"\x00\xff", request.path_params["code"])

    async def stream(request):
        async def chunks():
            for number in range(5):
                yield b"data: %d\n\n" % number
                await asyncio.sleep(PAUSE_S)

        ran("stream")
        return StreamingResponse(chunks(), media_type=request.query_params.get("media", "text/event-stream"))

    routes = [
        Route("/pay", pay, methods=["POST"]),
        Route("/status/{code:int}", status, methods=["POST"]),
        Route("/stream", stream, methods=["POST", "GET"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Stamping)])


@contextlib.asynccontextmanager
async def served(app):
    """The application on a port of loopback; its URL."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_config=None))
        task = asyncio.create_task(server.serve([listening]))
        async with asyncio.timeout(20):
            while not server.started:
                await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def serve(name, where, effects, wait):
    """Serve until standard input ends; the URL is the first line printed."""
    store = made(name, where)
    app = IdempotencyMiddleware(shop(effects, takes_s=0.3), store, scope=everyone, wait=wait)
    async with served(app) as url:
        print(url, flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)
    await store.close()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
