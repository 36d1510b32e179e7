"""Fuzz the API with thousands of requests that schemathesis makes from the OpenAPI document.

`make fuzz` runs this module on a stack of its own.
"""

import subprocess
import sys
import uuid
from typing import Any

import schemathesis

from tests.support.checkout import ROOT
from tests.support.compose import Stack

EXAMPLES = 400  # test cases for each operation in one pass
# Seconds for the whole run. Passes repeat until then, which leaves much time for stateful tests:
# sequences of requests, such as to create a link and then read it.
TIME = 240


def fuzz(url: str, token: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis on a service with all its checks, and return the finished process.

    :param token: a token with the scope write.
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
    """Make valid Idempotency-Keys unique, since the service rightly rejects a reused one.

    Also convert header values to text: schemathesis can copy a number from an earlier answer.
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
