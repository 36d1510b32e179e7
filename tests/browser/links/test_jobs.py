"""What people do on the page of links, on the stack: without JavaScript and with it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, sign_in
from tests.support.compose import Stack
from tests.support.links.client import TARGET, Links
from tests.support.service import Service

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture
def links(stack: Stack, tokens: dict[str, str]) -> Iterator[Links]:
    """Links that are gone after the test."""
    with Service(stack.url, tokens["write"]) as service:
        links = Links(service)
        yield links
        links.delete()


@pytest.fixture
def page(stack: Stack, tokens: dict[str, str], open_page: Open, javascript: bool) -> Page:
    """The list, signed in."""
    return signed_in(stack, tokens["write"], open_page, java_script_enabled=javascript)


@pytest.fixture
def scripted(stack: Stack, tokens: dict[str, str], open_page: Open) -> Page:
    """The list, signed in, where scripts run."""
    return signed_in(stack, tokens["write"], open_page)


def signed_in(
    stack: Stack, token: str, open_page: Open, path: str = "/links", **options: Any
) -> Page:
    """Open a page that sends to the sign-in and back."""
    page = open_page(stack.url, path, **options)
    sign_in(page, token)
    expect(page).to_have_url(stack.url + path)
    return page


def codes(page: Page) -> list[str]:
    """Return the codes in a list, as it is now."""
    return page.locator(".links .code").all_inner_texts()


def test_create(stack: Stack, page: Page, links: Links) -> None:
    """Refused for a code that is taken, the form is as it was; with another one, it is saved."""
    taken, code = links.create(code=links.new_code())["code"], links.new_code()
    page.get_by_role("link", name="New link").click()
    page.get_by_label("Target URL").fill(TARGET)
    page.get_by_label("Code").fill(taken)
    page.get_by_label("Title").fill("A title")
    page.get_by_label("Tags").fill("one\ntwo")
    page.get_by_label("Expires").fill("2099-12-31T23:59")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#code-wrong")).to_be_visible()
    expect(page.get_by_label("Code")).to_be_focused()  # where something is to be done
    expect(page.get_by_label("Target URL")).to_have_value(TARGET)
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status")).to_have_text(f"Created {code}.")
    expect(page.get_by_role("heading", name="A title")).to_be_visible()
    expect(page.get_by_role("link", name=f"{stack.url}/{code}")).to_be_visible()
    made = links.service.get(f"/api/links/{code}").json()
    assert (made["url"], made["title"], made["tags"]) == (TARGET, "A title", ["one", "two"])
    assert made["expires_at"] == "2099-12-31T23:59:00Z"


def test_first_link_takes_only_a_url(page: Page, links: Links) -> None:
    """The rest is optional: the code is a random one then."""
    page.get_by_role("link", name="New link").click()
    page.get_by_label("Target URL").fill(TARGET)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status")).to_contain_text("Created ")
    links.codes.append(page.url.rpartition("/")[2])
    assert links.service.get(f"/api/links/{links.codes[-1]}").json()["url"] == TARGET


def test_find(page: Page, links: Links) -> None:
    """By the beginning of a word, by a tag, in another order, and page after page."""
    word, tag = links.new_code(), links.new_code()[:20]
    made = [links.create(title=f"{word} {n}", tags=[tag])["code"] for n in range(25)]
    page.get_by_label("Search").fill(word[:-4])
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("link", name="Next page")).to_be_visible()
    assert codes(page) == made[:4:-1]
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_role("link", name="First page")).to_be_visible()
    assert codes(page) == made[4::-1]
    page.get_by_role("link", name=tag).first.click()
    expect(page.get_by_role("link", name="All tags")).to_be_visible()
    page.get_by_label("Order").select_option("By code")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(f"tag={tag}.*sort=code|sort=code.*tag={tag}"))
    expect(page.locator(".links .code").first).to_have_text(min(made, key=str.lower))
    page.get_by_label("Search").fill("nothingofthekind")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No link is here.")).to_be_visible()


def test_edit(page: Page, links: Links) -> None:
    """What was changed is saved, unless somebody else was faster."""
    link = links.create(code=links.new_code(), title="Before")
    page.goto(f"/links/{link['code']}")
    page.get_by_label("Title").fill("After")
    page.get_by_label("Tags").fill("new")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    expect(page.get_by_role("heading", name="After")).to_be_visible()
    links.service.patch(f"/api/links/{link['code']}", json={"title": "Somebody else's"})
    page.get_by_label("Title").fill("Too late")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("has changed since")
    expect(page.get_by_label("Title")).to_have_value("Too late")
    now = links.service.get(f"/api/links/{link['code']}").json()
    assert (now["title"], now["tags"]) == ("Somebody else's", ["new"])


def test_wrong_edit_is_shown(stack: Stack, page: Page, links: Links) -> None:
    """What is wrong is far down the page: it gets the focus, and so is in sight."""
    page.goto(f"/links/{links.create()['code']}")
    page.get_by_label("Title").fill("After")
    page.get_by_label("Target URL").fill(f"{stack.url}/x")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#url-wrong")).to_be_in_viewport()
    expect(page.get_by_label("Target URL")).to_be_focused()


def test_delete(page: Page, links: Links, javascript: bool) -> None:
    """Only who confirms deletes."""
    code = links.create(code=links.new_code())["code"]
    page.goto(f"/links/{code}")
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_role("heading", name=f"Delete {code}?")).to_be_visible()
    assert page.get_by_role("dialog").is_visible() == javascript
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("heading", name="Edit")).to_be_visible()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_have_text(f"Deleted {code}.")
    assert links.service.get(f"/api/links/{code}").status_code == 404


def test_clicks(stack: Stack, page: Page, links: Links) -> None:
    """Charts of hours and days, their tables, the total, and a place among the most clicked."""
    code = links.create(code=links.new_code())["code"]
    for _ in range(3):
        requests.get(f"{stack.url}/{code}", allow_redirects=False, timeout=30)
    page.goto(f"/links/{code}")
    for name in ("Last 24 hours: 3 clicks", "Last 30 days: 3 clicks"):
        chart = page.get_by_role("img", name=name)
        expect(chart.locator("rect")).to_have_count(1)
    page.get_by_text("As a table").first.click()
    rows = page.locator("figure").first.get_by_role("row")
    expect(rows).to_have_count(25)
    expect(rows.nth(1).get_by_role("cell")).to_have_text("3")
    page.get_by_role("link", name="Most clicked").click()
    row = page.get_by_role("listitem").filter(has=page.get_by_role("link", name=code))
    expect(row).to_contain_text("3 clicks")


def test_qr_code(page: Page, links: Links) -> None:
    """It is there, and it is a picture."""
    code = links.create(code=links.new_code())["code"]
    page.goto(f"/links/{code}")
    picture = page.get_by_role("img", name="QR code of")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 0


def test_import_and_export(page: Page, links: Links, tmp_path: Path) -> None:
    """What a file has is created, what is wrong in it is told, and the export has it."""
    code = links.new_code()
    file = tmp_path / "links.jsonl"
    file.write_text(json.dumps({"code": code, "url": TARGET}) + '\n{"url": "nowhere"}\n')
    page.get_by_role("link", name="Import and export").click()
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Import").click()
    report = page.get_by_role("status")
    expect(report).to_contain_text("1 created, 0 unchanged, 1 refused")
    expect(report.get_by_role("row").nth(1)).to_contain_text("2")
    for name, first in (("JSON Lines", '{"code"'), ("CSV", "code,")):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        text = download.value.path().read_text()
        assert code in text
        assert text.startswith(first)


def test_unknown_code_can_be_created(page: Page, links: Links) -> None:
    """Its page says 404 and leads to the form, filled in."""
    code = links.new_code()
    answer = page.goto(f"/{code}")
    assert answer
    assert answer.status == 404
    page.get_by_role("link", name=f"Create {code}").click()
    expect(page.get_by_label("Code")).to_have_value(code)
    page.get_by_label("Target URL").fill(TARGET)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status")).to_have_text(f"Created {code}.")


def test_text_is_never_markup(page: Page, links: Links) -> None:
    """Titles, URLs and tags are shown as they are, wherever they are."""
    fields = {"title": SCRIPT, "url": f"{TARGET}?{SCRIPT.replace(' ', '+')}", "tags": [SCRIPT[:50]]}
    code = links.create(code=links.new_code(), **fields)["code"]
    for path in ("/links", f"/links/{code}", f"/links/{code}/delete", f"/{code}+"):
        page.goto(path)
        expect(page.locator("main")).to_contain_text("<script>alert(1)</script>")
        assert page.locator("[onerror], main script").count() == 0


def test_reader_gets_no_buttons(
    stack: Stack, tokens: dict[str, str], open_page: Open, links: Links, javascript: bool
) -> None:
    """Who may only read sees all, and nothing that would be refused."""
    code = links.create(code=links.new_code(), title="To be read")["code"]
    link = f"/links/{code}"
    page = signed_in(stack, tokens["read"], open_page, link, java_script_enabled=javascript)
    expect(page.get_by_role("heading", name="To be read")).to_be_visible()
    expect(page.get_by_text("(read)")).to_be_visible()
    for path in (link, "/links", "/links/-/transfer"):
        page.goto(path)
        assert page.locator("main form:not([role=search]), main .danger").count() == 0
        assert page.get_by_role("link", name="New link").count() == 0


def test_keyboard_is_enough(
    stack: Stack, tokens: dict[str, str], open_page: Open, links: Links
) -> None:
    """Sign in, make a link and delete it without a mouse; what has the focus shows it."""
    page, code = open_page(stack.url), links.new_code()
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type(tokens["write"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Links", exact=True)).to_be_visible()
    tab_to(page, "New link")
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
    expect(page.get_by_role("link", name="Cancel")).to_be_focused()  # what does no harm
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Delete")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text(f"Deleted {code}.")


FOCUSED = """() => {
    const { activeElement: it } = document, { outlineStyle, outlineWidth } = getComputedStyle(it);
    return [it.labels?.[0]?.innerText ?? it.innerText, outlineStyle + ' ' + outlineWidth];
}"""


def tab_to(page: Page, name: str) -> None:
    """Press the tabulator until what has a name has the focus; all on the way must show it."""
    for _ in range(30):
        page.keyboard.press("Tab")
        text, outline = page.evaluate(FOCUSED)
        assert not outline.startswith("none"), text
        if text.startswith(name):
            return
    pytest.fail(f"{name} gets no focus")


def test_nothing_is_loaded_needlessly(scripted: Page, links: Links) -> None:
    """A search as one types, tags and pages change the list and not the page; Back goes back."""
    word = links.new_code()
    link = links.create(title=word, tags=[word[:20]])
    links.create()
    scripted.evaluate("window.same = true")
    scripted.get_by_label("Search").press_sequentially(word)
    expect(scripted.locator(".links .code")).to_have_text([link["code"]])
    expect(scripted).to_have_url(re.compile(f"q={word}"))
    scripted.get_by_role("link", name=word[:20]).click()
    expect(scripted.get_by_role("link", name="All tags")).to_be_visible()
    scripted.go_back()
    expect(scripted.get_by_role("link", name="All tags")).to_have_count(0)
    expect(scripted.get_by_label("Search")).to_have_value(word)
    assert scripted.evaluate("window.same") is True


def test_code_is_checked_as_one_types(scripted: Page, links: Links) -> None:
    """Whether it is free, taken in any spelling, or no code at all."""
    link = links.create(code=links.new_code())
    scripted.goto("/links/-/new")
    told = scripted.locator("[data-checked]")
    scripted.get_by_label("Code").fill(links.new_code())
    expect(told).to_contain_text("is free")
    scripted.get_by_label("Code").fill(link["code"].upper())
    expect(told).to_have_text("Another link has this code.")
    scripted.get_by_label("Code").fill("docs")
    expect(told).not_to_be_empty()
    expect(told).not_to_contain_text("free")


def test_short_url_is_copied(scripted: Page, links: Links) -> None:
    """A button puts it where one can paste it from, and says so."""
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


def test_search_is_told_to_who_does_not_see_it(scripted: Page, links: Links) -> None:
    """How many links there are, each time that the list changes while one types."""
    word = links.new_code()
    for _ in range(21):
        links.create(title=word)
    told = scripted.locator("[aria-live=polite]")
    scripted.get_by_label("Search").fill(word)
    expect(told).to_have_text("20 links, and more")
    scripted.get_by_label("Search").fill(f"{word}x")
    expect(told).to_have_text("0 links")


def test_next_page_is_seen_from_its_beginning(scripted: Page, links: Links) -> None:
    """The link to it is at the end of the page before."""
    for _ in range(41):
        links.create()
    scripted.goto("/links")
    scripted.get_by_role("link", name="Next page").click()
    expect(scripted.get_by_role("link", name="First page")).to_be_attached()
    expect(scripted.get_by_role("heading", name="Links", exact=True)).to_be_in_viewport()


def test_double_click_asks_once(scripted: Page, links: Links) -> None:
    """Else a second question would be behind the first."""
    scripted.goto(f"/links/{links.create()['code']}")
    scripted.get_by_role("link", name="Delete").evaluate("link => { link.click(); link.click(); }")
    expect(scripted.get_by_role("dialog")).to_be_visible()
    scripted.wait_for_load_state("networkidle")
    scripted.keyboard.press("Escape")
    expect(scripted.get_by_role("dialog")).to_have_count(0)


def test_scripts_that_get_nothing_stop_nobody(scripted: Page, links: Links) -> None:
    """Where a script's request fails, the browser's own comes in its place."""
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
    """In another tab, say: a code is called neither free nor taken then, nor is it an error."""
    scripted.goto("/links/-/new")
    scripted.context.clear_cookies()
    with scripted.expect_event(
        "requestfinished", lambda request: request.url.startswith(f"{stack.url}/sign-in")
    ):
        scripted.get_by_label("Code").fill("abc")
    expect(scripted.locator("[data-checked]")).to_be_empty()


def test_skip_link_loses_nothing(scripted: Page) -> None:
    """It moves the focus and loads nothing, so what was typed stays."""
    scripted.goto("/links/-/new")
    scripted.get_by_label("Target URL").fill(TARGET)
    asked: list[str] = []
    scripted.on("request", lambda request: asked.append(request.url))
    scripted.get_by_role("link", name="Skip to the content").press("Enter")
    expect(scripted.locator("main")).to_be_focused()
    scripted.evaluate("fetch('/links/-/check')")  # what the link may have begun comes before
    assert [url for url in asked if "/links" in url] == [asked[-1]]
    expect(scripted.get_by_label("Target URL")).to_have_value(TARGET)
