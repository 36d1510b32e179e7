"""Constraints that somebody adds to the example's tables."""

from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from app.database import Database
from app.links import service
from app.links.clicks import PendingRequest, Resolver

CLICKS = """CREATE TABLE link_clicks (
    link_id INTEGER, hour DATETIME, clicks INTEGER CHECK (clicks < 1),
    PRIMARY KEY (link_id, hour))"""


@pytest.fixture(autouse=True)
def link(database: Database) -> None:
    """A link in the database."""
    service.create(database, {"code": "a", "url": "https://example.com"})


def run(database: Database, *statements: str) -> None:
    """Run SQL."""
    with database.autocommit.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_click_that_is_rejected_is_not_repeated(database: Database) -> None:
    """A click that violates a constraint fails at once, since it would fail again."""
    run(database, "DROP TABLE link_clicks", CLICKS)
    inserts = []

    def count(*arguments: Any) -> None:
        inserts.extend(["INSERT"] * ("INSERT" in arguments[2]))

    event.listen(database.packets, "before_cursor_execute", count)
    with pytest.raises(IntegrityError, match="CHECK"):
        Resolver(database)._resolve_all([PendingRequest("a", print, counts=True)])
    assert inserts == ["INSERT"]


def test_other_unique_key_is_no_taken_code(database: Database) -> None:
    """A link that violates another unique key is not reported as a taken code.

    A retry with a new random code, as after a taken one, can't help.
    """
    run(database, "CREATE UNIQUE INDEX one ON links (url)")
    with pytest.raises(IntegrityError, match=r"links\.url"):
        service.create(database, {"url": "https://example.com"})
