"""Over real servers: Starlette with a middleware of its own kind, streams, several processes."""

import asyncio
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from keyed_stores import place, unique
from serving import PAUSE_S, served, shop

from tenfold.idempotency import IdempotencyMiddleware, MemoryStore, everyone

HERE = Path(__file__).resolve().parent
FIRST_LATER_AT_MOST_S = 0.02


def keyed(key="k", **more):
    return {"idempotency-key": key, "content-type": "application/json; charset=utf-8", **more}


def run_over_server(tmp_path, test):
    """Run a test with a client of a server in this process; lines the application wrote."""
    effects = tmp_path / "effects"
    effects.touch()

    async def main():
        app = IdempotencyMiddleware(shop(effects), MemoryStore(), scope=everyone)
        async with served(app) as url, httpx.AsyncClient(base_url=url) as client:
            await test(client)

    asyncio.run(main())
    return effects.read_text().split()


def test_json_behind_a_middleware_that_streams_is_replayed_with_every_header(tmp_path):
    async def test(client):
        first, second = [await client.post("/pay", headers=keyed(), content=b'{"a": 1}') for _ in range(2)]
        assert (first.status_code, first.json(), first.headers["x-stamp"]) == (201, {"paid": True}, "1")
        assert (second.status_code, second.content) == (201, first.content)
        assert second.headers["idempotent-replayed"] == "true"
        assert second.headers.get_list("set-cookie") == first.headers.get_list("set-cookie")
        assert len(second.headers.get_list("set-cookie")) == 2

    assert run_over_server(tmp_path, test) == ["pay"]


@pytest.mark.parametrize("code", [200, 204, 400, 500])
def test_every_outcome_behind_it_is_replayed(tmp_path, code):
    async def test(client):
        first, second = [await client.post(f"/status/{code}", headers=keyed(), content=b"{}") for _ in range(2)]
        assert (first.status_code, second.status_code) == (code, code)
        assert (second.content, second.headers["idempotent-replayed"]) == (first.content, "true")

    assert run_over_server(tmp_path, test) == ["status"]


async def arrivals(url, **sent):
    """The chunks of a stream, and when the first arrived."""
    begun = time.perf_counter()
    chunks, first_s = [], None
    async with httpx.AsyncClient() as client, client.stream(url=f"{url}/stream", **sent) as response:
        async for chunk in response.aiter_raw():
            first_s = time.perf_counter() - begun if first_s is None else first_s
            chunks.append(chunk)
    return chunks, first_s, time.perf_counter() - begun


@pytest.mark.parametrize("media", ["text/event-stream", "application/octet-stream"])
def test_a_stream_arrives_whole_and_its_first_chunk_as_soon_as_without(tmp_path, media):
    effects = tmp_path / "effects"
    whole = b"".join(b"data: %d\n\n" % number for number in range(5))

    async def main():
        app, number = shop(effects), 0
        around = IdempotencyMiddleware(app, MemoryStore(), scope=everyone)
        ways = {"GET": {"method": "GET"}, "no key": {"method": "POST"}, "key": {"method": "POST"}}
        firsts = {way: [] for way in [*ways, "bare"]}
        async with served(around) as url, served(app) as bare_url:
            for _ in range(3):
                for way, sent in ways.items():
                    number += 1
                    headers = keyed(str(number)) if way == "key" else {}
                    chunks, first_s, all_s = await arrivals(url, params={"media": media}, headers=headers, **sent)
                    assert b"".join(chunks) == whole
                    assert len(chunks) == 5
                    assert all_s - first_s > 3 * PAUSE_S, "it was held back"
                    firsts[way].append(first_s)
                firsts["bare"].append((await arrivals(bare_url, method="POST", params={"media": media}))[1])
            replay, _, _ = await arrivals(url, method="POST", params={"media": media}, headers=keyed(str(number)))
            assert b"".join(replay) == whole
        for way in ways:
            assert min(firsts[way]) - min(firsts["bare"]) <= FIRST_LATER_AT_MOST_S

    asyncio.run(main())


def test_a_client_that_leaves_a_stream_can_send_its_key_again(tmp_path):
    async def test(client):
        async with client.stream("POST", "/stream", headers=keyed()) as response:
            await anext(response.aiter_raw())
        end_s = time.monotonic() + 5
        while (again := await client.post("/stream", headers=keyed())).status_code == 409:
            assert time.monotonic() < end_s
            await asyncio.sleep(0.02)
        assert again.content.count(b"data:") == 5

    assert run_over_server(tmp_path, test) == ["stream", "stream"]


# Several processes.


@contextlib.contextmanager
def processes(name, where, effects, wait):
    """Two processes of one service; their URLs."""
    command = [sys.executable, str(HERE / "serving.py"), name, where, str(effects), wait]
    environment = {"PYTHONPATH": f"{HERE.parent}:{HERE}"}
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    try:
        yield [process.stdout.readline().strip() for process in running]
    finally:
        for process in running:
            process.communicate(timeout=20)


@pytest.mark.parametrize(
    ("name", "wait"), [("sqlite", "0 s"), ("sqlite", "10 s"), ("postgres", "0 s"), ("redis", "10 s")]
)
def test_fifty_at_once_over_two_processes_run_once(name, wait, request, tmp_path):
    where, effects, key = place(name, request, tmp_path), tmp_path / "effects", unique("key")

    async def main(urls):
        async with httpx.AsyncClient(timeout=30) as client:

            async def post(number):
                return await client.post(f"{urls[number % 2]}/pay", headers=keyed(f'"{key}"'), content=b"{}")

            replies = await asyncio.gather(*(post(number) for number in range(50)))
            later = [await post(number) for number in range(2)]
        return replies, later

    with processes(name, where, effects, wait) as urls:
        replies, later = asyncio.run(main(urls))
    ran = [reply for reply in replies if "idempotent-replayed" not in reply.headers and reply.status_code == 201]
    others = {reply.status_code for reply in replies if reply not in ran}
    assert (len(ran), effects.read_text().split()) == (1, ["pay"])
    assert others == {409} if wait == "0 s" else others == {201}
    for reply in later:
        assert (reply.status_code, reply.content) == (201, ran[0].content)
        assert reply.headers.get_list("set-cookie") == ran[0].headers.get_list("set-cookie")
        assert reply.headers["idempotent-replayed"] == "true"
