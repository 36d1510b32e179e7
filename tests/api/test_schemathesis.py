"""A small, fixed part of what `make fuzz` does, in every run of the tests."""

import json
import secrets
from pathlib import Path

from tests.api.conftest import Deployment
from tests.fuzz import fuzz
from tests.service import Service

EXAMPLES = 20  # of each operation, about 1,000 in all


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
        headers = {
            header["name"].lower(): header["value"] for header in entry["response"]["headers"]
        }
        if entry["response"]["status"] == 201:
            service.delete(headers["location"])
    assert done.returncode == 0, done.stdout
