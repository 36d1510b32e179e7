"""Which errors of the database get 503, and what violated constraints get.

tests/stack/test_database_errors.py asks a real MySQL.
"""

import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pymysql import err
from sqlalchemy.exc import DBAPIError

from app.database import errors
from tests.support import violations
from tests.support.forked import python

PROGRAM = Path(violations.__file__).read_text()
FULL = "PRAGMA max_page_count=1"  # SQLite takes the smallest that is possible: all pages are in use


def ask(file: Path, *asked: Any) -> list[tuple[list[Any], dict[str, Any]]]:
    """Send rows and SQL to a service on SQLite, and return its answers with their log lines."""
    printed = python(PROGRAM, json.dumps(asked), DATABASE_URL=f"sqlite:///{file}")
    *log, answers = map(json.loads, printed.splitlines())
    return list(zip(answers, log, strict=True))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An SQLite database with a table that has constraints."""
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute(violations.TABLE)
    return tmp_path / "x.db"


def test_violated_constraint_answers_what_its_resource_says(file: Path) -> None:
    """A violated constraint gets the status and text that its table has for it, or else 500."""
    rows, *expected = zip(*violations.ROWS, strict=True)
    answers = [(status, shown) for (status, _, shown), _ in ask(file, *rows)]
    assert answers == list(zip(*expected, strict=True))


@pytest.mark.parametrize(
    ("sql", "status"),
    [
        pytest.param("SELECT nope FROM spans", 500, id="unknown column"),
        pytest.param("SELEC", 500, id="syntax"),
        pytest.param("INSERT INTO spans VALUES (1, 1, 1, 2, 9)", 500, id="foreign key"),
        pytest.param("SELECT * FROM nope", 503, id="no such table"),
        pytest.param("BEGIN EXCLUSIVE", 503, id="locked"),
        pytest.param(("PRAGMA query_only=1", "DELETE FROM spans"), 503, id="read-only"),
        pytest.param((FULL, "CREATE TABLE more (x INTEGER)"), 503, id="full"),
    ],
)
def test_only_passing_errors_of_sqlite_get_503(file: Path, sql: Any, status: int) -> None:
    """An error gets 503 with `Retry-After` only if the same request can succeed later.

    Any other error gets 500, and the log has its cause.
    """
    with closing(sqlite3.connect(file)) as other:
        if sql == "BEGIN EXCLUSIVE":
            other.execute("BEGIN IMMEDIATE")
        answer, line = ask(file, *([sql] if isinstance(sql, str) else sql))[-1]
    assert answer == [status, "1" if status == 503 else None, {}]
    assert ("sqlite3." in line.get("exception", "")) == (status == 500)


def test_database_that_cannot_be_opened_gets_503(tmp_path: Path) -> None:
    """While no connection can be opened, requests get 503."""
    ((answer, line),) = ask(tmp_path / "missing" / "x.db", "SELECT 1")
    assert answer == [503, "1", {}]
    assert line["error"] == "unable to open database file"


def packet(number: int) -> err.MySQLError:
    """Return the error that PyMySQL raises for an error packet of MySQL."""
    with pytest.raises(err.MySQLError) as caught:
        err.raise_mysql_exception(struct.pack("<Bh", 255, number) + b"#HY000Some text.")
    return caught.value


def translated(original: err.MySQLError, connection: object = "open") -> type[Exception] | None:
    """Return the class of the error that the engine raises instead of PyMySQL's, or None."""
    wrapped = DBAPIError.instance("SELECT 1", (), original, err.Error)
    context: Any = SimpleNamespace(
        original_exception=original,
        sqlalchemy_exception=wrapped,
        connection=connection,
        is_disconnect=False,
    )
    found = errors.translate(context)
    return type(found) if found else None


@pytest.mark.parametrize("number", [*errors.PASSING, 2006, 2013, 2014])
def test_passing_errors_of_mysql(number: int) -> None:
    """The database is unavailable if MySQL is away, full, locked or read-only."""
    assert translated(packet(number)) is errors.UnavailableError


@pytest.mark.parametrize("number", violations.PERMANENT)
def test_permanent_errors_of_mysql(number: int) -> None:
    """An error that the same statement would get again does not mean "unavailable"."""
    assert translated(packet(number)) is None


@pytest.mark.parametrize(
    ("original", "connection", "found"),
    [
        pytest.param(packet(1146), "open", errors.MissingTableError, id="missing table"),
        pytest.param(packet(1045), None, errors.UnavailableError, id="no connection"),
        pytest.param(packet(188), "open", None, id="search is too broad"),
        pytest.param(packet(40_000 - 65_536), "open", None, id="own number of a SIGNAL"),
        pytest.param(err.InterfaceError(0, ""), "open", errors.UnavailableError, id="closed"),
        pytest.param(
            err.InternalError("Packet sequence number wrong - got 2 expected 1"),
            "open",
            errors.UnavailableError,
            id="broken packets",
        ),
        pytest.param(err.ProgrammingError("nan can not be used"), "open", None, id="wrong value"),
    ],
)
def test_other_errors(
    original: err.MySQLError, connection: object, found: type[Exception] | None
) -> None:
    """Without a connection or an understandable answer, the database is unavailable."""
    assert translated(original, connection) is found
