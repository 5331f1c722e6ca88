"""Connections for threads: each thread that asks has one meanwhile, and waits for its answer."""

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tenfold.stores.redis.lane import unavailable
from tenfold.stores.redis.lanes import ABANDONED

if TYPE_CHECKING:
    from redis.connection import AbstractConnection


class BlockingConnections:
    """As many connections to one server as threads ask at the same time; none is connected before it is needed.

    Args:
        make: makes a connection of redis-py with a time limit of its own, and without second tries.
        place: the server's name in errors.
    """

    def __init__(self, make: Callable[[], "AbstractConnection"], place: str) -> None:
        self._make = make
        self._place = place
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._free: list[Any] = []  # AbstractConnection, whose methods carry no types

    def ask(self, commands: bytes, count: int = 1) -> Any:
        """Send commands and wait for their answers.

        Args:
            commands: one or more, as the protocol has them.
            count: how many they are.

        Returns:
            The answer, or the list of answers when there are several; an error the server answers is an answer.

        Raises:
            StoreUnavailable: there is none.
        """
        from redis.exceptions import RedisError

        connection = self._taken()
        try:
            _connected(connection)
            connection.send_packed_command([commands], check_health=False)
            answers = [_answer(connection) for _ in range(count)]
        except (RedisError, OSError) as error:
            connection.disconnect()
            raise unavailable(self._place, error) from error
        except BaseException:  # such as an interrupt: an answer may still come, for nobody
            connection.disconnect()
            raise
        finally:
            self._free.append(connection)
        return answers if count > 1 else answers[0]

    def _taken(self) -> Any:
        """A connection nobody uses: the one used last, as it is the most likely to be alive."""
        if self._pid != os.getpid():  # a child made by fork: the parent's connections are the parent's
            ABANDONED.append(self._free)
            self._start()
        with self._lock:
            return self._free.pop() if self._free else self._make()

    def close(self) -> None:
        """Disconnect those that nobody uses."""
        with self._lock:
            free, self._free = self._free, []
        for connection in free:
            connection.disconnect()


def _connected(connection: Any) -> None:
    """Connect if it is not, or if the server hung up or has sent what nobody asked for."""
    if connection._sock is not None and _is_spent(connection):
        connection.disconnect()
    connection.connect()


def _is_spent(connection: Any) -> bool:
    from redis.exceptions import RedisError

    try:
        return bool(connection.can_read(timeout=0))
    except (RedisError, OSError):  # it had ended already
        return True


def _answer(connection: Any) -> Any:
    """What the server answers to one command, be it an error."""
    from redis.exceptions import ConnectionError as Broke
    from redis.exceptions import ResponseError

    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        if isinstance(error, Broke):  # it is loading, or shutting down: no answer
            raise
        return error
