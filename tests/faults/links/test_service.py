"""Processes of the service die or hang; nothing that was acknowledged is lost."""

import pytest

from tests.compose import Stack
from tests.faults import nemesis
from tests.faults.links import rounds
from tests.faults.nemesis import Fault


@pytest.mark.parametrize("fault", nemesis.SERVICE, ids=lambda fault: fault.name)
def test_nothing_is_lost(stack: Stack, token: str, fault: Fault) -> None:
    """Only requests on their way to what died get no answer, and all comes back by itself."""
    violations = rounds.run(stack, token, fault)
    assert not violations, "\n".join(map(str, violations))
