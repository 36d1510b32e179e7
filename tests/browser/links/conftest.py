"""Fixtures for links that are deleted after the test, and for signed-in browsers."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, sign_in
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


@pytest.fixture
def page(stack: Stack, tokens: dict[str, str], open_page: Open, javascript: bool) -> Page:
    """The list of links, signed in, with or without JavaScript."""
    return signed_in(stack, tokens["write"], open_page, java_script_enabled=javascript)


@pytest.fixture
def scripted(stack: Stack, tokens: dict[str, str], open_page: Open) -> Page:
    """The list of links, signed in, with JavaScript."""
    return signed_in(stack, tokens["write"], open_page)


def signed_in(
    stack: Stack, token: str, open_page: Open, path: str = "/links", **options: Any
) -> Page:
    """Open a page that requires a sign-in, sign in, and check that the page opens again."""
    page = open_page(stack.url, path, **options)
    sign_in(page, token)
    expect(page).to_have_url(stack.url + path)
    return page
