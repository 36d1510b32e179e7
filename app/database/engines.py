"""SQLAlchemy engines for MySQL and SQLite, with pools that respect a request's time budget.

There are engines in autocommit mode, and engines for transactions. Any thread or greenlet may use
them.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pymysql.constants import CLIENT
from sqlalchemy import Engine, PoolProxiedConnection, QueuePool, create_engine, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.config import Settings
from app.database import driver, errors
from app.database.deadline import Limits, start_charging, stop_charging, time_left
from app.database.fair_queue import FairQueue
from app.telemetry import metrics

if TYPE_CHECKING:
    import sqlite3

# Seconds until the pool replaces a connection, so that connections follow the host name to a new
# address.
POOL_RECYCLE = 1800

SQLITE_FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""Python versions of MySQL functions that SQLite lacks, by their name in SQL.

A module adds the functions that its queries use, when it is imported."""


class Pool(QueuePool):
    """A pool that charges each wait for a connection, and its use, to the request's budget.

    Any thread or greenlet may use it. It relies on private names of SQLAlchemy, which
    tests/unit/test_private_parts.py lists.
    """

    limits: Limits  # set by each engine's subclass
    _queue_class = FairQueue

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_use = metrics.POOL_IN_USE.labels(self.logging_name)
        self._waited = metrics.POOL_WAIT_SECONDS.labels(self.logging_name)
        self._timeouts = metrics.POOL_TIMEOUTS.labels(self.logging_name)

    def connect(self) -> PoolProxiedConnection:
        """Return a connection, and measure the time to get it."""
        began = time.perf_counter()
        try:
            connection = super().connect()
        except PoolTimeoutError:
            self._timeouts.inc()
            raise
        self._waited.observe(time.perf_counter() - began)
        return connection

    # The next two methods are not event handlers, since SQLAlchemy's `checkout` comes too late:
    # after the wait, and only if there is a connection.
    def _do_get(self) -> Any:
        start_charging()
        try:
            record = super()._do_get()
        except BaseException:
            stop_charging()
            raise
        self._in_use.inc()
        return record

    def _do_return_conn(self, record: Any) -> None:
        stop_charging()
        self._in_use.dec()
        super()._do_return_conn(record)

    # Seconds to wait for a connection. QueuePool has a constant; here the time that the request
    # has left limits it.
    @property
    def _timeout(self) -> float:
        return max(min(self.limits.pool, time_left(self.limits)), 0)

    @_timeout.setter
    def _timeout(self, _value: float) -> None:
        pass  # ignore the constant, which QueuePool's constructor sets


def autocommit_engine(settings: Settings, name: str, limits: Limits, size: int) -> Engine:
    """Return an engine on which each statement commits itself, in one round trip."""
    autocommit = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
    return _engine(settings, name, limits, size, autocommit)


def packets_engine(settings: Settings, name: str, limits: Limits, size: int) -> Engine:
    """Return an engine in autocommit mode for packets.py: MySQL accepts several statements."""
    if is_mysql(settings):
        flag = {"client_flag": str(CLIENT.MULTI_STATEMENTS)}
        settings = replace(settings, database_url=settings.database_url.update_query_dict(flag))
    return autocommit_engine(settings, name, limits, size)


def transactional_engine(settings: Settings, name: str, limits: Limits, size: int) -> Engine:
    """Return an engine for transactions. Use only its `begin`, which commits or rolls back."""
    if is_mysql(settings):
        options = {
            # `begin` ends each transaction. By default the pool rolls back once more, even after a
            # commit, which costs a round trip.
            "pool_reset_on_return": None,
        }
        return _engine(settings, name, limits, size, options)
    engine = _engine(settings, name, limits, size, {})
    # Take SQLite's write lock at the start of a transaction. Otherwise, if two transactions read
    # and then write, one fails instead of waiting.
    event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def is_mysql(settings: Settings) -> bool:
    """Return whether the database is MySQL, and not SQLite."""
    return settings.database_url.get_backend_name() == "mysql"


def _engine(
    settings: Settings, name: str, limits: Limits, size: int, options: dict[str, Any]
) -> Engine:
    arguments = {"timeout": limits.answer}
    if is_mysql(settings):
        arguments = driver.connect_arguments(settings, limits)
    engine = create_engine(
        settings.database_url,
        connect_args=arguments,
        hide_parameters=True,  # errors are logged, and parameters can contain secrets
        poolclass=type("Pool", (Pool,), {"limits": limits}),
        pool_logging_name=name,
        pool_size=size,
        max_overflow=0,
        pool_recycle=POOL_RECYCLE,
        pool_use_lifo=True,
        **options,
    )
    if is_mysql(settings):
        event.listen(engine, "handle_error", driver.leave_server)
        event.listen(engine, "do_connect", partial(driver.connect, limits))
        event.listen(engine, "checkout", driver.prepare_checkout)
    else:
        event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "handle_error", errors.translate)
    metrics.POOL_SIZE.labels(name).set(size * settings.web_concurrency)
    return engine


def _prepare_sqlite(connection: "sqlite3.Connection", _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy begins transactions, not sqlite3
    for name, function in SQLITE_FUNCTIONS.items():
        connection.create_function(name, -1, function, deterministic=True)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
