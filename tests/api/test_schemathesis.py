"""A small, deterministic part of `make fuzz` that runs with the other tests."""

import json  # example
import secrets
from pathlib import Path

from tests.api.conftest import Deployment
from tests.support import fuzz
from tests.support.service import Service

EXAMPLES = 5  # per operation, with the coverage phase several hundred in total
STACK_PHASES = "examples,fuzzing,stateful"
# Coverage sends each value just inside and outside its limits. `make fuzz` does so on the stack.
PHASES = f"coverage,{STACK_PHASES}"


# example
def created(content: dict[str, str]) -> list[str]:
    """Return the codes of the links in an answer: one link, or a batch."""
    made = json.loads(fuzz.body(content))
    return [link["code"] for link in made.get("links", [made]) if "code" in link]


# /example


def test_generated_requests_are_answered_as_documented(
    deployment: Deployment, service: Service, tmp_path: Path
) -> None:
    """Generated requests, valid or not, get only documented answers.

    Schemathesis sends them one by one and in sequences.
    """
    entries = fuzz.fuzz(
        service.url,
        deployment.token(),  # its own, because invalid writes are rate-limited by token
        tmp_path / "record.json",
        f"--max-examples={EXAMPLES}",
        f"--phases={STACK_PHASES if deployment.stack else PHASES}",
        "--generation-deterministic",
        # Its own address, because it sends wrong tokens, which are rate-limited by address.
        f"--header=X-Forwarded-For: 10.0.0.{secrets.randbelow(256)}",
    )
    assert len(entries) > EXAMPLES
    # example
    for entry in entries:
        if entry["response"]["status"] == 201:
            for code in created(entry["response"]["content"]):
                service.delete(f"/api/links/{code}")
    # /example
