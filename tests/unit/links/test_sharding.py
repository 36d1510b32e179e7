"""What keeps a sharded database possible: see docs/scale.md."""

import re

from sqlalchemy import event

from app.database import Database
from app.links import service


def test_writes_name_the_key_that_never_changes(database: Database) -> None:
    """Each UPDATE and DELETE of links finds its row by `lookup_key`, and never sets it.

    A rename inserts another row.
    """
    statements: list[str] = []
    for engine in {database.transactional, database.long_transactional}:
        event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    service.create(database, {"code": "a", "url": "https://example.com"})
    service.change(database, "a", {"title": "new", "tags": ["b"]}, lambda _link: None)
    service.change(database, "a", {"code": "b"}, lambda _link: None)
    service.delete(database, "b", lambda _link: None)

    writes = [s for s in statements if re.match("(UPDATE|DELETE FROM) links ", s)]
    assert len(writes) == 3
    for statement in writes:
        changed, _, condition = statement.partition("WHERE")
        assert "lookup_key = ?" in condition
        assert "lookup_key" not in changed
