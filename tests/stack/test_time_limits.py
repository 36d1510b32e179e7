"""How long the service waits for MySQL."""

from tests.support.compose import Stack

IMPORTS = """
from sqlalchemy import text
from app import create_app
from app.database.errors import UNAVAILABLE

database = create_app().extensions["database"]
"""
# SLEEP() returns 0 unless it was interrupted.
SLEEP = """
for long in (False, True):
    with database.read(long=long) as connection:
        try:
            print(connection.scalar(text("SELECT SLEEP(2)")) == 0)
        except UNAVAILABLE:
            print(False)
"""
PAUSES = """
import time
from app.database.deadline import Budget, budget
for pause in (2, 0):
    budget.set(Budget())
    try:
        print(database.write(lambda c: time.sleep(pause) or c.scalar(text("SELECT 1"))))
    except UNAVAILABLE:
        print("too late")
"""


def test_long_work_can_wait_longer(stack: Stack) -> None:
    """A query that takes two seconds times out, unless the work is marked as long."""
    assert stack.python("app", IMPORTS + SLEEP).split() == ["False", "True"]


def test_all_that_a_request_does_is_limited(stack: Stack) -> None:
    """A request that has used up its time gets no more, and the next one can use its connection."""
    assert stack.python("app", IMPORTS + PAUSES).splitlines() == ["too late", "1"]
