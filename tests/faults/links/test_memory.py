"""Requests leave nothing behind in memory."""

from tests.compose import Stack
from tests.faults.links import memory


def test_memory_is_flat(stack: Stack, token: str) -> None:
    """Thousands of requests later the service has no more memory. `make faults` sends 100,000."""
    before, after = memory.run(stack, token, warm_up=1000, count=3000)
    assert after < before * memory.GROWTH
