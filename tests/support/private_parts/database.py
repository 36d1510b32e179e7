"""Checks of the private parts of PyMySQL and SQLAlchemy.

In the docstrings, "it" is the private part that a function checks.
"""

import socket
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from operator import attrgetter
from typing import Any
from unittest import mock

import pytest
from pymysql import connections
from pymysql.err import OperationalError
from sqlalchemy import QueuePool, create_engine, event
from sqlalchemy.exc import DisconnectionError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.util import queue

from app.database import driver
from app.database.deadline import Limits
from tests.support.private_parts.checks import fits

# Packets of a MySQL server that has no optional capabilities.
GREETING, OK = b"\x0a9.7.0\0" + bytes(44), bytes(7)
COLUMN = b"\3def\0\0\0\1a\1a\x0c" + struct.pack("<HIBHB2x", 63, 11, 3, 0, 0)
END_OF_FILE = b"\xfe\0\0\2\0"
# The results of two statements in one packet: a row, and the number of rows of an INSERT.
ROWS = (b"\1", COLUMN, END_OF_FILE, b"\0011", b"\xfe\0\0\x0a\0")
INSERTED = (b"\0\0\0\2\0\0\0+Records: 12  Duplicates: 3  Warnings: 0",)


@contextmanager
def mysql_connection() -> Iterator[tuple[driver.Connection, socket.socket, socket.socket]]:
    """Yield a connection that was opened with a read time-out of 9 s, and both ends of its socket.

    Its limits have replaced that time-out by 0.25 s.
    """
    limits = Limits(1, 0.25, 1)
    options = {"ssl_disabled": True, "autocommit": None, "read_timeout": 9}
    client, server = socket.socketpair()
    with client, server:
        send_packets(server, GREETING, first=0)
        send_packets(server, OK, first=2)
        send_packets(server, OK)
        connection = driver.Connection(limits, user="a", defer_connect=True, **options)
        connection.connect(client)
        yield connection, client, server


def send_packets(server: socket.socket, *packets: bytes, first: int = 1) -> None:
    """Send packets as a MySQL server, numbered from `first`."""
    for number, packet in enumerate(packets, first):
        server.sendall(struct.pack("<I", len(packet) | number << 24) + packet)


def greeting(name: str) -> None:
    """Check that it reads the server's greeting, with its version, before the client logs in."""
    fits(driver.AnyConnection, connections.Connection)(name)
    client, server = socket.socketpair()
    connection = driver.AnyConnection(user="a", defer_connect=True, ssl_disabled=True)
    with client, server:
        send_packets(server, GREETING.replace(b"9.7.0", b"8.3.0"), first=0)
        with pytest.raises(driver.WrongServerError):
            connection.connect(client)


def read_timeout(name: str) -> None:
    """Check that it is the time-out for each answer, and that setting it takes effect."""
    with mysql_connection() as (connection, client, server):
        assert client.gettimeout() == getattr(connection, name) == 0.25
        connection.limits = Limits(1, 0.125, 1)
        send_packets(server, OK)
        connection.query("SELECT 1")
        assert client.gettimeout() == getattr(connection, name) == 0.125


def mysql_socket(name: str) -> None:
    """Check that it is the socket, whose state shows whether the server has closed it."""
    with mysql_connection() as (connection, client, server):
        assert getattr(connection, name) is client
        driver.prepare_checkout(connection, None, None)
        server.shutdown(socket.SHUT_WR)
        with pytest.raises(DisconnectionError):
            driver.prepare_checkout(connection, None, None)


def execute_command(name: str) -> None:
    """Check that every command calls it, and that ours accepts the library's parameters."""
    fits(driver.Connection, connections.Connection)(name)
    for method, arguments in (("query", ["SELECT 1"]), ("commit", []), ("begin", [])):
        with mysql_connection() as (connection, _, _):
            connection.deadline = 0.0
            with pytest.raises(PoolTimeoutError):
                getattr(connection, method)(*arguments)
            assert not connection.open


def force_close(name: str) -> None:
    """Check that it closes the connection without sending anything."""
    with mysql_connection() as (connection, _, server):
        server.recv(10_000)
        getattr(connection, name)()
        assert not connection.open
        assert server.recv(1) == b""


def parsed_columns(name: str) -> None:
    """Check that a column is parsed only once, although the server describes it twice."""
    cache = getattr(connections, name)
    with mysql_connection() as (connection, _, server):
        before = cache.cache_info().hits
        for _ in range(2):
            send_packets(server, b"\1", COLUMN, END_OF_FILE, b"\0011", END_OF_FILE)
            connection.query("SELECT 1")
        assert cache.cache_info().hits > before


def message_of_result(name: str) -> None:
    """Check that it has the number of rows of an INSERT, and that its result has a time-out."""
    statements = "SELECT 1; INSERT INTO a SELECT 1"
    with mysql_connection() as (connection, client, server):
        send_packets(server, *ROWS, *INSERTED)
        assert connection.find_and_insert(statements, {}) == (1, 12)
        assert attrgetter(name)(connection) == b"+Records: 12  Duplicates: 3  Warnings: 0"
        send_packets(server, *ROWS)
        connection.limits = Limits(1, 0.125, 1)
        with pytest.raises(OperationalError, match="timed out"):
            connection.find_and_insert(statements, {})
        assert client.gettimeout() == 0.125


def handle_exception(name: str) -> None:
    """Check that it translates the driver's error, and closes the connection if that is lost."""
    engine = create_engine("sqlite://", poolclass=QueuePool)
    handled = []
    event.listen(engine, "handle_error", lambda context: handled.append(context.statement))
    with engine.connect() as connection:
        with pytest.raises(IntegrityError, match="INSERT"):
            getattr(connection, name)(sqlite3.IntegrityError(), "INSERT", None, None, None)
        assert handled == ["INSERT"]
        assert not connection.invalidated
    engine.dispose()


def queue_class(name: str) -> None:
    """Check that a pool creates its queue from this class."""
    made = mock.Mock(wraps=queue.Queue)
    type("Pool", (QueuePool,), {name: made})(mock.Mock, pool_size=3, use_lifo=True)
    made.assert_called_once_with(3, use_lifo=True)


def pool_timeout(name: str) -> None:
    """Check that a pool reads this attribute each time before it waits."""
    waits = []

    class EmptyQueue(queue.Queue[Any]):
        def get(self, _block: bool = True, timeout: float | None = None) -> Any:
            waits.append(timeout)
            raise queue.Empty

    timeout = property(lambda _: 0.125, lambda *_: None)
    pool = type("Pool", (QueuePool,), {"_queue_class": EmptyQueue, name: timeout})
    with closing(pool(mock.Mock).connect()):
        assert waits == [0.125]


def logging_name(name: str) -> None:
    """Check that a pool keeps the name that its engine gave it."""
    assert getattr(QueuePool(mock.Mock, logging_name="a"), name) == "a"


def queue_mutex(name: str) -> None:
    """Check that the queue's own methods hold this lock."""
    lock, own = mock.MagicMock(), queue.Queue[Any]()
    setattr(own, name, lock)
    own.qsize()
    lock.__enter__.assert_called_once()
