"""Migrations of the example on a database with data."""

import subprocess
from pathlib import Path

import pytest

from tests.support.checkout import copy_project
from tests.support.compose import Stack
from tests.support.service import Service

MIGRATE = ("run", "--rm", "--no-TTY", "--no-deps", "migrate", "alembic")
OLD_LINK = """
    INSERT INTO links (code, lookup_key, url, title, tags, created_at, updated_at, revision)
    VALUES ('Old-Link', 'oldlink', 'https://example.com', 'Wörterbuch', '["Old", "ä🚀"]',
        NOW(6), NOW(6), 1)
"""


def test_older_links_are_found(stack: Stack) -> None:
    """Links that are older than the migrations for search and tags are found by words and tags."""
    token = stack.exec("app", "slipway", "tokens", "create", "migrations").strip()
    stack.compose(*MIGRATE, "downgrade", "links@links_0002")
    try:
        stack.mysql_root(OLD_LINK)
    finally:
        stack.compose(*MIGRATE, "upgrade", "heads")
    with Service(stack.url, token) as service:
        for query in ({"tag": "Old"}, {"tag": "ä🚀"}, {"q": "worter old"}):
            page = service.get("/api/links", params=query).json()
            assert [link["code"] for link in page["links"]] == ["Old-Link"], query
        service.delete("/api/links/old-link")
    stack.exec("app", "slipway", "tokens", "revoke", "migrations")


def test_migration_refuses_settings_that_lose_words(stack: Stack, tmp_path: Path) -> None:
    """The migration fails if MySQL's settings would leave short words out of the index."""
    project = copy_project(tmp_path)
    settings = project / "db" / "my.cnf"
    settings.write_text(settings.read_text().replace("innodb_ft_min_token_size", "#"))
    with Stack(root=project, tag=stack.tag) as other:
        with pytest.raises(subprocess.CalledProcessError) as refused:
            other.compose("run", "--rm", "--no-TTY", "migrate")
        assert "innodb_ft_min_token_size must be 1" in refused.value.stderr
