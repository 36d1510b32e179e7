"""How many connections to MySQL a process of the service can have."""

import re

from tests.checkout import ROOT
from tests.compose import Stack

# Takes all that each pool gives, and prints how many different ones MySQL sees.
FILL = """
from contextlib import ExitStack
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError
from app import create_app

database = create_app().extensions["database"]
with ExitStack() as stack:
    ids = set()
    for engine in (database.reader, database.writer, database.long_reader, database.long_writer):
        try:
            while True:
                connection = stack.enter_context(engine.connect())
                ids.add(connection.scalar(text("SELECT CONNECTION_ID()")))
        except TimeoutError:
            pass
    print(len(ids))
"""


def test_connections_are_as_documented(stack: Stack) -> None:
    """With every pool full a process has what the page's formula says, and two replicas fit."""
    page = (ROOT / "docs" / "operate.md").read_text()
    [(told, allowed)] = re.findall(r"at most (\d+) connections to MySQL, which allows (\d+)", page)
    found = int(stack.python("app", FILL))
    [[limit]] = stack.mysql_root("SELECT @@max_connections")
    assert (str(found), limit) == (told, allowed)
    assert f"{told} * WEB_CONCURRENCY * replicas" in page
    assert found * 2 * 2 < int(limit)
