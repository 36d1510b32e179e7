"""Connections to the database: their number and their time-outs. No test needs a database."""

import socket
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import QueuePool, make_url
from sqlalchemy.exc import DisconnectionError, OperationalError

from app.config import Settings
from app.database import Database
from app.database.deadline import SHORT_LIMITS, Budget, budget
from app.database.driver import Connection, prepare_checkout
from tests.support.checkout import ROOT
from tests.support.environ import bare_environ

MAX_CONNECTIONS = 151  # MySQL's default


def test_two_replicas_fit_into_mysql() -> None:
    """The pools of two replicas leave connections for other clients of MySQL, such as an import."""
    settings = Settings(make_url("mysql+pymysql://app@db/slipway"))
    database = Database(settings)
    engines = (
        database.autocommit,
        database.packets,
        database.transactional,
        database.long_autocommit,
        database.long_transactional,
    )
    pools: list[Any] = [engine.pool for engine in engines]
    assert all(isinstance(pool, QueuePool) for pool in pools)
    connections = sum(pool.size() + pool._max_overflow for pool in pools)
    assert 2 * settings.web_concurrency * connections < MAX_CONNECTIONS


# Prints the seconds that a connection attempt takes in a request that has already waited for 1.6 s.
CONNECT = """
from gevent import monkey
monkey.patch_all()
import sys, time
from sqlalchemy import make_url, text
from app.config import Settings
from app.database import Database
from app.database.deadline import Budget, budget
from app.database.errors import UNAVAILABLE

database = Database(Settings(make_url(sys.argv[1])))
budget.set(Budget(spent=1.6))
began = time.monotonic()
try:
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
except UNAVAILABLE:
    print(time.monotonic() - began)
"""


def test_a_connection_takes_no_longer_than_the_request_has() -> None:
    """Connecting to a silent server takes no longer than what is left of a request's 1.8 s."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mysql+pymysql://app@127.0.0.1:{silent.getsockname()[1]}/slipway"
        command = [sys.executable, "-c", CONNECT, url]
        took = float(subprocess.check_output(command, cwd=ROOT, env=bare_environ()))
    assert took < 1


def test_failed_connection_ends_its_charge() -> None:
    """If no connection can be opened, the request's time budget stops running."""
    database = Database(Settings(make_url("mysql+pymysql://app@127.0.0.1:9/slipway")))
    current = Budget()
    token = budget.set(current)
    try:
        with pytest.raises(OperationalError), database.read():
            pass
    finally:
        budget.reset(token)
    assert current.charging_since is None
    assert current.spent > 0


def test_new_connection_is_used_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the primary changes while a connection is opened, it is replaced at its second use.

    At its first use, SQLAlchemy would give up with an error that is not one of the database.
    """
    connection = Connection(SHORT_LIMITS, defer_connect=True)
    here, there = socket.socketpair()
    with here, there:
        connection._sock = here
        monkeypatch.setattr(Connection, "outdated", connection.opened + 1)
        prepare_checkout(connection, None, None)
        with pytest.raises(DisconnectionError):
            prepare_checkout(connection, None, None)
        connection._sock = None
