"""The pages for links in a browser with JavaScript."""

import re
from typing import Any
from urllib.parse import unquote

from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.support.compose import Stack
from tests.support.links.client import Links


def test_nothing_is_loaded_needlessly(scripted: Page, links: Links) -> None:
    """Searching, tags and paging replace only the list; the Back button works."""
    word = links.new_code()
    link = links.create(title=word, tags=[word[:20]])
    links.create()
    scripted.evaluate("window.same = true")
    scripted.get_by_label("Search").press_sequentially(word)
    expect(scripted.locator(".links .code")).to_have_text([link["code"]])
    expect(scripted).to_have_url(re.compile(f"q={word}"))
    scripted.get_by_role("link", name=word[:20]).click()
    expect(scripted.get_by_label("Tag", exact=True)).to_have_value(word[:20])
    scripted.go_back()
    expect(scripted.get_by_label("Tag", exact=True)).to_have_value("")
    expect(scripted.get_by_label("Search")).to_have_value(word)
    assert scripted.evaluate("window.same") is True


def test_code_is_checked_as_one_types(scripted: Page, links: Links) -> None:
    """While the user types a code, the page says whether it is free, taken or reserved."""
    link = links.create(code=links.new_code())
    scripted.goto("/links/-/new")
    result = scripted.locator("[data-checked]")
    scripted.get_by_label("Code").fill(links.new_code())
    expect(result).to_contain_text("is free")
    scripted.get_by_label("Code").fill(link["code"].upper())
    expect(result).to_have_text("Another link has this code.")
    scripted.get_by_label("Code").fill("docs")
    expect(result).not_to_be_empty()
    expect(result).not_to_contain_text("free")


def test_bookmark_opens_the_form_for_any_page(scripted: Page) -> None:
    """The bookmarklet fills in the form from a page of another site, and the user stays signed in.

    Chromium can't run it from the bookmarks bar here, so the page runs its code.
    """
    scripted.goto("/links/-/new")
    bookmark = scripted.get_by_role("link", name="Shorten with").get_attribute("href")
    assert bookmark
    page = {"body": "<title>A & B, the «guide»</title>", "content_type": "text/html; charset=utf-8"}
    scripted.route("https://docs.example/**", lambda route: route.fulfill(**page))
    there = "https://docs.example/guide?a=1&b=%20#part"
    scripted.goto(there)
    scripted.evaluate(unquote(bookmark.removeprefix("javascript:")))
    expect(scripted.get_by_label("Target URL")).to_have_value(there)
    expect(scripted.get_by_label("Title")).to_have_value("A & B, the «guide»")


def test_short_url_is_copied(scripted: Page, links: Links) -> None:
    """A button copies the short URL to the clipboard, and announces the result."""
    link = links.create(code=links.new_code())
    scripted.context.grant_permissions(["clipboard-read", "clipboard-write"])
    scripted.goto(f"/links/{link['code']}")
    button = scripted.get_by_role("button", name="Copy")
    button.click()
    expect(button).to_have_text("Copied")
    assert scripted.evaluate("navigator.clipboard.readText()") == link["short_url"]
    expect(scripted.locator("[aria-live=polite]")).to_have_text("Copied")
    scripted.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(Error()); }")
    button.click()
    expect(button).to_have_text("Not copied")


def test_chart_and_times_are_in_the_time_zone_of_the_browser(
    stack: Stack, session: Any, open_page: Open, links: Links
) -> None:
    """Scripts show times and the chart in the browser's time zone; a range keeps the zone."""
    path = f"/links/{links.create()['code']}"
    options = {"storage_state": session, "timezone_id": "Asia/Kolkata"}
    page = open_page(stack.url, path, **options)
    # Chromium can report the zone's old name.
    zone = re.compile(r"in the time zone Asia/(Kolkata|Calcutta)\.")
    expect(page.get_by_text(zone)).to_be_visible()
    expect(page.locator("time").first).to_contain_text("GMT+5:30")
    page.get_by_role("link", name="7 days").click()
    expect(page.locator("figcaption")).to_contain_text("Last 7 days")
    expect(page.get_by_text(zone)).to_be_visible()


def test_search_is_announced_to_screen_readers(scripted: Page, links: Links) -> None:
    """Screen readers announce the number of results whenever a search changes the list."""
    word = links.new_code()
    for _ in range(21):
        links.create(title=word)
    announcement = scripted.locator("[aria-live=polite]")
    scripted.get_by_label("Search").fill(word)
    expect(announcement).to_have_text("21 links")
    scripted.get_by_label("Search").fill(f"{word}x")
    expect(announcement).to_have_text("0 links")


def test_next_page_is_seen_from_its_beginning(scripted: Page, links: Links) -> None:
    """The next page of the list is shown from its top."""
    for _ in range(41):
        links.create()
    scripted.goto("/links")
    scripted.get_by_role("link", name="Next page").click()
    expect(scripted.get_by_role("link", name="First page")).to_be_attached()
    expect(scripted.get_by_role("heading", name="Links", exact=True)).to_be_in_viewport()


def test_double_click_asks_once(scripted: Page, links: Links) -> None:
    """A double click on Delete opens only one dialog."""
    scripted.goto(f"/links/{links.create()['code']}")
    scripted.get_by_role("link", name="Delete").evaluate("link => { link.click(); link.click(); }")
    expect(scripted.get_by_role("dialog")).to_be_visible()
    scripted.wait_for_load_state("networkidle")
    scripted.keyboard.press("Escape")
    expect(scripted.get_by_role("dialog")).to_have_count(0)


def test_page_works_when_scripts_get_no_answer(scripted: Page, links: Links) -> None:
    """If a script's request fails, the browser follows the link instead."""
    path = f"/links/{links.create()['code']}"
    scripted.goto(path)
    scripted.route(
        "**/delete",
        lambda route: (
            route.abort("aborted") if route.request.resource_type == "fetch" else route.continue_()
        ),
    )
    scripted.get_by_role("link", name="Delete").click()
    scripted.wait_for_url(f"**{path}/delete")
    expect(scripted.get_by_role("button", name="Delete")).to_be_visible()


def test_scripts_notice_a_sign_out(stack: Stack, scripted: Page) -> None:
    """After a sign-out in another tab, the check of a code shows nothing."""
    scripted.goto("/links/-/new")
    scripted.context.clear_cookies()
    with scripted.expect_event(
        "requestfinished", lambda request: request.url.startswith(f"{stack.url}/sign-in")
    ):
        scripted.get_by_label("Code").fill("abc")
    expect(scripted.locator("[data-checked]")).to_be_empty()
