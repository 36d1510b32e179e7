"""PyMySQL as the service uses it: verified TLS, a deadline for each connection, and its patches.

Everything that relies on private parts of PyMySQL is here; tests/unit/test_private_parts.py names
each of them.
"""

import math
import ssl
import time
from contextlib import suppress
from datetime import datetime
from functools import cache, lru_cache
from select import POLLIN
from typing import Any

from gevent import Timeout
from gevent.monkey import get_original
from pymysql import connections
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions
from sqlalchemy import Dialect
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.config import Settings
from app.database.deadline import Limits, budget, time_left

CONNECT_TIMEOUT = 1.0  # seconds for a connection from the server
METADATA_LOCK_TIMEOUT = 2  # seconds for a table that a migration also waits for
IDLE_SESSION_TIMEOUT = 60  # seconds until the server ends a session, with its locks, without client

# Times are read by a function that costs a tenth of PyMySQL's regular expression.
CONVERTERS = conversions | {FIELD_TYPE.DATETIME: datetime.fromisoformat}

poll = get_original("select", "poll")  # gevent's would switch to its loop, even without a wait

# The only patch of PyMySQL. The server describes each column again with each answer. To parse the
# same bytes again costs more than to parse the rows.
connections.FieldDescriptorPacket = lru_cache(connections.FieldDescriptorPacket)


class Connection(connections.Connection):
    """A connection whose read time-out never exceeds the time that its request has left.

    Used by one greenlet or thread at a time. SQLAlchemy's events for statements and commits could
    do the same, but would cost more for each of them.
    """

    deadline = math.inf  # of time.monotonic(); `prepare_checkout` sets it for each use

    def __init__(self, limits: Limits, *args: Any, **options: Any) -> None:
        self.limits = limits
        super().__init__(*args, **options)

    def _execute_command(self, command: int, sql: str | bytes) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            self._force_close()  # a rollback would take time too; MySQL does it by itself
            raise PoolTimeoutError("The request has used up its time with the database.")
        # No public way to change it for a connection that is open.
        self._read_timeout = min(self.limits.answer, left)
        super()._execute_command(command, sql)

    def rollback(self) -> None:
        """Roll back, or leave that to MySQL, which rolls back when a connection closes."""
        if self.open:
            with suppress(PoolTimeoutError):
                super().rollback()


def connect(limits: Limits, _dialect: Dialect, _record: Any, args: Any, options: Any) -> Connection:
    """Open a connection in the time that the request has left, name resolution included.

    SQLAlchemy's event `do_connect`, with the limits in front.
    """
    within = max(min(limits.answer, time_left(limits)), 0)
    with Timeout(within, PoolTimeoutError("The database takes too long to accept a connection.")):
        return Connection(limits, *args, **options)


def prepare_checkout(connection: Connection, _record: object, _proxy: object) -> None:
    """Give a connection of the pool its new deadline, or discard it if the server has closed it.

    SQLAlchemy's event `checkout`. An idle MySQL sends nothing, so a socket that can be read was
    closed by the server. Unlike a ping, this costs no round trip, and no time-out where the server
    hangs.
    """
    socket = poll()
    if connection.open:
        socket.register(connection._sock, POLLIN)
    if not connection.open or socket.poll(0):
        raise DisconnectionError
    connection.deadline = math.inf
    if budget.get():
        connection.deadline = time.monotonic() + time_left(connection.limits)


def connect_arguments(settings: Settings, limits: Limits) -> dict[str, Any]:
    """Return the arguments with which PyMySQL opens every connection of an engine."""
    return {
        "conv": CONVERTERS,
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": limits.answer,
        "write_timeout": limits.answer,
        # The client's time-out does not stop a SELECT on the server, max_execution_time does.
        "init_command": f"""SET SESSION max_execution_time={limits.answer * 1000:.0f},
            innodb_lock_wait_timeout=1, lock_wait_timeout={METADATA_LOCK_TIMEOUT},
            wait_timeout={IDLE_SESSION_TIMEOUT}, time_zone='+00:00'""",
        **tls_arguments(settings),
    }


def tls_arguments(settings: Settings) -> dict[str, Any]:
    """Return PyMySQL's argument for TLS that verifies the server's chain and name.

    All connections share one context: by default PyMySQL makes one for each, which costs ten times
    as much as the rest of a connect.
    """
    return {"ssl": _tls_context(settings.database_ca_file)}


@cache
def _tls_context(cafile: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cafile)
