"""The checker finds a broken promise."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import copy_project
from tests.compose import Stack
from tests.faults import nemesis
from tests.faults.links import rounds

# What app/links/clicks.py has, and what it would be if it answered before it counts: at once, with
# the counting for later, as many services do.
HASTE = {
    "_count(connection, Counter(": """for waiting in batch:
                        waiting.answer.set_result(targets.get(waiting.key))
                    time.sleep(0.3)
                    _count(connection, Counter(""",
    "                    waiting.answer.set_result(targets.get(waiting.key))\n": """\
                    pass
""",
}


@pytest.fixture
def hasty(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """The stack with a service that answers too early."""
    project = copy_project(tmp_path / "slipway")
    clicks = project / "app" / "links" / "clicks.py"
    code = clicks.read_text()
    for right, wrong in reversed(HASTE.items()):
        assert code.count(right) == 1
        code = code.replace(right, wrong)
    clicks.write_text(code)

    usual = stack.env["TAG"]
    with Stack(project) as build:
        build.compose("build")
        try:
            stack.env["TAG"] = build.tag
            stack.compose("kill", "app")  # no need to drain
            stack.compose("up", "--no-deps", "--wait", "app")
            yield stack
        finally:
            stack.env["TAG"] = usual
            stack.compose("kill", "app")
            stack.up()


def test_lost_clicks_are_found(hasty: Stack, token: str) -> None:
    """Of a service that answers before it commits, a kill -9 loses answered clicks."""
    kill = next(fault for fault in nemesis.SERVICE if fault.name == "service killed")
    _, _, violations = rounds.meet(hasty, token, kill)
    assert {violation.kind for violation in violations} == {"lost"}
    assert all("clicks answered" in violation.text for violation in violations)
