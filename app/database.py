"""The way to the database: engines, transactions, and what differs between MySQL and SQLite.

Every wait has a limit, and so has all the time that a request spends with connections: less than
two seconds, or than thirty where it has much work.
"""

import json
import math
import ssl
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import groupby
from select import POLLIN
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from flask import Flask, current_app
from gevent import Timeout
from gevent.monkey import get_original
from pymysql import connections
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    PoolProxiedConnection,
    QueuePool,
    String,
    Table,
    TextClause,
    bindparam,
    create_engine,
    event,
    func,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import (
    DisconnectionError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.types import TypeDecorator

from app import metrics
from app.config import Settings
from app.fair_queue import FairQueue

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

poll = get_original("select", "poll")  # gevent's own would go round the loop, even not to wait

# The server describes each column with each answer; to read the same bytes again costs more than
# the rows.
connections.FieldDescriptorPacket = lru_cache(connections.FieldDescriptorPacket)

# How values are read: times by what costs a tenth of PyMySQL's regular expression.
READ = conversions | {FIELD_TYPE.DATETIME: datetime.fromisoformat}

ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER keys by itself

CONNECT_TIMEOUT = 1.0  # seconds for a connection from the server
TABLE_WAIT = 2  # seconds for a table that a migration wants: longer than that waits in its turn
SILENCE = 60  # seconds until the server ends a session, with its locks, whose client is gone
POOL_RECYCLE = 1800  # seconds, after which all have followed the host's name to a new address
READERS = 13  # connections a process: one of them for the click batcher
WRITERS = 8  # connections a process: many share a commit, and a write holds one for milliseconds
LONG = 2  # connections a process, for each engine of work that may take long

DEADLOCK, LOCK_WAIT_TIMEOUT = 1213, 1205
NO_SUCH_TABLE = 1146
DUPLICATE_KEY = {1062, 2067, 1555}  # SQLite has one for unique columns and one for primary keys
TOO_MANY_MATCHES = 188  # for innodb_ft_result_cache_limit, see db/my.cnf

WORD_LENGTH = 84  # characters: MySQL's full-text indexes leave longer words out

metadata = MetaData()
"""All tables."""

AWAY = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)
"""What is raised when the database can't do its work now: away, full, locked, read-only."""


class Limits(NamedTuple):
    """How long to wait, in seconds."""

    pool: float  # for a connection that others have
    answer: float  # for one answer of the server
    total: float  # for all that one request does, and all tries of one transaction


SHORT_LIMITS = Limits(pool=1, answer=1.5, total=1.8)
LONG_LIMITS = Limits(pool=8, answer=20, total=28)


@dataclass
class Clock:
    """How long a request has had connections, or waited for them."""

    used: float = 0.0  # seconds, without its current use
    began: float | None = None  # when that began


# Of the current request. Not in Flask's `g`, which costs more, and a request asks often.
clock: ContextVar[Clock | None] = ContextVar("clock", default=None)


class Database:
    """The engines of this process, which connect when they are needed.

    `reader` is in autocommit, where a lookup is one round trip; `writer` has transactions. One
    engine with options for each use would cost statements. A second pair waits longer.

    A process has at most READERS + WRITERS + 2 * LONG connections: 25. So two replicas of two
    workers have 100 of the 151 that MySQL allows. A replica has READERS + LONG of its own.
    """

    def __init__(self, settings: Settings) -> None:
        self.reader = _reader(settings, SHORT_LIMITS, READERS, "reader")
        self.writer = _writer(settings, SHORT_LIMITS, WRITERS, "writer")
        self.long_reader = _reader(settings, LONG_LIMITS, LONG, "long_reader")
        self.long_writer = _writer(settings, LONG_LIMITS, LONG, "long_writer")
        self.replica, self.long_replica = self.reader, self.long_reader
        if settings.database_replica_url:
            there = replace(settings, database_url=settings.database_replica_url)
            self.replica = _reader(there, SHORT_LIMITS, READERS, "replica")
            self.long_replica = _reader(there, LONG_LIMITS, LONG, "long_replica")

    def read(self, *, long: bool = False, stale: bool = False) -> Connection:
        """Return a connection in autocommit, for a `with` block.

        :param long: the work may take up to 30 s.
        :param stale: what is read may be a little behind, so a replica may tell it.
        :raises sqlalchemy.exc.SQLAlchemyError: one of `AWAY`, there is none to be had.
        """
        if stale:
            return (self.long_replica if long else self.replica).connect()
        return (self.long_reader if long else self.reader).connect()

    def write(self, work: Callable[[Connection], T], *, long: bool = False) -> T:
        """Run `work` in a transaction of its own, commit, and return what it returned.

        `work` runs again when the database chose its transaction as the victim of a deadlock or
        of a lock wait, so all that it does must be in that transaction.

        :param long: the work may take up to 30 s.
        :raises sqlalchemy.exc.DBAPIError: after a rollback. One of `AWAY` from the commit itself
            leaves open whether the transaction happened.
        """
        engine = self.long_writer if long else self.writer

        def transaction() -> T:
            with engine.begin() as connection:
                return work(connection)

        return retry(transaction, LONG_LIMITS if long else SHORT_LIMITS)


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


def time_left(limits: Limits = SHORT_LIMITS) -> float:
    """Return how many seconds the current request, if there is one, may still use connections."""
    current = clock.get()
    if not current:
        return limits.total
    using = time.monotonic() - current.began if current.began else 0
    return limits.total - current.used - using


@contextmanager
def connecting() -> Iterator[None]:
    """Count the time of a block as time with connections, for the current request if there is one.

    For waits that end in the use of one, by whoever it is.
    """
    _begin_connecting()
    try:
        yield
    finally:
        _end_connecting()


def _begin_connecting() -> None:
    current = clock.get()
    if current and not current.began:
        current.began = time.monotonic()


def _end_connecting() -> None:
    current = clock.get()
    if current and current.began:
        current.used += time.monotonic() - current.began
        current.began = None


def _pool(limits: Limits) -> type[QueuePool]:
    class Pool(QueuePool):
        """A pool that knows for how long a request has waited for connections or had them.

        Not since when it runs: a client that sends its body slowly does not use the database.
        """

        _queue_class = FairQueue

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._in_use = metrics.POOL_IN_USE.labels(self.logging_name)
            self._waited = metrics.POOL_WAIT_SECONDS.labels(self.logging_name)
            self._timeouts = metrics.POOL_TIMEOUTS.labels(self.logging_name)

        def connect(self) -> PoolProxiedConnection:
            """Return a connection for use, and measure the waiting."""
            began = time.perf_counter()
            try:
                connection = super().connect()
            except PoolTimeoutError:
                self._timeouts.inc()
                raise
            self._waited.observe(time.perf_counter() - began)
            return connection

        def _do_get(self) -> Any:
            _begin_connecting()
            record = super()._do_get()
            self._in_use.inc()
            return record

        def _do_return_conn(self, record: Any) -> None:
            _end_connecting()
            self._in_use.dec()
            super()._do_return_conn(record)

        @property
        def _timeout(self) -> float:
            return max(min(limits.pool, time_left(limits)), 0)

        @_timeout.setter
        def _timeout(self, _value: float) -> None:
            pass  # what QueuePool would wait for, whoever asks

    return Pool


def _reader(settings: Settings, limits: Limits, size: int, name: str) -> Engine:
    autocommit = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
    return _engine(settings, limits, size, name, autocommit)


def _writer(settings: Settings, limits: Limits, size: int, name: str) -> Engine:
    if settings.database_url.get_backend_name() == "mysql":
        options = {
            "isolation_level": "READ COMMITTED",  # fewer gap locks, fewer deadlocks
            # `begin` ends each transaction. The pool would roll back once more, even what is
            # committed, and that is a round trip.
            "pool_reset_on_return": None,
        }
        return _engine(settings, limits, size, name, options)
    engine = _engine(settings, limits, size, name, {})
    # Without it two transactions that read before they write would fail, not wait.
    event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _engine(
    settings: Settings, limits: Limits, size: int, name: str, options: dict[str, Any]
) -> Engine:
    is_mysql = settings.database_url.get_backend_name() == "mysql"
    arguments = _time_limits(limits) | {"conv": READ} if is_mysql else {"timeout": limits.answer}
    engine = create_engine(
        settings.database_url,
        connect_args=arguments | encryption(settings),
        hide_parameters=True,  # in errors, which are logged: a link's target may hold a secret
        poolclass=_pool(limits),
        pool_logging_name=name,
        pool_size=size,
        max_overflow=0,
        pool_recycle=POOL_RECYCLE,
        pool_use_lifo=True,
        **options,
    )
    if is_mysql:
        event.listen(engine, "do_connect", lambda *connect: _connect(limits, *connect))
        event.listen(engine, "checkout", _check_out)
    else:
        event.listen(engine, "connect", _prepare_sqlite)
    metrics.POOL_SIZE.labels(name).set(size * settings.web_concurrency)
    return engine


def _time_limits(limits: Limits) -> dict[str, Any]:
    return {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": limits.answer,
        "write_timeout": limits.answer,
        # A time-out of the client does not stop a SELECT on the server, max_execution_time does.
        "init_command": f"""SET SESSION max_execution_time={limits.answer * 1000:.0f},
            innodb_lock_wait_timeout=1, lock_wait_timeout={TABLE_WAIT}, wait_timeout={SILENCE},
            time_zone='+00:00'""",
    }


def _connect(limits: Limits, _dialect: Dialect, _record: Any, args: Any, options: Any) -> Any:
    """Make a connection in the time that the request has left, its name server's included."""
    within = max(min(limits.answer, time_left(limits)), 0)
    with Timeout(within, PoolTimeoutError("The database takes too long for a connection.")):
        return _Connection(limits, *args, **options)


class _Connection(connections.Connection):
    """PyMySQL's, whose server gets no more time for an answer than who uses it has left.

    With SQLAlchemy's events for statements and commits, each of those would cost more.
    """

    deadline = math.inf  # of time.monotonic; `_check_out` sets it for each use

    def __init__(self, limits: Limits, *args: Any, **options: Any) -> None:
        self.limits = limits
        super().__init__(*args, **options)

    def _execute_command(self, command: int, sql: str | bytes) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            self._force_close()  # a rollback would take time too; MySQL does it as well
            raise PoolTimeoutError("The request has used the database for as long as it may.")
        self._read_timeout = min(self.limits.answer, left)
        super()._execute_command(command, sql)

    def rollback(self) -> None:
        """Roll back, or leave that to MySQL: it does so with what is closed."""
        if self.open:
            with suppress(PoolTimeoutError):
                super().rollback()


def _check_out(connection: _Connection, _record: object, _proxy: object) -> None:
    # An idle MySQL says nothing, so a socket with something to read was closed by the server.
    # This costs no round trip, and against a server that hangs no time-out, as a ping would.
    socket = poll()
    if connection.open:
        socket.register(connection._sock, POLLIN)
    if not connection.open or socket.poll(0):
        raise DisconnectionError
    connection.deadline = math.inf
    if clock.get():
        connection.deadline = time.monotonic() + time_left(connection.limits)


def encryption(settings: Settings) -> dict[str, Any]:
    """Return PyMySQL's argument for TLS that verifies the server's chain and name.

    One context for all connections: PyMySQL's default makes one for each, at ten times the cost
    of the rest of a connect.
    """
    if settings.database_url.get_backend_name() != "mysql":
        return {}
    return {"ssl": _context(settings.database_ca_file)}


@cache
def _context(cafile: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cafile)


def init_app(app: Flask, settings: Settings) -> None:
    """Give the app its database; nothing connects yet."""
    app.extensions["database"] = Database(settings)
    app.before_request(_start_clock)
    app.teardown_request(_stop_clock)


def _start_clock() -> None:
    clock.set(Clock())


def _stop_clock(_error: BaseException | None) -> None:
    clock.set(None)


def database() -> Database:
    """Return the current app's database."""
    found: Database = current_app.extensions["database"]
    return found


def begin_next_part() -> None:
    """Let the current request use the database for as long again: its work has many parts."""
    if current := clock.get():
        current.used = 0.0


def error_code(error: Exception) -> int | None:
    """Return the server's own number for an error of SQLAlchemy's, or None."""
    original = getattr(error, "orig", None)
    if code := getattr(original, "sqlite_errorcode", None):
        return int(code)
    arguments = original.args if original is not None else ()
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def is_conflict(error: OperationalError) -> bool:
    """Say whether another transaction was in the way, and the whole of this one can run again.

    MySQL has rolled it back, or rolls it back with the session (MySQL manual, "InnoDB Error
    Handling"). A lost connection is no conflict: its COMMIT may have happened.
    """
    return error_code(error) in {DEADLOCK, LOCK_WAIT_TIMEOUT}


def is_duplicate(error: IntegrityError) -> bool:
    """Say whether a row was refused because its key is taken."""
    return error_code(error) in DUPLICATE_KEY


def is_too_broad(error: InternalError) -> bool:
    """Say whether a search was given up because too many rows have its words."""
    return error_code(error) == TOO_MANY_MATCHES


def product(engine: Engine) -> tuple[str, str]:
    """Return the database's name and version, as it tells them."""
    name, function = (
        ("MySQL", "VERSION()") if engine.dialect.name == "mysql" else ("SQLite", "sqlite_version()")
    )
    with engine.connect() as connection:
        return name, str(connection.scalar(text(f"SELECT {function}")))


def add_up(connection: Connection, table: Table, amounts: Mapping[int, int], at: datetime) -> None:
    """Add each amount to a row's count, or insert the row.

    In one statement whose text is the same for any number of rows, so that it is made only once.

    :param table: with three columns: the key's number and time, and the count.
    :param amounts: by the number.
    """
    values = {"rows": json.dumps(list(amounts.items())), "at": at}
    connection.execute(_addition(connection.dialect.name, table), values)


@cache
def _addition(dialect: str, table: Table) -> TextClause:
    number, time, count = table.columns
    if dialect == "mysql":
        statement = f"""
            INSERT INTO {table} ({number.name}, {time.name}, {count.name})
            SELECT * FROM (
                SELECT number, :at, amount FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
                    number BIGINT PATH '$[0]', amount BIGINT PATH '$[1]')) AS given
            ) AS new (number, at, amount)
            ON DUPLICATE KEY UPDATE {count.name} = {count} + new.amount"""  # noqa: S608 our own names
    else:
        statement = f"""
            INSERT INTO {table} ({number.name}, {time.name}, {count.name})
            SELECT json_extract(value, '$[0]'), :at, json_extract(value, '$[1]')
            FROM json_each(:rows) WHERE true
            ON CONFLICT DO UPDATE SET {count.name} = {count} + excluded.{count.name}"""  # noqa: S608
    return text(statement).bindparams(bindparam("at", type_=time.type))


# LAST_INSERT_ID(value) hands a value out of the statement (MySQL manual, "Information Functions").
# Assignments run in this order: hits still sees the old period.
HIT_MYSQL = text("""
    INSERT INTO rate_limits (client, period, hits, updated_at)
    VALUES (:client, :period, LAST_INSERT_ID(:amount), :now) AS new
    ON DUPLICATE KEY UPDATE
        hits = LAST_INSERT_ID(IF(new.period > rate_limits.period, 0, rate_limits.hits) + :amount),
        period = GREATEST(rate_limits.period, new.period), updated_at = new.updated_at""")
HIT_SQLITE = text("""
    INSERT INTO rate_limits (client, period, hits, updated_at)
    VALUES (:client, :period, :amount, :now)
    ON CONFLICT (client) DO UPDATE SET
        hits = iif(excluded.period > period, 0, hits) + :amount,
        period = max(period, excluded.period), updated_at = excluded.updated_at
    RETURNING hits""")


def hit(connection: Connection, client: str, period: int, amount: int) -> int:
    """Add to a client's counter in `rate_limits` and return its sum in this period.

    In one statement, so that no two clients see the same sum. A period that has passed (another
    replica's clock is behind) counts to the newest.
    """
    values = {"client": client, "period": period, "amount": amount, "now": datetime.now(UTC)}
    if connection.dialect.name == "mysql":
        return int(connection.execute(HIT_MYSQL, values).lastrowid)
    return int(connection.execute(HIT_SQLITE, values).scalar_one())


def words(text: str) -> list[str]:
    """Split a text as MySQL's full-text parser does: words are letters, digits and `_`.

    What lies beyond U+FFFF, such as emoji, is in no word.
    """
    return ["".join(group) for is_word, group in groupby(text, _in_word) if is_word]


def _in_word(character: str) -> bool:
    return character == "_" or (
        character <= "\uffff" and unicodedata.category(character)[0] in "LMN"  # with its accents
    )


def has_words(dialect: str, wanted: Iterable[str], *columns: Any) -> ColumnElement[bool]:
    """Make the condition that each wanted word begins a word of the columns.

    Case and accents don't count. In MySQL the columns need a FULLTEXT index together.
    """
    if dialect == "mysql":
        # The first word is the one that takes memory and time for each row that has it: numbers,
        # and then long words, are likely to be rare.
        rare_first = sorted(wanted, key=lambda word: (word.isalpha(), -len(word)))
        terms = " ".join(f"+{word}*" for word in rare_first)
        return mysql.match(*columns, against=terms).in_boolean_mode()
    return func.has_words(" ".join(wanted), *columns, type_=Boolean)


def _has_words(wanted: str, *texts: str) -> bool:
    """Do in SQLite what a FULLTEXT index does in MySQL, row by row."""
    found = {_fold(word) for text in texts for word in words(text)}
    return all(any(f.startswith(_fold(w)) for f in found) for w in words(wanted))


def _fold(word: str) -> str:
    """Return what a word has in common with those that differ by case or accents."""
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC, in MySQL with `digits` of a second."""

    impl = DateTime
    cache_ok = True

    def __init__(self, digits: int) -> None:
        super().__init__()
        self.digits = digits

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Ask MySQL for fractions of a second, which its DATETIME drops unless told."""
        kind = mysql.DATETIME(fsp=self.digits) if dialect.name == "mysql" else DateTime()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Store UTC without a zone."""
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give UTC with its zone."""
        return value.replace(tzinfo=UTC) if value else None


def ascii_string(length: int) -> String:
    """Return a type for keys, compared byte by byte: MySQL's default says that 'A' is 'a'."""
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return String(length).with_variant(exact, "mysql")


def exact_string(length: int) -> String:
    """Return a type for any text that is compared character by character, as in Python."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_0900_bin")
    return String(length).with_variant(exact, "mysql")


def _prepare_sqlite(connection: "sqlite3.Connection", _record: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says
    connection.create_function("has_words", -1, _has_words, deterministic=True)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
