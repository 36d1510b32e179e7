"""A connection that stays with its user between two uses."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DisconnectionError

from app.database.deadline import charge_time
from app.database.driver import prepare_checkout

KEEP = 0.2  # seconds


class KeptConnection:
    """Keeps a connection from one use to the next, because each trip to the pool costs CPU time.

    After KEEP, or an error, it goes back to the pool, which checks its age and measures its use.
    One to SQLite goes back at once. Only one greenlet or thread at a time may use it; any may call
    `release`, and one should do so regularly.

    :param engine: an engine in autocommit mode, which nobody else uses.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: deque[Connection] = deque()  # at most one
        self._until = 0.0  # as time.monotonic()

    @contextmanager
    def use(self) -> Iterator[Connection]:
        """Lend an open connection, which has the time that the current request has left.

        :raises sqlalchemy.exc.SQLAlchemyError: the pool had no connection in time.
        """
        connection = self._take() or self._connect()
        with charge_time():
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
        self._kept.append(connection)
        self.release()

    def release(self) -> None:
        """Return the connection to the pool, if it is not in use, and was kept long enough."""
        if time.monotonic() >= self._until and (kept := self._pop()):
            kept.close()

    def _connect(self) -> Connection:
        connection = self._engine.connect()
        is_mysql = self._engine.dialect.name == "mysql"
        self._until = time.monotonic() + KEEP if is_mysql else 0
        return connection

    def _take(self) -> Connection | None:
        if kept := self._pop():
            connected: Any = kept.connection.driver_connection
            try:
                prepare_checkout(connected, None, None)
            except DisconnectionError:
                kept.close()  # the pool replaces it
            else:
                return kept
        return None

    def _pop(self) -> Connection | None:
        with suppress(IndexError):  # atomic: two threads can get here
            return self._kept.pop()
        return None
