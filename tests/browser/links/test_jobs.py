"""Every task on the pages for links works, with and without JavaScript."""

import json
import re
from pathlib import Path

import requests
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, sign_in
from tests.support.compose import Stack
from tests.support.links.client import TARGET, Links

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def codes(page: Page) -> list[str]:
    """Return the codes that a list shows now."""
    return page.locator(".links .code").all_inner_texts()


def test_create(stack: Stack, page: Page, links: Links) -> None:
    """A taken code is rejected and the form keeps its values; with another code, it is saved."""
    taken, code = links.create(code=links.new_code())["code"], links.new_code()
    page.get_by_role("link", name="Choose a code").click()
    page.get_by_label("Target URL").fill(TARGET)
    page.get_by_label("Code").fill(taken)
    page.get_by_label("Title").fill("A title")
    page.get_by_label("Tags").fill("one\ntwo")
    page.get_by_label("Expires").fill("2099-12-31T23:59")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#code-wrong")).to_be_visible()
    expect(page.get_by_label("Code")).to_be_focused()  # the field to correct
    expect(page.get_by_label("Target URL")).to_have_value(TARGET)
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status")).to_have_text(f"Created {code}.")
    expect(page.get_by_role("heading", name="A title")).to_be_visible()
    expect(page.get_by_role("link", name=f"{stack.url.rpartition('/')[2]}/{code}")).to_be_visible()
    made = links.service.get(f"/api/links/{code}").json()
    assert (made["url"], made["title"], made["tags"]) == (TARGET, "A title", ["one", "two"])
    assert made["expires_at"] == "2099-12-31T23:59:00Z"


def test_first_link_takes_only_a_url(page: Page, links: Links) -> None:
    """Only the URL is required; without a code, a random one is generated."""
    page.get_by_label("Long URL").fill(TARGET)
    page.get_by_role("button", name="Shorten").click()
    expect(page.get_by_role("status")).to_contain_text("Created ")
    expect(page.get_by_role("heading", name="Your short link")).to_be_visible()
    links.codes.append(page.url.rpartition("=")[2])
    assert links.service.get(f"/api/links/{links.codes[-1]}").json()["url"] == TARGET


def test_find(page: Page, links: Links) -> None:
    """Links can be searched, filtered by tag, sorted, and read page by page."""
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
    expect(page).to_have_url(re.compile(f"tag={tag}$"))
    page.get_by_label("Order").select_option("By code")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(f"tag={tag}.*sort=code|sort=code.*tag={tag}"))
    expect(page.locator(".links .code").first).to_have_text(min(made, key=str.lower))
    page.get_by_label("Search").fill("nothingofthekind")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No links found.")).to_be_visible()


def test_edit(page: Page, links: Links) -> None:
    """An edit is saved, unless somebody else has changed the link meanwhile."""
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
    expect(page.get_by_role("alert")).to_contain_text("This link has changed since you opened it.")
    expect(page.get_by_label("Title")).to_have_value("Too late")
    now = links.service.get(f"/api/links/{link['code']}").json()
    assert (now["title"], now["tags"]) == ("Somebody else's", ["new"])


def test_wrong_edit_is_shown(stack: Stack, page: Page, links: Links) -> None:
    """The first wrong field gets the focus, so that it is scrolled into view."""
    page.goto(f"/links/{links.create()['code']}")
    page.get_by_label("Title").fill("After")
    page.get_by_label("Target URL").fill(f"{stack.url}/x/y")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#url-wrong")).to_be_in_viewport()
    expect(page.get_by_label("Target URL")).to_be_focused()


def test_delete(page: Page, links: Links, javascript: bool) -> None:
    """A link is deleted only after confirmation."""
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
    """Clicks are shown as charts and tables, and on the page of the most clicked links."""
    code = links.create(code=links.new_code())["code"]
    for _ in range(3):
        requests.get(f"{stack.url}/{code}", allow_redirects=False, timeout=30)
    page.goto(f"/links/{code}")
    for choice, name in (("30 days", "Last 30 days: 3"), ("24 hours", "Last 24 hours: 3")):
        page.get_by_role("link", name=choice).click()
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
    """The link's page shows its QR code."""
    code = links.create(code=links.new_code())["code"]
    page.goto(f"/links/{code}")
    picture = page.get_by_role("img", name="QR code of")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 0


def test_import_and_export(page: Page, links: Links, tmp_path: Path) -> None:
    """An import creates valid links and reports invalid lines; the export has the new links."""
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


def test_file_is_checked_before_it_is_imported(
    page: Page, links: Links, tmp_path: Path, javascript: bool
) -> None:
    """The first step shows what would be created and why a line is refused; the second does it.

    With JavaScript, the file stays chosen for the second step.
    """
    code = links.new_code()
    links.codes.append(f"{code}-x-2")
    file = tmp_path / "yourls.csv"
    file.write_text(f"keyword,url\n{code},{TARGET}\n{code}/x 2,{TARGET}\ndocs,{TARGET}\n")
    page.goto("/links/-/transfer")
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Check first").click()
    report = page.get_by_role("status")
    expect(report).to_contain_text("Nothing has been changed yet.")
    expect(report).to_contain_text("2 created, 0 unchanged, 1 refused")
    expect(report.get_by_role("row", name=f"2 {code}: {TARGET}")).to_be_visible()
    expect(report.get_by_role("row", name=f"3 code is now {code}-x-2")).to_be_visible()
    assert links.service.get(f"/api/links/{code}").status_code == 404
    if not javascript:
        page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("heading", name="Import result")).to_be_visible()
    assert links.service.get(f"/api/links/{code}-x-2").json()["url"] == TARGET


def test_unknown_code_can_be_created(page: Page, links: Links) -> None:
    """The 404 page of an unknown code leads to the form with that code filled in."""
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
    """Cross-site scripting: titles, URLs and tags are escaped on every page."""
    fields = {"title": SCRIPT, "url": f"{TARGET}?{SCRIPT.replace(' ', '+')}", "tags": [SCRIPT[:50]]}
    code = links.create(code=links.new_code(), **fields)["code"]
    for path in ("/links", f"/links/{code}", f"/links/{code}/delete", f"/{code}+"):
        page.goto(path)
        expect(page.locator("main")).to_contain_text("<script>alert(1)</script>")
        assert page.locator("[onerror], main script").count() == 0


def test_reader_gets_no_buttons(
    stack: Stack, tokens: dict[str, str], open_page: Open, links: Links, javascript: bool
) -> None:
    """With a read token, pages show everything but no controls that write."""
    code = links.create(code=links.new_code(), title="To be read")["code"]
    link = f"/links/{code}"
    page = open_page(stack.url, link, java_script_enabled=javascript)
    sign_in(page, tokens["read"])
    expect(page).to_have_url(stack.url + link)
    expect(page.get_by_role("heading", name="To be read")).to_be_visible()
    expect(page.get_by_text("(read)")).to_be_visible()
    for path in (link, "/links", "/links/-/transfer"):
        page.goto(path)
        assert page.locator("main form:not([role=search]), main .danger").count() == 0
        assert page.get_by_role("link", name="Choose a code").count() == 0
