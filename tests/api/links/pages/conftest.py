"""A fixture for a browser with a read token."""

from collections.abc import Iterator

import pytest

from tests.api.conftest import Deployment
from tests.support.visitor import Visitor


@pytest.fixture(scope="module")
def reader(deployment: Deployment) -> Iterator[Visitor]:
    """A browser that is signed in with a read token."""
    with Visitor(deployment.url, deployment.token("read")) as visitor:
        yield visitor
