"""A small, fixed part of what `make fuzz` does, in every run of the tests."""

import base64
import json
import secrets
from pathlib import Path

from tests.api.conftest import Deployment
from tests.support.fuzz import fuzz
from tests.support.service import Service

EXAMPLES = 20  # of each operation, about 1,000 in all


def created(content: dict[str, str]) -> list[str]:
    """Return the codes of the links that an answer tells of: one, or a batch."""
    text = content["text"]
    if content.get("encoding") == "base64":
        text = base64.b64decode(text).decode()
    body = json.loads(text)
    return [link["code"] for link in body.get("links", [body]) if "code" in link]


def test_made_up_requests_are_answered_as_documented(
    deployment: Deployment, service: Service, tmp_path: Path
) -> None:
    """No request, right or wrong, alone or after others, has another answer than documented."""
    record = tmp_path / "record.json"
    done = fuzz(
        deployment.url,
        service.token,
        f"--max-examples={EXAMPLES}",
        "--generation-deterministic",
        f"--header=X-Forwarded-For: 10.0.0.{secrets.randbelow(256)}",  # for its wrong tokens
        f"--report-har-path={record}",
    )
    for entry in json.loads(record.read_text())["log"]["entries"]:
        if entry["response"]["status"] == 201:
            for code in created(entry["response"]["content"]):
                service.delete(f"/api/links/{code}")
    assert done.returncode == 0, done.stdout
