"""What keeps a sharded database possible: see docs/scale.md."""

import re
from pathlib import Path

from sqlalchemy import event, make_url

from app.config import Settings
from app.database import Database
from app.database.types import metadata
from app.links import service


def test_writes_name_the_key_that_never_changes(tmp_path: Path) -> None:
    """Each UPDATE and DELETE of links finds its row by `lookup_key`, and never sets it."""
    database = Database(Settings(make_url(f"sqlite:///{tmp_path}/links.db")))
    metadata.create_all(database.autocommit)
    statements: list[str] = []
    engine = database.transactional
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    service.create(database, {"code": "a", "url": "https://example.com"})
    service.change(database, "a", {"title": "new", "tags": ["b"]}, lambda _link: None)
    service.delete(database, "a", lambda _link: None)

    writes = [s for s in statements if re.match("(UPDATE|DELETE FROM) links ", s)]
    assert len(writes) == 2
    for statement in writes:
        changed, _, condition = statement.partition("WHERE")
        assert "lookup_key = ?" in condition
        assert "lookup_key" not in changed
