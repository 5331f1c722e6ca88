"""What processes tell each other: which keys were loaded or changed, over one channel and one connection per process.

A message that is missed is missed for good, so a listener is told whenever some may have been: the connection broke, or
a server that no longer answers was found out by its silence.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tenfold.runtime.time_limit import TimeLimit

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

Told = Callable[[str, bool], None]
Lost = Callable[[], None]

VERSION = b"1"
SENDER_BYTES = 8
KEYS_MAX = 1_000  # of one message
PING_NS = 1_000_000_000  # a connection that is silent for so long is asked whether it is still there
PAUSE_MIN_S, PAUSE_MAX_S = 0.02, 0.5  # between attempts to connect


def messages(sender: bytes, keys: Sequence[str], is_change: bool) -> Iterator[bytes]:
    """The messages that announce the keys: version, sender, kind, then each key with its length."""
    start = VERSION + sender + (b"c" if is_change else b"l")
    for first in range(0, len(keys), KEYS_MAX):
        yield start + b"".join(_with_length(key.encode()) for key in keys[first : first + KEYS_MAX])


def _with_length(key: bytes) -> bytes:
    return len(key).to_bytes(4, "little") + key


def read(message: bytes) -> tuple[bytes, bool, list[str]] | None:
    """Sender, whether it is a change, and the keys; None for a message of another kind."""
    at = len(VERSION) + SENDER_BYTES + 1
    if len(message) < at or not message.startswith(VERSION):
        return None
    sender, is_change, keys = message[len(VERSION) : at - 1], message[at - 1 : at] == b"c", []
    while at < len(message):
        end = at + 4 + int.from_bytes(message[at : at + 4], "little")
        if end > len(message):
            return None
        keys.append(message[at + 4 : end].decode(errors="replace"))
        at = end
    return sender, is_change, keys


class Subscription:
    """Listens on one channel while anybody wants to hear, and connects again as often as needed.

    Args:
        connect: makes a connection of redis-py, not connected, without time limits and retries of its own.
        channel: its name.
        sender: whose messages are not passed on.
        limit_ns: how long the server may take to answer.
        ping_ns: silence after which it is asked.
    """

    def __init__(
        self,
        connect: Callable[[], "AbstractConnection"],
        channel: bytes,
        sender: bytes,
        limit_ns: int,
        ping_ns: int = PING_NS,
    ) -> None:
        self._connect = connect
        self._channel = channel
        self._sender = sender
        self._limit_ns = limit_ns
        self._ping_ns = ping_ns
        self._listeners: list[tuple[Told, Lost]] = []
        self._task: asyncio.Task[None] | None = None
        self._is_on = asyncio.Event()

    async def add(self, told: Told, lost: Lost) -> None:
        """Pass messages on to one more; waits for the subscription, at most as long as the server may take.

        When there is none by then, `lost` is called, and once more when it is there.
        """
        self._listeners.append((told, lost))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="tenfold redis subscription")
        try:
            with TimeLimit(self._limit_ns):
                await self._is_on.wait()
        except TimeoutError:
            _call(lost)
        except asyncio.CancelledError:
            await self.remove(told, lost)
            raise

    async def remove(self, told: Told, lost: Lost) -> None:
        """One listener less; after the last the connection is given back."""
        if (told, lost) in self._listeners:
            self._listeners.remove((told, lost))
        if not self._listeners:
            await self.close()

    async def close(self) -> None:
        """End, with nobody listening any more."""
        self._listeners.clear()
        self._is_on = asyncio.Event()  # another: it belongs to the loop it was waited for in
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        """Listen; after trouble pause, a little longer each time it is in vain, and listen again."""
        pause_s, has_been_on = PAUSE_MIN_S, False
        while True:
            try:
                await self._listen(is_again=has_been_on)
            except Exception:  # whatever it is, the remedy is the same: another connection
                if self._is_on.is_set():
                    self._is_on.clear()
                    self._say_lost()
                    pause_s = PAUSE_MIN_S
            has_been_on = True
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def _listen(self, *, is_again: bool) -> None:
        """One connection, from its subscription to its end, which is an exception."""
        connection = self._connect()
        try:
            with TimeLimit(self._limit_ns):
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command("SUBSCRIBE", self._channel)
                await connection.read_response(disable_decoding=True)
            self._is_on.set()
            if is_again:
                self._say_lost()
            while True:
                self._pass_on(await self._next(connection))
        finally:
            await connection.disconnect(nowait=True)

    async def _next(self, connection: "AbstractConnection") -> Any:
        """What comes next; a silent server is asked, and given up when it does not answer that."""
        for limit_ns in (self._ping_ns, self._limit_ns):
            answer = await connection.read_response(
                disable_decoding=True, timeout=limit_ns / 1e9, disconnect_on_error=False
            )
            if answer is not None:
                return answer
            await connection.send_command("PING", check_health=False)
        raise TimeoutError(f"silent for {self._ping_ns + self._limit_ns} ns")

    def _pass_on(self, answer: Any) -> None:
        """Tell the listeners, when it is a message of another process."""
        if not isinstance(answer, list) or answer[0] != b"message":
            return
        message = read(answer[2])
        if message is None:
            self._say_lost()  # somebody speaks another version
        elif message[0] != self._sender:
            for told, _ in tuple(self._listeners):
                for key in message[2]:
                    _call(told, key, message[1])

    def _say_lost(self) -> None:
        """Tell the listeners that they may have missed something."""
        for _, lost in tuple(self._listeners):
            _call(lost)


def _call(listener: Callable[..., None], *arguments: Any) -> None:
    """Call a listener; its own mistakes are the loop's to report, and no reason to connect again."""
    try:
        listener(*arguments)
    except Exception as error:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a listener of the store in Redis raised", "exception": error}
        )
