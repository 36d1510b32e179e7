"""How long the service waits for MySQL."""

from tests.compose import Stack

# SLEEP gives 0 where nothing has cut it short.
SLEEP = """
from sqlalchemy import text
from app import create_app
from app.database import AWAY

database = create_app().extensions["database"]
for long in (False, True):
    with database.read(long=long) as connection:
        try:
            print(connection.scalar(text("SELECT SLEEP(2)")) == 0)
        except AWAY:
            print(False)
"""


def test_long_work_may_wait_longer(stack: Stack) -> None:
    """An answer that takes two seconds is too late, unless the work is said to be long."""
    assert stack.python("app", SLEEP).split() == ["False", "True"]
