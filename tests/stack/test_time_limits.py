"""How long the service waits for MySQL."""

from tests.support.compose import Stack

IMPORTS = """
from sqlalchemy import text
from app import create_app
from app.database.errors import UNAVAILABLE

database = create_app().extensions["database"]
"""
# SLEEP gives 0 where nothing has cut it short.
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


def test_long_work_may_wait_longer(stack: Stack) -> None:
    """An answer that takes two seconds is too late, unless the work is said to be long."""
    assert stack.python("app", IMPORTS + SLEEP).split() == ["False", "True"]


def test_all_that_a_request_does_is_limited(stack: Stack) -> None:
    """And whoever has its connection next is not harmed by that."""
    assert stack.python("app", IMPORTS + PAUSES).splitlines() == ["too late", "1"]
