"""Links that are gone after the test."""

from collections.abc import Iterator

import pytest

from tests.support.links.client import Links
from tests.support.service import Service


@pytest.fixture
def links(service: Service) -> Iterator[Links]:
    """Makes links, and deletes them after the test."""
    made = Links(service)
    yield made
    made.delete()
