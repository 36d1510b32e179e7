"""Every page in each of its states: accessibility, layout in several sizes, and screenshots.

The tests run on SQLite, because they need one database without links and one with known links.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import pi, sin
from typing import Any, Literal, NamedTuple

import pytest
from playwright.sync_api import Browser, FilePayload, Page, Request, ViewportSize, expect

from tests.api.conftest import Deployment, embed
from tests.browser.conftest import ARTEFACTS, WIDE, Axe, Open, stored_session

WEIGHT = ARTEFACTS / "weight.txt"
Theme = Literal["light", "dark"]
# Each size has the themes of its screenshots. axe runs once per size, in the theme set last.
# Screenshots are for people, and take a quarter of the time: set PICTURES to get them.
SIZES: tuple[tuple[str, ViewportSize, tuple[Theme, ...]], ...] = (
    ("wide", WIDE, ("dark", "light")),
    ("zoomed", {"width": 640, "height": 400}, ()),  # as WIDE at a zoom of 200 %
    ("narrow", {"width": 320, "height": 640}, ("light", "dark")),
)
MOVES = """[...document.querySelectorAll("*")].map(getComputedStyle).some(
    style => style.animationName !== "none" || style.transitionDuration !== "0s"
)"""
# The browser reports the paint a little later. `wait_for_function` can't wait for it, because the
# pages' Content-Security-Policy forbids it.
PAINT = """() => new Promise(done => {
    const tell = entries => entries.getEntriesByName("first-contentful-paint").forEach(
        paint => done(paint.startTime)
    );
    new PerformanceObserver(tell).observe({type: "paint", buffered: true});
})"""
SHIFT = """async () => {
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    const observer = new PerformanceObserver(() => {});
    observer.observe({type: "layout-shift", buffered: true});
    return observer.takeRecords().reduce((all, shift) => all + shift.value, 0);
}"""
# Code, URL, title, tags, days since its creation and its expiry, and clicks on a working day.
LINKS = [
    ("handbook", "https://wiki.example.com/people", "The handbook", ["people"], 700, None, 52),
    ("vpn", "https://wiki.example.com/it/vpn/set-up", "VPN in 5 minutes", ["it"], 610, None, 17),
    ("wiki-2019", "https://wiki-2019.example.com/", "The old wiki", [], 600, 90, 0),
    ("rota", "https://calendar.example.com/rota/team-a", "Who is on call", ["ops"], 410, None, 64),
    ("expenses", "https://forms.example.com/e/expenses", "", ["office", "people"], 300, None, 9),
    ("release", "https://git.example.com/releases", "Release notes", ["dev", "ops"], 120, None, 38),
    ("lunch", "https://canteen.example.com/week", "This week's lunch", ["office"], 45, None, 240),
    ("q3", "https://slides.example.com/d/1fXo-9b?slide=12", "Results of Q3", [], 12, None, 23),
]
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


class Site(NamedTuple):
    """A running service, and the storage state of a browser that is signed in there."""

    service: Deployment
    cookies: Any


@pytest.fixture(scope="module")
def sites(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    """A service without links, and one with some."""
    ARTEFACTS.mkdir(exist_ok=True)
    WEIGHT.write_text("page                    bytes  requests  first paint, ms  layout shift\n")
    folder = tmp_path_factory.mktemp
    settings = {"PUBLIC_URL": "https://go.example.com", "RATE_LIMIT_AUTH": "1/day"}
    with embed(folder("empty")) as empty, embed(folder("filled"), **settings) as filled:
        fill(filled)
        found = {}
        for name, service in {"empty": empty, "filled": filled}.items():
            token = service.cli("tokens", "create", "ada").strip()
            found[name] = Site(service, stored_session(browser, service.url, token))
        yield found


def fill(service: Deployment) -> None:
    """Create the links, with clicks in the working hours of a month."""
    service.cli("links", "import", "-", text="\n".join(map(line, LINKS)))
    counts = []
    for hour in (NOW - timedelta(hours=hours) for hours in range(24 * 30)):
        busy = max(0, sin((hour.hour - 6) / 12 * pi)) * (0.2 if hour.weekday() > 4 else 1)
        for number, link in enumerate(LINKS, 1):
            varied = 0.7 + hash((hour.day, hour.hour, number)) % 60 / 100
            if clicks := round(link[-1] / 7.6 * busy * varied):
                counts.append(f"({number}, '{hour:%F %T}.000000', {clicks})")
    service.sql(f"INSERT INTO link_clicks (link_id, hour, clicks) VALUES {','.join(counts)}")


def line(link: tuple[Any, ...]) -> str:
    """Return a link as a line of JSON for the import."""
    names = ("code", "url", "title", "tags", "created_at", "expires_at")
    days_ago = [days and f"{NOW - timedelta(days):%FT%TZ}" for days in link[4:6]]
    return json.dumps(dict(zip(names, [*link[:4], *days_ago], strict=True)))


def wrong_token(page: Page) -> None:
    """Sign in with a token that is not valid."""
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()


def wrong_tokens(page: Page) -> None:
    """Sign in with a wrong token once more than the rate limit allows."""
    wrong_token(page)
    expect(page.get_by_role("alert")).to_be_visible()
    wrong_token(page)


def wrong_link(page: Page) -> None:
    """Submit a form with wrong fields, with the browser's own validation turned off."""
    page.get_by_label("Target URL").fill("nowhere")
    page.get_by_label("Code").fill("docs")
    page.get_by_label("Tags").fill("x" * 51)
    page.locator("main form").evaluate("form => form.noValidate = true")
    page.get_by_role("button", name="Create").click()


def open_tables(page: Page) -> None:
    """Show the tables of the charts."""
    for summary in page.get_by_text("As a table").all():
        summary.click()


def edit(page: Page) -> None:
    """Edit the link, so that it has a change to undo."""
    page.get_by_label("Title").fill("Results of the third quarter")
    page.get_by_label("Tags").fill("finance")
    page.get_by_role("button", name="Save").click()


def ask(page: Page) -> None:
    """Click Delete, which asks for confirmation."""
    page.get_by_role("link", name="Delete").click()


def send_file(page: Page) -> None:
    """Import an existing link and an invalid line."""
    content = f"{line(LINKS[0])}\nnothing".encode()
    file = FilePayload(name="links.jsonl", mimeType="text/plain", buffer=content)
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Import").click()


def check_file(page: Page) -> None:
    """Show what an import would do."""
    file = FilePayload(
        name="x", mimeType="text/plain", buffer=b"keyword,url\na/b,http://a.b\nc,d\n"
    )
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Check first").click()


# Each state has a site, a path, steps to take, and a text that the page shows after them. An empty
# site means "filled", but without a sign-in.
STATES: dict[str, tuple[str, str, Callable[[Page], None] | None, str]] = {
    "sign-in": ("", "/sign-in", None, "If you have no token"),
    "sign-in-wrong": ("", "/sign-in", wrong_token, "not valid"),
    "sign-in-limited": ("", "/sign-in", wrong_tokens, "Too Many Requests"),
    "docs": ("", "/docs", None, "Create a link"),
    "error": ("", "/unknown", None, "There is no link with this code."),
    "gone": ("", "/wiki-2019", None, "expired"),
    "preview": ("", "/rota+", None, "leads to"),
    "empty": ("empty", "/links", None, "No links yet"),
    "top-empty": ("empty", "/links/-/top", None, "No links were clicked in the last 7 days."),
    "list": ("filled", "/links", None, "The handbook"),
    "list-tag": ("filled", "/links?tag=ops&sort=code", None, "Show all links"),
    "list-nothing": ("filled", "/links?q=nothing", None, "No links found."),
    "list-wrong": ("filled", "/links?sort=clicks", None, "Must be one of"),
    "created": ("filled", "/links?created=lunch", None, "Your short link"),
    "new": ("filled", "/links/-/new", None, "Leave this empty for a random code."),
    "new-wrong": ("filled", "/links/-/new", wrong_link, "Must be an absolute"),
    "link": ("filled", "/links/lunch", None, "Last 30 days"),
    "link-tables": ("filled", "/links/rota", open_tables, "Day (UTC)"),
    "link-expired": ("filled", "/links/wiki-2019", None, "Expired"),
    "link-edited": ("filled", "/links/q3", edit, "Edited"),
    "changes": ("filled", "/links/rota/history", None, "Imported"),
    "restore": ("filled", "/links/-/restore", None, "No links were deleted"),
    "delete": ("filled", "/links/vpn/delete", None, "This also deletes its"),
    "delete-dialog": ("filled", "/links/vpn", ask, "This also deletes its"),
    "top": ("filled", "/links/-/top", None, "clicked in the last 7 days"),
    "transfer": ("filled", "/links/-/transfer", None, "Spreadsheets can open CSV."),
    "transfer-check": ("filled", "/links/-/transfer", check_file, "code is now a-b"),
    "transfer-done": ("filled", "/links/-/transfer", send_file, "1 unchanged, 1 refused"),
    "unknown": ("filled", "/unknown", None, "Create unknown"),
    "unknown-similar": ("filled", "/expences", None, "Similar links"),
}


def transferred(request: Request) -> int:
    """Return the size of an answer in bytes, including its headers."""
    sizes = request.sizes()
    return sizes["responseHeadersSize"] + sizes["responseBodySize"]


@pytest.mark.parametrize("state", STATES)
def test_state(
    sites: dict[str, Site], open_page: Open, loaded: list[Request], axe: Axe, state: str
) -> None:
    """axe finds no violation at any screen size, and nothing is wider than the screen.

    A first visit loads less than 60 kB (more for /docs), only from this service, and the layout
    hardly shifts. With PICTURES, each state is saved as screenshots.
    """
    site, path, steps, shown = STATES[state]
    url = sites[site or "filled"].service.url
    options = {"storage_state": sites[site].cookies} if site else {}
    # Each state has its own address, and so its own rate limit.
    client = {"X-Forwarded-For": f"198.51.100.{list(STATES).index(state)}"}
    page = open_page(url, path, extra_http_headers=client, **options)
    if steps:
        steps(page)
    expect(page.get_by_text(shown).locator("visible=true").first).to_be_visible()
    paint, shift = page.evaluate(PAINT), page.evaluate(SHIFT)
    for name, size, themes in SIZES:
        page.set_viewport_size(size)
        for theme in themes:
            page.emulate_media(color_scheme=theme)
            if "PICTURES" in os.environ:
                picture = ARTEFACTS / f"{state}-{name}-{theme}.png"
                page.screenshot(path=picture, full_page=state != "docs")
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    if steps:
        return
    weight = sum(map(transferred, loaded))
    with WEIGHT.open("a") as table:
        table.write(f"{state:18}{weight:11,}{len(loaded):10}{paint:17.0f}{shift:14.3f}\n")
    kinds = Counter(request.resource_type for request in loaded)
    assert kinds["document"] == kinds["stylesheet"] == 1
    assert kinds["script"] == (bool(site) or state == "docs")
    assert all(request.url.startswith(url) for request in loaded)
    assert weight < 60_000 or state == "docs"
    assert shift < 0.1


def test_motion_can_be_reduced(sites: dict[str, Site], open_page: Open) -> None:
    """Animations and transitions are off for users who prefer reduced motion."""
    site = sites["filled"]
    for wish, moves in (("no-preference", True), ("reduce", False)):
        options = {"storage_state": site.cookies, "reduced_motion": wish}
        page = open_page(site.service.url, "/links/rota", **options)
        assert page.evaluate(MOVES) is moves
