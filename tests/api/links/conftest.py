"""A fixture for links that are deleted after the test."""

from collections.abc import Iterator

import pytest

from tests.support.links.client import Links
from tests.support.service import Service


@pytest.fixture
def links(service: Service) -> Iterator[Links]:
    """A factory of links, which deletes them after the test."""
    made = Links(service)
    yield made
    made.delete()
