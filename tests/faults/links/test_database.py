"""The database fails; nothing that was acknowledged does."""

from pathlib import Path

import pytest

from tests.support.compose import Stack
from tests.support.faults import nemesis
from tests.support.faults.nemesis import Fault
from tests.support.links.faults import rounds

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("fault", nemesis.DATABASE, ids=lambda fault: fault.name)
def test_nothing_is_lost(stack: Stack, token: str, fault: Fault) -> None:
    """Requests end in time, with 503 and when to come again; then all is there, once."""
    started = stack.inspect("app")["State"]["StartedAt"]
    violations = rounds.run(stack, token, fault)
    assert not violations, "\n".join(map(str, violations))
    assert stack.inspect("app")["State"]["StartedAt"] == started


def test_nothing_is_lost_when_the_disk_is_full(stack: Stack, tmp_path: Path) -> None:
    """While MySQL waits for room, writes get 503 in time; what it does late, it does once."""
    with Stack(tag=stack.tag) as small:
        nemesis.limit_disk(small, tmp_path)
        small.up()
        token = small.exec("app", "slipway", "tokens", "create", "faults").strip()
        violations = rounds.run(small, token, nemesis.DISK_FULL)
    assert not violations, "\n".join(map(str, violations))
