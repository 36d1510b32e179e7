"""Fixtures for tests in a real browser. A test fails if any page it opens has an error."""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    expect,
)

from tests.conftest import NO_BROWSER, NO_NODE
from tests.support.checkout import ROOT
from tests.support.compose import Stack, run

# The first has no user interface, and takes a fifth less time.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARTEFACTS = ROOT / "tests/browser/artefacts"
WIDE = ViewportSize(width=1280, height=800)
# axe does not check target sizes by default, but WCAG 2.2 AA requires it.
AXE = """axe.run(document, {
    rules: {"target-size": {enabled: true}}, resultTypes: ["violations"]
}).then(found => found.violations)"""

Axe = Callable[[Page], None]
Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Use the browser that is installed, and download none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(NO_BROWSER)
    return {"executable_path": found}


@pytest.fixture(scope="session")
def tokens(stack: Stack) -> Iterator[dict[str, str]]:
    """A token for each scope."""
    command = ("app", "slipway", "tokens")
    names = {scope: f"{scope}-{secrets.token_hex(4)}" for scope in ("read", "write")}
    yield {
        scope: stack.exec(*command, "create", name, "--scope", scope).strip()
        for scope, name in names.items()
    }
    for name in names.values():
        stack.exec(*command, "revoke", name)


@pytest.fixture(params=[True, False], ids=["javascript", "plain"])
def javascript(request: pytest.FixtureRequest) -> bool:
    """Whether scripts run: tests that use this fixture run with and without JavaScript."""
    return bool(request.param)


@pytest.fixture
def faults() -> Iterator[list[str]]:
    """The errors in the pages of a test; those that remain at its end make it fail."""
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
def loaded() -> list[Request]:
    """All requests of a test's pages that have finished, including the pages themselves."""
    return []


@pytest.fixture
def open_page(browser: Browser, faults: list[str], loaded: list[Request]) -> Iterator[Open]:
    """A function that opens a page in its own browser context, with options of that context."""
    contexts = []

    def open_page(url: str, path: str = "/", **options: Any) -> Page:
        context = browser.new_context(**{"base_url": url, "viewport": WIDE} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        _watch(page, faults, loaded)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def sign_in(page: Page, token: str) -> None:
    """Sign in on the sign-in page, and wait for the next page."""
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def stored_session(browser: Browser, url: str, token: str) -> Any:
    """Return the storage state of a browser that has signed in.

    A test that opens a page with it saves the time of a sign-in.
    """
    with browser.new_context(base_url=url) as context:
        page = context.new_page()
        page.goto("/sign-in")
        sign_in(page, token)
        return context.storage_state()


def _watch(page: Page, faults: list[str], loaded: list[Request]) -> None:
    """Record script errors, violations of the Content-Security-Policy, and failed requests."""

    def finished(request: Request) -> None:
        loaded.append(request)

    def logged(message: ConsoleMessage) -> None:
        # The browser logs an error for each error page, but some tests open error pages on purpose.
        if message.type in {"error", "warning"} and "Failed to load" not in message.text:
            faults.append(f"{page.url}: {message.text}")

    def answered(response: Response) -> None:
        if response.status >= 400 and not response.request.is_navigation_request():
            faults.append(f"{page.url}: {response.status} for {response.url}")

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # which downloads cause, too
            faults.append(f"{page.url}: {request.failure} for {request.url}")

    page.on("console", logged)
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.on("response", answered)
    page.on("requestfailed", failed)
    page.on("requestfinished", finished)


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> Axe:
    """A function that checks a page as it is now with axe, and fails on any violation."""
    if not shutil.which("npm"):
        pytest.skip(NO_NODE)
    folder = tmp_path_factory.mktemp("axe")
    shutil.copytree(ROOT / "tests/browser/axe", folder, dirs_exist_ok=True)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    script = Path(folder, "node_modules/axe-core/axe.min.js").read_text()

    def axe(page: Page) -> None:
        if page.evaluate("!window.axe"):
            page.evaluate(script)
        found = [
            f"{rule['id']}: {node['html']} {node['failureSummary']}"
            for rule in page.evaluate(AXE)
            for node in rule["nodes"]
        ]
        assert found == [], f"{page.url}\n" + json.dumps(found, indent=1)

    return axe
