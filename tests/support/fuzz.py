"""Fuzz the API with thousands of requests that schemathesis makes from the OpenAPI document.

`make fuzz` runs this module on a stack of its own.
"""

import base64
import json
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
import schemathesis

from tests.support.checkout import ROOT
from tests.support.compose import Stack

EXAMPLES = 400  # test cases for each operation in one pass
# Seconds for the whole run. Passes repeat until then, which leaves much time for stateful tests:
# sequences of requests, such as to create a resource and then read it.
TIME = 240


def fuzz(url: str, token: str, record: Path, *options: str) -> list[dict[str, Any]]:
    """Run schemathesis on a service with all its checks.

    It does not shrink a failing request, which can take five minutes for each.

    :param token: a token with the scope write.
    :param record: where to write all requests and responses (HTTP Archive 1.2).
    :returns: the entries of `record`: `request` and `response`.
    :raises AssertionError: a check failed, or a request was answered with 503 twice.
    """
    command = ["schemathesis", "--config-file=tests/schemathesis.toml", "run", "--no-color"]
    # The record holds the token, to send a request again.
    command += ["--no-shrink", "--output-sanitize=false", f"--report-har-path={record}"]
    done = subprocess.run(
        [*command, f"--header=Authorization: Bearer {token}", *options, f"{url}/openapi.json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0
    entries: list[dict[str, Any]] = json.loads(record.read_text())["log"]["entries"]
    assert list(_unavailable_again(entries)) == []
    return entries


def body(content: dict[str, str]) -> bytes:
    """Return the body that an HTTP Archive holds, as text or in base64."""
    text = content.get("text", "")
    return base64.b64decode(text) if content.get("encoding") == "base64" else text.encode()


def _unavailable_again(entries: list[dict[str, Any]]) -> Iterator[str]:
    """Send each request that was answered with 503 again, and yield those that still are."""
    for request in (entry["request"] for entry in entries if entry["response"]["status"] == 503):
        headers = {field["name"]: field["value"] for field in request["headers"]}
        sent = body(request.get("postData", {}))
        again = requests.request(
            request["method"], request["url"], headers=headers, data=sent, timeout=10
        )
        if again.status_code == 503:
            yield f"{request['method']} {request['url']} {sent!r}: {again.text}"


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
        with tempfile.TemporaryDirectory() as folder:
            options = [f"--max-examples={EXAMPLES}", f"--max-time={TIME}"]
            fuzz(stack.url, token, Path(folder) / "record.json", *options)
