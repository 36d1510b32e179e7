"""The service has no memory leak."""

from tests.support.compose import Stack
from tests.support.links.faults import memory


def test_memory_is_flat(stack: Stack, token: str) -> None:
    """Memory stays flat over thousands of requests. `make faults` sends 100,000."""
    before, after = memory.run(stack, token, warm_up=1000, count=3000)
    assert after < before * memory.GROWTH
