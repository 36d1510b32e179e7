"""The pages for links can be used with the keyboard alone."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.support.compose import Stack
from tests.support.links.client import TARGET, Links


def test_keyboard_is_enough(
    stack: Stack, tokens: dict[str, str], open_page: Open, links: Links
) -> None:
    """Sign-in, creating and deleting a link work by keyboard, with visible focus."""
    page, code = open_page(stack.url), links.new_code()
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type(tokens["write"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Links", exact=True)).to_be_visible()
    expect(page.get_by_label("Long URL")).to_be_focused()
    tab_to(page, "Choose a code")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Target URL")).to_be_focused()
    page.keyboard.type(TARGET)
    tab_to(page, "Code")
    page.keyboard.type(code)
    tab_to(page, "Create")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text(f"Created {code}.")
    tab_to(page, "Delete")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("link", name="Delete")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Cancel")).to_be_focused()  # the harmless choice
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Delete")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text(f"Deleted {code}.")


FOCUSED = """() => {
    const { activeElement: it } = document, { outlineStyle, outlineWidth } = getComputedStyle(it);
    return [it.labels?.[0]?.innerText ?? it.innerText, outlineStyle + ' ' + outlineWidth];
}"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element with this name has the focus.

    Every element on the way must show its focus.
    """
    for _ in range(40):
        page.keyboard.press("Tab")
        text, outline = page.evaluate(FOCUSED)
        assert not outline.startswith("none"), text
        if text.startswith(name):
            return
    pytest.fail(f"{name} did not get the focus.")


def test_skip_link_loses_nothing(scripted: Page) -> None:
    """The skip link moves the focus without loading anything, so typed text is kept."""
    scripted.goto("/links/-/new")
    scripted.get_by_label("Target URL").fill(TARGET)
    asked: list[str] = []
    scripted.on("request", lambda request: asked.append(request.url))
    scripted.get_by_role("link", name="Skip to the content").press("Enter")
    expect(scripted.locator("main")).to_be_focused()
    # Any request by the skip link would come before this one.
    scripted.evaluate("fetch('/links/-/check')")
    assert [url for url in asked if "/links" in url] == [asked[-1]]
    expect(scripted.get_by_label("Target URL")).to_have_value(TARGET)
