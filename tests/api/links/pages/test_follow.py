"""docs/follow.md is right about what is found and what is suggested."""

import re
from pathlib import Path

from tests.api.conftest import embed
from tests.support.checkout import ROOT
from tests.support.service import Service
from tests.support.visitor import Visitor

ROW = re.compile(r"^\| `(/[^`]*)`[^|]* \|(?: `(https[^`]*)`)? \|(?: `([^`]*)`)? \|$", re.MULTILINE)
LINK = re.compile(r"`([\w-]+)`\s+leads\s+to\s+`([^`]*)`")


def test_table_of_what_is_typed(tmp_path: Path) -> None:
    """Each row of the table is right, for people who are signed in. Others get no suggestions."""
    page = (ROOT / "docs" / "follow.md").read_text()
    table = page.partition("## What is found")[2].partition("##")[0]
    rows = ROW.findall(table)
    assert len(rows) == table.count("\n| `") > 20
    with embed(tmp_path) as deployment:
        service = Service(deployment.url, deployment.token())
        codes = dict(LINK.findall(table))
        assert len(codes) == 2
        for code, url in codes.items():
            assert service.post("/api/links", json={"code": code, "url": url}).ok
        member, visitor = Visitor(service.url, service.token), Visitor(service.url)
        found, clicks = [], 0
        for typed, target, _ in rows:
            answer = member.get(typed)
            offer = answer.text.partition("Similar links")[2]
            suggested = ", ".join(re.findall(r'<a href="/([\w-]+)">', offer))
            found.append((typed, answer.headers.get("Location", ""), suggested))
            clicks += bool(target)
            assert answer.status_code == (302 if target else 404)
            if not target:
                assert "Similar links" not in visitor.get(typed).text
        assert found == rows
        assert service.get("/api/links/handbook").json()["clicks"] == clicks
