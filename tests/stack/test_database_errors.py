"""How errors of MySQL are answered. tests/unit/test_database_errors.py has those of SQLite."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.database import errors
from tests.support import violations
from tests.support.compose import Stack
from tests.support.mysql import RootSession

PROGRAM = Path(violations.__file__).read_text()
PASSING = errors.PASSING | {errors.NO_SUCH_TABLE: "ER_NO_SUCH_TABLE"}
SIGNAL = "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {}, MESSAGE_TEXT = 'x'"
NAMES = """SELECT error_number, error_name
    FROM performance_schema.events_errors_summary_global_by_error WHERE error_number < 10000"""
# Statements with the errors that they really cause.
CAUSES = {
    "INSERT INTO spans (id, low, high) VALUES (2, 13, 14)": 3819,
    "INSERT INTO spans (id) VALUES (2)": 1364,
    "INSERT INTO spans (id, low, high) VALUES (2, 1, 9999999999)": 1264,
    "SELECT 9223372036854775807 + 1": 1690,
    "SELECT CAST('x' AS JSON)": 3141,
    "DELETE FROM spans WHERE low = 'x'": 1292,
    "SIGNAL SQLSTATE '45000'": 1644,
    "SELECT nope FROM spans": 1054,
    "SELECT * FROM nope": 1146,
    """WITH RECURSIVE r AS (SELECT 1 n UNION ALL SELECT n + 1 FROM r WHERE n < 1000)
    SELECT /*+ MAX_EXECUTION_TIME(10) */ COUNT(*) FROM r a, r b, r c""": 3024,
    "SELECT * FROM spans FOR UPDATE NOWAIT": 3572,
    "UPDATE spans SET high = 3": 1205,
}


@pytest.fixture(autouse=True)
def table(stack: Stack) -> Iterator[None]:
    """A table with constraints, beside those of the service."""
    stack.mysql_root(violations.TABLE)
    yield
    stack.mysql_root("DROP TABLE spans")


def ask(stack: Stack, *asked: Any) -> list[tuple[list[Any], dict[str, Any]]]:
    """Send rows and SQL to a service in the container, and return answers with their log lines."""
    printed = stack.python("app", PROGRAM, json.dumps(asked)).splitlines()
    *log, answers = map(json.loads, printed)
    return list(zip(answers, log, strict=True))


def test_violated_constraint_answers_what_its_resource_says(stack: Stack) -> None:
    """A violated constraint gets the status and text that its table has for it, or else 500."""
    orphan = {"id": 2, "low": 1, "high": 2, "outer_id": 9}
    cases = [*violations.ROWS, (orphan, 409, violations.NO_OUTER)]
    answers = ask(stack, *(row for row, _, _ in cases))
    assert [(status, shown) for (status, _, shown), _ in answers] == [case[1:] for case in cases]


def test_only_passing_errors_get_503(stack: Stack) -> None:
    """Each number that means away, full, locked or read-only gets 503, and others get 500.

    The numbers have the names that the service's lists give them.
    """
    numbers = PASSING | violations.PERMANENT
    answers = ask(stack, *map(SIGNAL.format, numbers))
    passing = {number for number, (answer, _) in zip(numbers, answers, strict=True) if answer[1]}
    assert {answer[0] for answer, _ in answers} == {500, 503}
    assert passing == PASSING.keys()
    names = {int(number): name for number, name in stack.mysql_root(NAMES)}
    assert numbers == {number: names[number] for number in numbers}


def test_errors_with_their_causes(stack: Stack) -> None:
    """Real causes have the expected number, which the log has too. Only passing ones get 503."""
    stack.mysql_root("INSERT INTO spans (id, low, high) VALUES (1, 1, 2)")
    with RootSession(stack) as other:
        other.run("BEGIN")
        other.run("SELECT * FROM spans FOR UPDATE")
        answers = ask(stack, *CAUSES)
    for (answer, line), number in zip(answers, CAUSES.values(), strict=True):
        status, retry_after = (503, "1") if number in PASSING else (500, None)
        assert answer == [status, retry_after, {}], number
        assert f"({number}, " in line.get("exception", line["error"]), number
