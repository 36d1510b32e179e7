"""The logs of the stack's containers."""

import json
import re
from typing import Any

import requests

from tests.support.checkout import ROOT
from tests.support.compose import Stack
from tests.support.waiting import wait_until


def log(stack: Stack, *services: str) -> list[dict[str, Any]]:
    """Return the lines of the services' logs, each of which is a JSON object."""
    lines = stack.compose("logs", "--no-log-prefix", *services).splitlines()
    return [dict(json.loads(line)) for line in lines]


# Provokes errors of driver, server and pool, and prints what the log would have as `error`.
FAIL = """
from contextlib import ExitStack
from sqlalchemy import text
from app import create_app
from app.config import Settings
from app.database import AUTOCOMMIT_SIZE, Database
from app.database.errors import UNAVAILABLE

database = create_app().extensions["database"]
hold = "UPDATE rate_limits SET hits = hits"
insert = "INSERT INTO rate_limits VALUES ('log texts', 1, 1, NOW())"

def lock(statement):
    with database.transactional.connect() as connection:
        connection.execute(text(statement))

def fail(work):
    try:
        work()
    except UNAVAILABLE as error:
        print(getattr(error, "orig", error))

with database.transactional.connect() as holder:
    holder.execute(text(insert))
    fail(lambda: lock(insert))
with ExitStack() as stack:
    fail(lambda: [stack.enter_context(database.read()) for _ in range(AUTOCOMMIT_SIZE + 1)])
with ExitStack() as stack:
    many = [Database(Settings.from_environ()) for _ in range(151 // AUTOCOMMIT_SIZE + 1)]
    fail(lambda: [stack.enter_context(d.read()) for d in many for _ in range(AUTOCOMMIT_SIZE)])
"""


def test_every_line_is_an_object(stack: Stack) -> None:
    """Every log line of migrations, gunicorn and the service is a JSON object."""
    lines = log(stack, "migrate", "app")
    assert {line["logger"] for line in lines if "logger" in line} >= {"gunicorn.error"}
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)


def test_outage_is_explained(stack: Stack) -> None:
    """A 503 during an outage has one log line, a warning with the database driver's error."""
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


def test_page_names_texts_that_are_logged(stack: Stack) -> None:
    """Every error text that docs/operate.md lists as a symptom is really logged."""
    page = (ROOT / "docs" / "operate.md").read_text()
    [table] = re.findall(r"\| symptom \| look at \|\n(.*?)\n\n", page, re.DOTALL)
    texts = re.findall(r"`([A-Z][\w ]+)`", table.replace("`SHOW FULL PROCESSLIST`", ""))
    assert len(texts) == 3
    written = stack.python("app", FAIL)
    assert [text for text in texts if text not in written] == []
