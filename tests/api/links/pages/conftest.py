"""A visitor who may only read."""

from collections.abc import Iterator

import pytest

from tests.api.conftest import Deployment
from tests.support.visitor import Visitor


@pytest.fixture(scope="module")
def reader(deployment: Deployment) -> Iterator[Visitor]:
    """Somebody who may only read."""
    with Visitor(deployment.url, deployment.token("read")) as visitor:
        yield visitor
