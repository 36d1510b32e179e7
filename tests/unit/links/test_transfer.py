"""Exports and batches of links, in a small SQLite database."""

import io
import json
import time
from threading import Semaphore
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from weakref import ReferenceType, ref

import pytest
from flask import Flask
from werkzeug.exceptions import ServiceUnavailable

from app.api import resources
from app.database import Database
from app.links import codes, edits, exports, imports, lists, queries, records
from app.links.schemas import LinkSchema

URL = "https://example.com"


def create(database: Database, *links: dict[str, Any]) -> list[SimpleNamespace]:
    """Create links in one batch; each gets a default URL."""
    return database.write(
        lambda connection: queries.create_all(connection, [{"url": URL} | link for link in links])
    )


def delete(database: Database, code: str) -> None:
    """Delete a link."""
    database.write(lambda connection: edits.delete(connection, code, lambda _: None))


def test_export_has_what_stays_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that exists during the whole export is exported once, whatever others write."""
    monkeypatch.setattr(exports, "CHUNK", 2)
    create(database, *({"code": f"stays{n}"} for n in range(3)), {"code": "goes"})
    parts = exports.export_parts(database, "jsonl")
    text = next(parts)
    for code in ("stays0", "goes"):
        delete(database, code)
    create(database, *({"code": f"comes{n}"} for n in range(3)))
    text += b"".join(parts)
    exported = [json.loads(line)["code"] for line in text.splitlines()]
    assert exported == ["stays0", "stays1", "stays2", "comes0", "comes1", "comes2"]


class Rows(list[Any]):
    """A list that can have weak references."""


def test_export_keeps_no_rows_for_a_slow_client(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a part waits for its client, the rows that it was made of take no memory."""
    monkeypatch.setattr(exports, "CHUNK", 2)
    create(database, *({"code": f"c{n}"} for n in range(3)))
    made: list[ReferenceType[Rows]] = []
    after_id = lists.after_id

    def note(*arguments: Any) -> Rows:
        rows = Rows(after_id(*arguments))
        made.append(ref(rows))
        return rows

    monkeypatch.setattr(lists, "after_id", note)
    for _ in exports.export_parts(database, "jsonl"):
        assert made.pop()() is None


def test_exports_at_the_same_time_are_limited(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If too many exports are running, another one gets 503, until one of them has ended."""
    monkeypatch.setattr(exports, "slots", Semaphore(2))
    app = Flask(__name__)
    app.extensions["database"] = database
    with app.app_context():
        first, _second = exports.attachment("jsonl"), exports.attachment("csv")
        with pytest.raises(ServiceUnavailable) as refused:
            exports.attachment("jsonl")
        assert refused.value.retry_after == 1
        first.close()
        with monkeypatch.context() as broken:
            broken.setattr(lists, "after_id", Mock(side_effect=TimeoutError))
            with pytest.raises(TimeoutError):
                exports.attachment("jsonl")
        exports.attachment("jsonl").close()


def test_taken_random_code_is_nobodys_fault(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a random code is taken, even within the batch, the error allows a retry."""
    monkeypatch.setattr(codes, "random_code", lambda: "aaaaaaa")
    for other in ({}, {"code": "aaa-aaaa"}):
        with pytest.raises(queries.CodeTakenError) as caught:
            create(database, {}, other)
        assert not isinstance(caught.value, queries.CodesTakenError)


@pytest.mark.parametrize(
    ("line", "file_format"),
    [
        pytest.param("{}", "jsonl", id="short lines"),
        pytest.param("", "jsonl", id="empty lines"),
        pytest.param("", "csv", id="empty rows"),
    ],
)
def test_others_get_their_turn_beside_an_import(
    database: Database, monkeypatch: pytest.MonkeyPatch, line: str, file_format: str
) -> None:
    """Other requests run beside an import, however short its lines are."""
    sleeps: list[float] = []
    monkeypatch.setattr(resources, "TURN", -1)
    monkeypatch.setattr(time, "sleep", sleeps.append)
    file = io.BytesIO(b"code,url\n" + f"{line}\n".encode() * 50)
    list(imports.run(database, file, file_format, imports.ImportReport()))
    assert len(sleeps) > 50


@pytest.mark.usefixtures("import_app")
def test_links_of_the_api_are_taken(database: Database) -> None:
    """An import takes a link with all fields that the API returns, null where they can be null."""
    create(database, {"code": "linked"})
    with database.read() as connection:
        shown = LinkSchema().dump(queries.find(connection, "linked"))
    delete(database, "linked")
    nulls = {name: None for name, field in LinkSchema().fields.items() if field.allow_none}
    report = imports.ImportReport()
    file = io.BytesIO(json.dumps(shown | nulls).encode())
    assert list(imports.run(database, file, "jsonl", report)) == [{}]
    assert report["created"] == 1


def test_line_with_too_many_fields_is_refused(database: Database) -> None:
    """A line is refused with a reason if it has more fields than the API accepts."""
    file = io.BytesIO(json.dumps({str(number): 1 for number in range(101)}).encode())
    [refused] = imports.run(database, file, "jsonl", imports.ImportReport())
    assert refused == {
        records.Lines(1, 1): "#: Must not contain an object with more than 100 fields."
    }
