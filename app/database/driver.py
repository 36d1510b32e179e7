"""PyMySQL with verified TLS, a deadline for each use of a connection, and one patch.

Only this module uses private names of PyMySQL. tests/unit/test_private_parts.py lists them.
"""

import math
import re
import ssl
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache, lru_cache, partial
from select import POLLIN
from typing import Any

from gevent import Timeout
from gevent.monkey import get_original
from sqlalchemy import Dialect, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.config import Settings
from app.database.deadline import Limits, budget, time_left

# PyMySQL imports cryptography, if it is installed, to send passwords without TLS. The service uses
# TLS always, and the module takes 11 MB of memory.
loaded = sys.modules.get("cryptography")
sys.modules["cryptography"] = None  # type: ignore[assignment]  # Python's way to forbid an import

from pymysql import connections  # noqa: E402
from pymysql.constants import FIELD_TYPE  # noqa: E402
from pymysql.converters import conversions  # noqa: E402
from pymysql.err import NotSupportedError  # noqa: E402

if loaded:
    sys.modules["cryptography"] = loaded
else:
    del sys.modules["cryptography"]

from app.database import hosts  # noqa: E402
from app.database.errors import READ_ONLY  # noqa: E402

CONNECT_TIMEOUT = 1.0  # seconds to open a TCP connection to the server
METADATA_LOCK_TIMEOUT = 2  # seconds to wait for a table while a migration changes it
# Seconds without a statement until MySQL ends a session. This releases the locks of a client that
# has vanished.
IDLE_SESSION_TIMEOUT = 60
OLDEST_SERVER = (8, 4)
SETTLED = 5  # seconds after which a new connection tells of other connections too

# `fromisoformat` takes a tenth of the time of PyMySQL's own converter, a regular expression.
CONVERTERS = conversions | {FIELD_TYPE.DATETIME: datetime.fromisoformat}

# Not gevent's version, which switches to its loop even with a time-out of 0.
poll = get_original("select", "poll")

# The only patch of PyMySQL. MySQL sends a description of each column with each result. Parsing the
# same description every time would cost more than parsing the rows, so it is cached.
connections.FieldDescriptorPacket = lru_cache(connections.FieldDescriptorPacket)


class WrongServerError(NotSupportedError):
    """The server is not MySQL 8.4 or newer."""


class AnyConnection(connections.Connection):
    """A connection without time limits, only to MySQL 8.4 or newer.

    MariaDB and older versions lack statements and limits that the service needs. Connecting to one
    raises WrongServerError, even if the server doesn't accept the account.
    """

    def _get_server_information(self) -> None:
        super()._get_server_information()
        version = re.match(r"(\d+)\.(\d+)", self.server_version)
        is_old = not version or (int(version[1]), int(version[2])) < OLDEST_SERVER
        if is_old or "MariaDB" in self.server_version:
            raise WrongServerError(
                f"the database must be MySQL 8.4 or newer; this server is {self.server_version}"
            )


class Connection(AnyConnection):
    """A connection whose read time-out never exceeds the time that its request has left.

    Only one greenlet or thread may use it at a time. SQLAlchemy's events for statements and commits
    could set the time-out too, but they would cost more.

    A statement raises `sqlalchemy.exc.TimeoutError` if the request has no time left.
    """

    deadline = math.inf  # as time.monotonic(); `prepare_checkout` sets it for each use
    used = False
    primary = ("", 0)  # the address, among several hosts
    outdated = 0.0
    """When this process noticed that another server is the primary, as time.monotonic(). No pool
    hands out connections that are older: their server may accept no writes."""

    def __init__(self, limits: Limits, *args: Any, **options: Any) -> None:
        self.limits = limits
        self.opened = time.monotonic()
        super().__init__(*args, **options)

    def _execute_command(self, command: int, sql: str | bytes) -> None:
        self._limit_answer()
        super()._execute_command(command, sql)

    def next_result(self, unbuffered: bool = False) -> int:
        """Read the result of the next statement in the same packet, in the time that is left."""
        self._limit_answer()
        return int(super().next_result(unbuffered))

    def _limit_answer(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            self._force_close()  # MySQL then rolls back; a ROLLBACK statement would take time
            raise PoolTimeoutError("The request has no time left for the database.")
        # PyMySQL has no public way to change the time-out of an open connection.
        self._read_timeout = min(self.limits.answer, left)

    def find_and_insert(self, statements: str, values: Mapping[str, Any]) -> tuple[Any, int]:
        """Run a SELECT of one value and an INSERT … SELECT, in one packet.

        Return the value, None if there is no row, and the number of rows that the INSERT has
        inserted or updated.
        """
        with self.cursor() as cursor:
            cursor.execute(statements, values)
            [value] = cursor.fetchone() or [None]
            cursor.nextset()
            # "Records: 2  Duplicates: 1  Warnings: 0", in the server's language.
            [records, *_] = re.findall(rb": *(\d+)", self._result.message)
            return value, int(records)

    def rollback(self) -> None:
        """Roll back, unless the connection is closed or no time is left: then MySQL does it."""
        if self.open:
            with suppress(PoolTimeoutError):
                super().rollback()


def connect(limits: Limits, _dialect: Dialect, _record: Any, args: Any, options: Any) -> Connection:
    """Open a connection in the time that the request has left, including name resolution.

    It handles SQLAlchemy's event `do_connect`; `limits` is bound by functools.partial. Without
    gevent's monkey patch, only PyMySQL's own time-outs limit it: see `connect_arguments`.

    :raises sqlalchemy.exc.TimeoutError: the connection was not open in time.
    """
    within = max(min(limits.answer, time_left(limits)), 0)
    with Timeout(within, PoolTimeoutError("Timed out connecting to the database.")):
        opened = hosts.connect(partial(Connection, limits, *args), within, options)
    address = (opened.host, opened.port)
    if "," in options["host"] and address != Connection.primary:
        Connection.primary, Connection.outdated = address, opened.opened
    return opened


def prepare_checkout(connection: Connection, _record: object, _proxy: object) -> None:
    """Set the deadline of a connection that the pool hands out.

    It handles SQLAlchemy's event `checkout`. It also replaces `pool_pre_ping`: MySQL sends nothing
    on an idle connection, so if its socket is readable, the server has closed it. Unlike a ping,
    this costs no round trip, and it doesn't wait for a server that hangs.

    :raises sqlalchemy.exc.DisconnectionError: the server has closed the connection, or is no longer
        the primary. The pool then opens another one.
    """
    socket = poll()
    if connection.open:
        socket.register(connection._sock, POLLIN)
    is_old = not connection.open or connection.opened < Connection.outdated or socket.poll(0)
    if is_old and connection.used:  # SQLAlchemy would end with another error if the new one is old
        raise DisconnectionError
    connection.used = True
    connection.deadline = math.inf
    if budget.get():
        connection.deadline = time.monotonic() + time_left(connection.limits)


def leave_server(context: ExceptionContext) -> None:
    """Close a connection whose server does not accept writes, because another one may do so.

    It handles SQLAlchemy's event `handle_error`. If the connection had been open for a while, its
    server has changed, so all pools replace their connections. Otherwise a server that stays
    read-only would cost that at each write. They also do so if the primary among several hosts does
    not answer: it may go on later, and not know yet that there is another one.
    """
    code, *_ = (*context.original_exception.args, None)
    is_read_only = code in READ_ONLY
    if not context.connection or not (is_read_only or context.is_disconnect):
        return
    connection: Any = context.connection.connection.dbapi_connection
    if is_read_only:
        context.is_disconnect, context.invalidate_pool_on_disconnect = True, False
    elif (connection.host, connection.port) != Connection.primary:
        return
    if time.monotonic() - connection.opened > SETTLED:
        Connection.outdated = time.monotonic()


def connect_arguments(settings: Settings, limits: Limits) -> dict[str, Any]:
    """Return PyMySQL's arguments for all connections of an engine."""
    return {
        "conv": CONVERTERS,
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": limits.answer,
        "write_timeout": limits.answer,
        # A client's time-out does not stop a SELECT on the server. max_execution_time does, which
        # is in milliseconds; all others are in seconds. READ COMMITTED takes fewer gap locks, so it
        # causes fewer deadlocks.
        "init_command": f"""SET SESSION max_execution_time={limits.answer * 1000:.0f},
            innodb_lock_wait_timeout=1, lock_wait_timeout={METADATA_LOCK_TIMEOUT},
            wait_timeout={IDLE_SESSION_TIMEOUT}, time_zone='+00:00',
            transaction_isolation='READ-COMMITTED'""",
        **tls_arguments(settings),
    }


def tls_arguments(settings: Settings) -> dict[str, Any]:
    """Return PyMySQL's argument for TLS that verifies the server's certificate and host name.

    All connections share one SSLContext. By default PyMySQL creates one for each connection, which
    takes ten times as long as the rest of connecting.
    """
    return {"ssl": _tls_context(settings.database_ca_file)}


@cache
def _tls_context(cafile: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cafile)
