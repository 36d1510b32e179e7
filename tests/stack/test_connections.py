"""The number of MySQL connections that a process of the service can open."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support.checkout import ROOT
from tests.support.compose import Stack

CLIENTS, CALLS = 64, 30

# Takes every connection that each pool gives, and prints how many MySQL has counted.
FILL = """
from contextlib import ExitStack
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError
from app import create_app

database = create_app().extensions["database"]
with ExitStack() as stack:
    ids = set()
    for name in ("autocommit", "packets", "transactional", "long_autocommit", "long_transactional"):
        engine = getattr(database, name)
        try:
            while True:
                connection = stack.enter_context(engine.connect())
                ids.add(connection.scalar(text("SELECT CONNECTION_ID()")))
        except TimeoutError:
            pass
    print(len(ids))
"""

# Uses a kept connection in several situations, and prints how many connections the pool has lent.
KEEP = """
import time
from contextlib import suppress
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError
from app import create_app
from app.database import kept_connection
from app.database.deadline import Budget, budget

database = create_app().extensions["database"]
kept = kept_connection.KeptConnection(database.packets)

def use():
    with kept.use() as connection:
        return connection.scalar(text("SELECT CONNECTION_ID()"))

def lent(situation):
    print(situation, database.packets.pool.checkedout())

kept_connection.KEEP = 60
first = use()
kept.release()
lent(f"young: again {use() == first}")
charged = Budget()
budget.set(charged)
with kept.use():
    time.sleep(0.1)
lent(f"time: charged {charged.spent >= 0.1}")
budget.set(None)
with database.read() as other:
    other.execute(text(f"KILL {first}"))
time.sleep(1)  # MySQL closes it soon
lent(f"killed: again {use() == first}")
budget.set(Budget(spent=2))
with suppress(TimeoutError):
    lent(f"no time: again {use()}")
budget.set(None)
lent("error:")
kept_connection.KEEP = 0
use()
lent("old:")
kept_connection.KEEP = 0.2
use()
time.sleep(0.3)
kept.release()
lent("released:")
"""


def test_connections_are_as_documented(stack: Stack) -> None:
    """With full pools, a process has as many connections as documented.

    Two replicas with two workers each stay below MySQL's limit.
    """
    page = (ROOT / "docs" / "operate.md").read_text()
    [(documented, allowed)] = re.findall(
        r"at most (\d+) connections to MySQL, which allows (\d+)", page
    )
    found = int(stack.python("app", FILL))
    [[limit]] = stack.mysql_root("SELECT @@max_connections")
    assert (str(found), limit) == (documented, allowed)
    assert f"{documented} * WEB_CONCURRENCY * replicas" in page
    assert found * 2 * 2 < int(limit)


def test_connection_is_kept_as_long_as_it_works(stack: Stack) -> None:
    """A kept connection is checked before each use, and returns to the pool soon."""
    assert stack.python("app", KEEP).splitlines() == [
        "young: again True 1",
        "time: charged True 1",
        "killed: again False 1",
        "error: 0",
        "old: 0",
        "released: 0",
    ]


@pytest.mark.alone
def test_more_requests_than_connections_wait_for_their_turn(stack: Stack) -> None:
    """The pool's queue is fair: none of 64 clients waits so long that it gets 503."""
    token = stack.exec("app", "slipway", "tokens", "create", "turns").strip()
    headers = {"Authorization": f"Bearer {token}"}

    def client(_number: int) -> set[int]:
        with requests.Session() as session:
            answers = (session.get(f"{stack.url}/api/me", headers=headers) for _ in range(CALLS))
            return {answer.status_code for answer in answers}

    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            assert set().union(*pool.map(client, range(CLIENTS))) == {200}
    finally:
        stack.exec("app", "slipway", "tokens", "revoke", "turns")
