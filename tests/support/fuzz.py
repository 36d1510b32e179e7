"""Requests made up from the OpenAPI document, thousands of them: `python -m tests.support.fuzz`."""

import subprocess
import sys
import uuid
from typing import Any

import schemathesis

from tests.support.checkout import ROOT
from tests.support.compose import Stack

EXAMPLES = 400  # of each operation, before anything is tried again
TIME = 240  # seconds, so that much of it is for requests after others


def fuzz(url: str, token: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Let schemathesis try a service with all its checks, and return what it says.

    :param token: of scope write.
    """
    command = ["schemathesis", "--config-file=tests/schemathesis.toml", "run", "--no-color"]
    return subprocess.run(
        [*command, f"--header=Authorization: Bearer {token}", *options, f"{url}/openapi.json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )


@schemathesis.hook
def before_call(_context: Any, case: schemathesis.Case[Any], _kwargs: dict[str, Any]) -> None:
    """Let no right Idempotency-Key come twice, which is refused for good reason.

    A number that an answer has told may have become a header, which has to be text.
    """
    for name, value in dict(case.headers or {}).items():
        case.headers[name] = str(value)
    right = case.meta and case.meta.generation.mode.is_positive
    if right and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())


if __name__ == "__main__":
    with Stack() as stack:
        stack.env |= {"RATE_LIMIT_CREATE": "1000000/minute", "RATE_LIMIT_AUTH": "1000000/minute"}
        stack.up("--build")
        token = stack.exec("app", "slipway", "tokens", "create", "fuzz").strip()
        done = fuzz(stack.url, token, f"--max-examples={EXAMPLES}", f"--max-time={TIME}")
        print(done.stdout)
    sys.exit(done.returncode)
