"""The database: how the service reads from it and writes to it.

`database().read()` gives a connection in autocommit, `database().write(work)` runs a transaction.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from flask import Flask, current_app
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from app.config import Settings
from app.database.deadline import LONG_LIMITS, SHORT_LIMITS, Budget, Limits, budget, time_left
from app.database.engines import autocommit_engine, transactional_engine
from app.database.errors import is_conflict

T = TypeVar("T")

AUTOCOMMIT_SIZE = 13  # connections a process: one of them for the click batches
TRANSACTIONAL_SIZE = 8  # connections a process: many share a commit, a write needs milliseconds
LONG_SIZE = 2  # connections a process, for each engine of work that may take long


class Database:
    """The engines of this process, which connect when they are first used.

    Any thread or greenlet may call it. `autocommit` is for single statements, reads and writes,
    in one round trip each; `transactional` is for transactions. One engine with options for each
    use would cost extra statements. The `long_` pair waits longer; the replica's are for reads.

    A process has at most AUTOCOMMIT_SIZE + TRANSACTIONAL_SIZE + 2 * LONG_SIZE connections: 25. So
    two replicas of two workers have 100 of the 151 that MySQL allows. A replica of the database has
    AUTOCOMMIT_SIZE + LONG_SIZE of its own.
    """

    def __init__(self, settings: Settings) -> None:
        auto, begin = partial(autocommit_engine, settings), partial(transactional_engine, settings)
        self.autocommit = auto("autocommit", SHORT_LIMITS, AUTOCOMMIT_SIZE)
        self.transactional = begin("transactional", SHORT_LIMITS, TRANSACTIONAL_SIZE)
        self.long_autocommit = auto("long_autocommit", LONG_LIMITS, LONG_SIZE)
        self.long_transactional = begin("long_transactional", LONG_LIMITS, LONG_SIZE)
        self.replica, self.long_replica = self.autocommit, self.long_autocommit
        if settings.database_replica_url:
            there = replace(settings, database_url=settings.database_replica_url)
            self.replica = autocommit_engine(there, "replica", SHORT_LIMITS, AUTOCOMMIT_SIZE)
            self.long_replica = autocommit_engine(there, "long_replica", LONG_LIMITS, LONG_SIZE)

    def read(self, *, long: bool = False, replica: bool = False) -> Connection:
        """Return a connection in autocommit, for a `with` block.

        :param long: the work may take up to 30 s.
        :param replica: the data may lag a little behind, so it can come from a read replica.
        :raises sqlalchemy.exc.SQLAlchemyError: one of `UNAVAILABLE`, there is no connection.
        """
        if replica:
            return (self.long_replica if long else self.replica).connect()
        return (self.long_autocommit if long else self.autocommit).connect()

    def write(self, work: Callable[[Connection], T], *, long: bool = False) -> T:
        """Run `work` in a transaction of its own, commit, and return its result.

        `work` runs again when the database chose its transaction as the victim of a deadlock or
        of a lock wait, so everything that it does must be in that transaction.

        :param long: the work may take up to 30 s.
        :raises sqlalchemy.exc.DBAPIError: after a rollback. One of `UNAVAILABLE` from the commit
            itself leaves open whether the transaction happened.
        """
        engine = self.long_transactional if long else self.transactional

        def transaction() -> T:
            with engine.begin() as connection:
                return work(connection)

        return retry(transaction, LONG_LIMITS if long else SHORT_LIMITS)

    def server_version(self) -> tuple[str, str]:
        """Return the database's name and version, as the server reports them."""
        name, function = ("MySQL", "VERSION()")
        if self.autocommit.dialect.name == "sqlite":
            name, function = ("SQLite", "sqlite_version()")
        with self.read() as connection:
            return name, str(connection.scalar(text(f"SELECT {function}")))


def init_app(app: Flask, settings: Settings) -> None:
    """Give the app its database; nothing connects yet."""
    app.extensions["database"] = Database(settings)
    app.before_request(_start_budget)
    app.teardown_request(_end_budget)


def database() -> Database:
    """Return the current app's database."""
    found: Database = current_app.extensions["database"]
    return found


def retry(work: Callable[[], T], limits: Limits = SHORT_LIMITS) -> T:
    """Run `work` again while other transactions are in its way and there is time.

    :param work: one whole transaction, or one statement in autocommit.
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
