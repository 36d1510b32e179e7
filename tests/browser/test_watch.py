"""The tests' own eyes: what should fail a test would."""

import pytest

from tests.browser.conftest import Axe, Open
from tests.compose import Stack


def test_axe(stack: Stack, open_page: Open, axe: Axe) -> None:
    """A picture without a text is found."""
    page = open_page(stack.url, "/docs")
    page.evaluate("document.body.append(document.createElement('img'))")
    with pytest.raises(AssertionError, match="image-alt"):
        axe(page)


def test_docs(stack: Stack, open_page: Open, axe: Axe) -> None:
    page = open_page(stack.url, "/docs")
    axe(page)
