"""The service's access to its database.

`database().read()` returns a connection in autocommit mode. `database().write(work)` runs `work` in
a transaction.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from flask import Flask, current_app
from sqlalchemy import Column, Connection, delete, text
from sqlalchemy.exc import OperationalError

from app.config import Settings
from app.database.deadline import LONG_LIMITS, SHORT_LIMITS, Budget, Limits, budget, time_left
from app.database.driver import WrongServerError
from app.database.engines import autocommit_engine, packets_engine, transactional_engine
from app.database.errors import UNAVAILABLE, is_conflict

T = TypeVar("T")

# Connections in each process, for each engine.
AUTOCOMMIT_SIZE = 12
PACKETS_SIZE = 1  # for batches, of which one runs at a time
TRANSACTIONAL_SIZE = 8  # few are enough: a write needs milliseconds, and MySQL groups commits
LONG_SIZE = 2

WORKER_BOOT_ERROR = 3  # the exit status of a worker for which gunicorn's master ends too
SWEEP_LIMIT = 1000  # rows that one sweep deletes


class Database:
    """The SQLAlchemy engines of this process. They connect when they are first used.

    Any thread or greenlet may call it. `autocommit` is for single statements, reads or writes, in
    one round trip each. `transactional` is for transactions. One engine for both would need extra
    statements to switch between the modes. `packets` is for packets.py: elsewhere, MySQL rejects
    several statements in one packet, which an injection of SQL would need. The `long_` engines have
    longer time limits. `replica` and `long_replica` are for reads only.

    A process opens at most AUTOCOMMIT_SIZE + PACKETS_SIZE + TRANSACTIONAL_SIZE + 2 * LONG_SIZE = 25
    connections. So two containers with two workers each open 100 of the 151 that MySQL allows by
    default. On a read replica, a process opens at most AUTOCOMMIT_SIZE + LONG_SIZE more.
    """

    def __init__(self, settings: Settings) -> None:
        auto, begin = partial(autocommit_engine, settings), partial(transactional_engine, settings)
        self.autocommit = auto("autocommit", SHORT_LIMITS, AUTOCOMMIT_SIZE)
        self.packets = packets_engine(settings, "packets", SHORT_LIMITS, PACKETS_SIZE)
        self.transactional = begin("transactional", SHORT_LIMITS, TRANSACTIONAL_SIZE)
        self.long_autocommit = auto("long_autocommit", LONG_LIMITS, LONG_SIZE)
        self.long_transactional = begin("long_transactional", LONG_LIMITS, LONG_SIZE)
        self.replica, self.long_replica = self.autocommit, self.long_autocommit
        if settings.database_replica_url:
            there = replace(settings, database_url=settings.database_replica_url)
            self.replica = autocommit_engine(there, "replica", SHORT_LIMITS, AUTOCOMMIT_SIZE)
            self.long_replica = autocommit_engine(there, "long_replica", LONG_LIMITS, LONG_SIZE)

    def read(self, *, long: bool = False, replica: bool = False) -> Connection:
        """Return a connection in autocommit mode. Use it in a `with` block.

        :param long: use LONG_LIMITS, for work that takes up to 30 s.
        :param replica: read from a read replica, if one is set: its data can be out of date by
            the replication lag.
        :raises sqlalchemy.exc.SQLAlchemyError: one of `errors.UNAVAILABLE`, if there was no
            connection in time.
        """
        if replica:
            return (self.long_replica if long else self.replica).connect()
        return (self.long_autocommit if long else self.autocommit).connect()

    def write(self, work: Callable[[Connection], T], *, long: bool = False) -> T:
        """Run `work` in a new transaction, commit, and return its result.

        After a deadlock or a lock wait time-out, `work` runs again in a new transaction. So it
        must change nothing outside of the transaction. If it raises any other error, the
        transaction is rolled back.

        :param long: use LONG_LIMITS, for work that takes up to 30 s.
        :raises sqlalchemy.exc.SQLAlchemyError: the transaction was rolled back. But if the commit
            itself raises one of `errors.UNAVAILABLE`, it may have been committed.
        """
        engine = self.long_transactional if long else self.transactional

        def transaction() -> T:
            with engine.begin() as connection:
                return work(connection)

        return retry(transaction, LONG_LIMITS if long else SHORT_LIMITS)

    def sweep(self, column: Column[datetime], ttl: timedelta) -> None:
        """Delete rows whose time in `column` is more than `ttl` ago, at most SWEEP_LIMIT of them.

        A failure is ignored, because the caller's own work is done already.
        """
        old = delete(column.table).where(column < datetime.now(UTC) - ttl)
        with suppress(*UNAVAILABLE), self.autocommit.connect() as connection:
            connection.execute(old.with_dialect_options(mysql_limit=SWEEP_LIMIT))

    def server_version(self) -> tuple[str, str]:
        """Return the database's name, MySQL or SQLite, and the version that it reports."""
        name, function = ("MySQL", "VERSION()")
        if self.autocommit.dialect.name == "sqlite":
            name, function = ("SQLite", "sqlite_version()")
        with self.read() as connection:
            return name, str(connection.scalar(text(f"SELECT {function}")))


def init_app(app: Flask, settings: Settings) -> None:
    """Give the app its database, and each request its time budget. This opens no connection."""
    app.extensions["database"] = Database(settings)
    app.before_request(_start_budget)
    app.teardown_request(_end_budget)


def end_if_wrong_server(app: Flask) -> None:
    """End the worker, and with it gunicorn, if the database's server is not MySQL 8.4 or newer."""
    try:
        app.extensions["database"].read().close()
    except UNAVAILABLE as error:
        reason = getattr(error, "orig", None)
        if isinstance(reason, WrongServerError):
            sys.stderr.write(f"slipway: {reason}\n")
            os._exit(WORKER_BOOT_ERROR)  # an exception would end only the current greenlet


def database() -> Database:
    """Return the database of the current Flask app."""
    found: Database = current_app.extensions["database"]
    return found


def retry(work: Callable[[], T], limits: Limits = SHORT_LIMITS) -> T:
    """Run `work` and return its result. Repeat it after a conflict while there is time.

    A conflict is a deadlock or a lock wait time-out (see `is_conflict`).

    :param work: one whole transaction, or one statement in autocommit mode.
    :raises sqlalchemy.exc.OperationalError: the error was no conflict, or no time is left.
    """
    deadline = time.monotonic() + time_left(limits)
    while True:
        try:
            return work()
        except OperationalError as error:
            if not is_conflict(error) or time.monotonic() > deadline:
                raise


def _start_budget() -> None:
    budget.set(Budget())


def _end_budget(_error: BaseException | None) -> None:
    budget.set(None)
