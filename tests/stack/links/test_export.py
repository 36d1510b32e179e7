"""An export during which the database dies."""

import json

import pytest
import requests

from tests.support.compose import Stack, docker
from tests.support.links.client import TARGET, Links

COUNT = 20_000  # links with long URLs: much more data than socket buffers can hold


def test_client_can_tell_that_an_export_is_cut(stack: Stack, links: Links) -> None:
    """When the database dies during an export, the client sees that the answer is incomplete."""
    prefix = links.new_code()
    url = f"{TARGET}?{'x' * 2000}"
    lines = (json.dumps({"code": f"{prefix}{n}", "url": url}) + "\n" for n in range(COUNT))
    stack.exec("app", "slipway", "links", "import", "-", text="".join(lines))
    database = stack.id("db")
    try:
        with links.service.get("/api/export", stream=True) as answer:
            parts = answer.iter_content(2**20)
            assert answer.status_code == 200
            assert next(parts)
            docker("kill", database)
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                list(parts)
    finally:
        docker("start", database)
        stack.wait_ready()
        stack.mysql_root(f"DELETE FROM links WHERE code LIKE '{prefix}%'")
