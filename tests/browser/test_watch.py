"""The fixtures themselves: errors in a page are detected."""

import pytest

from tests.browser.conftest import Axe, Open
from tests.support.compose import Stack
from tests.support.waiting import wait_until

BLOCKED = "document.body.setAttribute('style', 'color: red')"
MISSING = "document.body.append(Object.assign(new Image(), {src: '/static/missing.png'}))"
THROWN = "void setTimeout(() => { throw new Error('oops') })"


def test_axe_finds_a_picture_without_a_text(stack: Stack, open_page: Open, axe: Axe) -> None:
    """axe finds an image without an alternative text, and no fault before."""
    page = open_page(stack.url, "/docs")
    axe(page)
    page.evaluate("document.body.append(document.createElement('img'))")
    with pytest.raises(AssertionError, match="image-alt"):
        axe(page)


@pytest.mark.parametrize(
    ("script", "seen"),
    [(BLOCKED, "Content Security Policy"), (MISSING, "404 for"), (THROWN, "oops")],
    ids=["blocked", "missing", "thrown"],
)
def test_fault_is_seen(
    stack: Stack, open_page: Open, faults: list[str], script: str, seen: str
) -> None:
    """A blocked inline style, a missing file and a script error are detected."""
    page = open_page(stack.url, "/docs")
    page.evaluate(script)
    wait_until(lambda: page.evaluate("1") and faults)
    (fault,) = faults
    faults.clear()
    assert seen in fault
