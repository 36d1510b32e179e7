"""A fixture for links on the stack that are deleted after the test."""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.compose import Stack
from tests.support.links.client import Links
from tests.support.service import Service


@pytest.fixture
def links(stack: Stack) -> Iterator[Links]:
    """A factory of links on the stack, which deletes them after the test."""
    name = f"test-{secrets.token_hex(4)}"
    token = stack.exec("app", "slipway", "tokens", "create", name).strip()
    with Service(stack.url, token) as service:
        made = Links(service)
        yield made
        made.delete()
    stack.exec("app", "slipway", "tokens", "revoke", name)
