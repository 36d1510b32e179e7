"""Fixtures for links on the stack that are deleted after the test."""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.compose import Stack
from tests.support.links.client import Links
from tests.support.service import Service


@pytest.fixture(scope="module")
def service(stack: Stack) -> Iterator[Service]:
    """A client of the stack with a write token of each module."""
    name = f"test-{secrets.token_hex(4)}"
    token = stack.exec("app", "slipway", "tokens", "create", name).strip()
    with Service(stack.url, token) as session:
        yield session
    stack.exec("app", "slipway", "tokens", "revoke", name)


@pytest.fixture
def links(service: Service) -> Iterator[Links]:
    """A factory of links on the stack, which deletes them after the test."""
    made = Links(service)
    yield made
    made.delete()
