"""Fixtures that the stack's tests share."""

import pytest

from tests.support.compose import Stack


@pytest.fixture(scope="session")
def image(stack: Stack) -> str:
    """The name and tag of the runtime image that this test run has built."""
    return stack.image
