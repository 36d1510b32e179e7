"""Replicas are restarted in turn, and nobody notices."""

from tests.compose import Stack
from tests.faults.links import rolling


def test_rolling_restart_loses_no_request(stack: Stack, token: str) -> None:
    """While one replica drains, stops and starts, the other one has all requests."""
    violations = rolling.run(stack, token, times=1)
    assert not violations, "\n".join(map(str, violations))
