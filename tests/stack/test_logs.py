"""The logs of the stack."""

import json
from typing import Any

import requests

from tests.support.compose import Stack
from tests.support.waiting import wait_until


def log(stack: Stack, *services: str) -> list[dict[str, Any]]:
    """Return the lines of the services' logs, each of which is an object."""
    lines = stack.compose("logs", "--no-log-prefix", *services).splitlines()
    return [dict(json.loads(line)) for line in lines]


def test_every_line_is_an_object(stack: Stack) -> None:
    """What the migrations, the server and the service say, from their first line on."""
    lines = log(stack, "migrate", "app")
    assert {line["logger"] for line in lines if "logger" in line} >= {"gunicorn.error"}
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)


def test_outage_is_explained(stack: Stack) -> None:
    """A 503 has one line, a warning, with what the database's driver said."""
    stack.compose("stop", "--timeout", "10", "db")
    try:
        answer = requests.get(stack.url, timeout=10)
    finally:
        stack.compose("start", "db")
        stack.wait_ready()
    wait_until(lambda: stack.health("db") == "healthy")
    request_id = answer.headers["X-Request-Id"]
    wait_until(lambda: request_id in str(log(stack, "app")))
    (line,) = [line for line in log(stack, "app") if line.get("request_id") == request_id]
    assert (line["status"], line["level"], line["event"]) == (503, "warning", "request")
    assert "connect to MySQL" in line["error"]
