"""Faults of the database lose no acknowledged write."""

from pathlib import Path

import pytest

from tests.support.compose import Stack
from tests.support.faults import nemesis
from tests.support.faults.nemesis import Fault
from tests.support.links.faults import rounds

pytestmark = pytest.mark.timed


@pytest.mark.parametrize("fault", nemesis.DATABASE, ids=lambda fault: fault.name)
def test_nothing_is_lost(stack: Stack, token: str, fault: Fault) -> None:
    """During each fault, requests that fail get 503 in time.

    Afterwards, every acknowledged write is there exactly once. The service has not restarted.
    """
    started = stack.inspect("app")["State"]["StartedAt"]
    violations = rounds.run(stack, token, fault)
    assert not violations, "\n".join(map(str, violations))
    assert stack.inspect("app")["State"]["StartedAt"] == started


def test_nothing_is_lost_when_the_disk_is_full(stack: Stack, tmp_path: Path) -> None:
    """With a full disk, writes get 503 in time, and take effect at most once.

    `make faults` does not restart MySQL, but waits until it notices that there is space again.
    """
    with Stack(tag=stack.tag) as small:
        nemesis.limit_disk(small, tmp_path)
        small.up()
        token = small.exec("app", "slipway", "tokens", "create", "faults").strip()
        violations = rounds.run(small, token, nemesis.DISK_FULL_RESTART)
    assert not violations, "\n".join(map(str, violations))
