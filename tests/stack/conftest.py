"""What the tests of the stack share."""

import pytest

from tests.support.compose import Stack


@pytest.fixture(scope="session")
def image(stack: Stack) -> str:
    """The name and tag of the runtime image that this run has built."""
    return stack.image
