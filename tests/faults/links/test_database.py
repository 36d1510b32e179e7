"""The database fails; nothing that was acknowledged does."""

import pytest

from tests.compose import Stack
from tests.faults import nemesis
from tests.faults.links import rounds
from tests.faults.nemesis import Fault


@pytest.mark.parametrize("fault", nemesis.DATABASE, ids=lambda fault: fault.name)
def test_nothing_is_lost(stack: Stack, token: str, fault: Fault) -> None:
    """Requests end in time, with 503 and when to come again; then all is there, once."""
    violations = rounds.run(stack, token, fault)
    assert not violations, "\n".join(map(str, violations))
