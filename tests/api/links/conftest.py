"""Links that are gone after the test."""

from collections.abc import Iterator

import pytest

from tests.links import Links
from tests.service import Service


@pytest.fixture
def links(service: Service) -> Iterator[Links]:
    """Makes links, and deletes them after the test."""
    made = Links(service)
    yield made
    made.delete()
