"""How long the service waits for MySQL."""

from tests.compose import Stack

# SLEEP gives 0 where nothing has cut it short.
SLEEP = """
from sqlalchemy import text
from app import create_app
from app.database import AWAY

database = create_app().extensions["database"]
for long in (False, True):
    with database.read(long=long) as session:
        try:
            print(session.scalar(text("SELECT SLEEP(2)")) == 0)
        except AWAY:
            print(False)
"""


def test_long_work_may_wait_longer(stack: Stack) -> None:
    """An answer that takes two seconds is too late, unless the work is said to be long."""
    assert stack.python("app", SLEEP).split() == ["False", "True"]


# In a request, which waits for as long as all its statements together may take.
TWICE = """
from gevent import monkey
monkey.patch_all()
from sqlalchemy import text
from app import create_app
from app.database import AWAY

app = create_app()
for long in (True, False):
    with app.test_request_context():
        for _ in range(2):
            try:
                with app.extensions["database"].read(long=long) as session:
                    print(session.scalar(text("SELECT SLEEP(1.2)")) == 0)
            except AWAY:
                print(False)
"""


def test_waits_of_one_request_add_up(stack: Stack) -> None:
    """Two answers that each come in time come too late together, unless the work is long."""
    assert stack.python("app", TWICE).split() == ["True", "True", "True", "False"]
