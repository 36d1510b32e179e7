"""The checker detects a service that breaks its promise."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import copy_project
from tests.support.compose import Stack
from tests.support.faults import nemesis
from tests.support.links.faults import rounds

pytestmark = pytest.mark.alone

# This service answers before it counts the click, as many services do.
RIGHT, WRONG = (
    "find_and_count(connection, keys, _clicks(pending))",
    "_count_later(self._database.autocommit, connection, keys, _clicks(pending))",
)
LATER = """

def _count_later(engine, connection, keys, clicks):
    targets = find_targets(connection, keys)

    def count():
        with engine.connect() as connection:
            count_clicks(connection, clicks, targets)

    import threading

    threading.Timer(0.3, count).start()
    return targets
"""


@pytest.fixture
def hasty(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """The stack with a service that answers before it commits."""
    project = copy_project(tmp_path / "slipway")
    clicks = project / "app" / "links" / "clicks.py"
    code = clicks.read_text()
    assert code.count(RIGHT) == 1
    clicks.write_text(code.replace(RIGHT, WRONG) + LATER)

    usual = stack.env["TAG"]
    with Stack(project) as build:
        build.compose("build")
        try:
            stack.env["TAG"] = build.tag
            stack.compose("kill", "app")  # without connection draining
            stack.compose("up", "--no-deps", "--wait", "app")
            yield stack
        finally:
            stack.env["TAG"] = usual
            stack.compose("kill", "app")
            stack.up()


def test_lost_clicks_are_found(hasty: Stack, token: str) -> None:
    """If the service answers before it commits, the checker finds clicks lost by `kill -9`."""
    kill = next(fault for fault in nemesis.SERVICE if fault.name == "service killed")
    _, _, violations = rounds.meet(hasty, token, kill)
    lost = [violation for violation in violations if violation.kind == "lost"]
    assert any("clicks answered" in violation.text for violation in lost)
