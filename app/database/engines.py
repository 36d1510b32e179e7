"""SQLAlchemy's engines: pools with limits, autocommit or transactions, MySQL or SQLite."""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, PoolProxiedConnection, QueuePool, create_engine, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.config import Settings
from app.database import driver
from app.database.deadline import Limits, start_charging, stop_charging, time_left
from app.database.fair_queue import FairQueue
from app.telemetry import metrics

if TYPE_CHECKING:
    import sqlite3

POOL_RECYCLE = 1800  # seconds, after which all have followed the host's name to a new address

SQLITE_FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""What SQLite lacks of MySQL, by the name in SQL. The modules whose queries use it add to it."""


def autocommit_engine(settings: Settings, name: str, limits: Limits, size: int) -> Engine:
    """Return an engine whose statements each commit themselves, in one round trip."""
    autocommit = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
    return _engine(settings, name, limits, size, autocommit)


def transactional_engine(settings: Settings, name: str, limits: Limits, size: int) -> Engine:
    """Return an engine for transactions: use its `begin`."""
    if is_mysql(settings):
        options = {
            "isolation_level": "READ COMMITTED",  # fewer gap locks, fewer deadlocks
            # `begin` ends each transaction. The pool would roll back once more, even what is
            # committed, and that is a round trip.
            "pool_reset_on_return": None,
        }
        return _engine(settings, name, limits, size, options)
    engine = _engine(settings, name, limits, size, {})
    # Otherwise two transactions that read before they write would fail instead of waiting.
    event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def is_mysql(settings: Settings) -> bool:
    """Return whether the database is MySQL. Otherwise it is SQLite."""
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
        hide_parameters=True,  # errors are logged, and a parameter may hold a secret
        poolclass=_pool_class(limits),
        pool_logging_name=name,
        pool_size=size,
        max_overflow=0,
        pool_recycle=POOL_RECYCLE,
        pool_use_lifo=True,
        **options,
    )
    if is_mysql(settings):
        event.listen(engine, "do_connect", partial(driver.connect, limits))
        event.listen(engine, "checkout", driver.prepare_checkout)
    else:
        event.listen(engine, "connect", _prepare_sqlite)
    metrics.POOL_SIZE.labels(name).set(size * settings.web_concurrency)
    return engine


def _pool_class(limits: Limits) -> type[QueuePool]:
    class Pool(QueuePool):
        """A pool that charges waits for its connections, and their use, to the request.

        It relies on private parts of SQLAlchemy, see tests/unit/test_private_parts.py.
        """

        # First come, first served.
        _queue_class = FairQueue

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._in_use = metrics.POOL_IN_USE.labels(self.logging_name)
            self._waited = metrics.POOL_WAIT_SECONDS.labels(self.logging_name)
            self._timeouts = metrics.POOL_TIMEOUTS.labels(self.logging_name)

        def connect(self) -> PoolProxiedConnection:
            """Return a connection, and measure how long that took."""
            began = time.perf_counter()
            try:
                connection = super().connect()
            except PoolTimeoutError:
                self._timeouts.inc()
                raise
            self._waited.observe(time.perf_counter() - began)
            return connection

        # SQLAlchemy's events for these two are called too late: after the wait, and only where a
        # connection was found.
        def _do_get(self) -> Any:
            start_charging()
            record = super()._do_get()
            self._in_use.inc()
            return record

        def _do_return_conn(self, record: Any) -> None:
            stop_charging()
            self._in_use.dec()
            super()._do_return_conn(record)

        # How long QueuePool waits. It is a constant there, and depends on the request here.
        @property
        def _timeout(self) -> float:
            return max(min(limits.pool, time_left(limits)), 0)

        @_timeout.setter
        def _timeout(self, _value: float) -> None:
            pass  # QueuePool sets its constant

    return Pool


def _prepare_sqlite(connection: "sqlite3.Connection", _record: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says
    for name, function in SQLITE_FUNCTIONS.items():
        connection.create_function(name, -1, function, deterministic=True)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
