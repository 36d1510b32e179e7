"""Fixtures for links that are deleted after the test, and for signed-in browsers."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Open, stored_session
from tests.support.compose import Stack
from tests.support.links.client import Links
from tests.support.service import Service


@pytest.fixture
def links(stack: Stack, tokens: dict[str, str]) -> Iterator[Links]:
    """A factory of links, which deletes them after the test."""
    with Service(stack.url, tokens["write"]) as service:
        links = Links(service)
        yield links
        links.delete()


@pytest.fixture(scope="session")
def session(browser: Browser, stack: Stack, tokens: dict[str, str]) -> Any:
    """What a browser has stored that is signed in with a write token."""
    return stored_session(browser, stack.url, tokens["write"])


@pytest.fixture
def page(stack: Stack, session: Any, open_page: Open, javascript: bool) -> Page:
    """The list of links, signed in, with or without JavaScript."""
    return open_page(stack.url, "/links", storage_state=session, java_script_enabled=javascript)


@pytest.fixture
def scripted(stack: Stack, session: Any, open_page: Open) -> Page:
    """The list of links, signed in, with JavaScript."""
    return open_page(stack.url, "/links", storage_state=session)
