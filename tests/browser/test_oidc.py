"""People sign in with OpenID Connect in a browser, at a certified provider."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Literal, NamedTuple

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.api.conftest import Deployment, embed
from tests.browser.conftest import ARTEFACTS, WIDE, Axe, Open
from tests.conftest import NO_NODE
from tests.support.checkout import ROOT
from tests.support.compose import run
from tests.support.identity_provider import settings
from tests.support.waiting import free_port

PHONE = ViewportSize(width=360, height=740)
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


class Pair(NamedTuple):
    """A service, and the address of its provider."""

    deployment: Deployment
    issuer: str


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A service where people sign in at a certified provider."""
    if not shutil.which("npm"):
        pytest.skip(NO_NODE)
    folder = tmp_path_factory.mktemp("provider")
    shutil.copytree(ROOT / "tests/browser/identity_provider", folder, dirs_exist_ok=True)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    environ = settings(issuer, OIDC_SCOPES="openid profile roles")
    with embed(tmp_path_factory.mktemp("service"), **environ) as deployment:
        command = ["node", "provider.mjs", str(port), deployment.url]
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as node:
            try:
                assert node.stdout
                assert node.stdout.readline() == b"ready\n"
                yield Pair(deployment, issuer)
            finally:
                node.terminate()


def sign_in(page: Page, name: str) -> None:
    """Go to the provider, and sign in and consent there."""
    page.get_by_role("link", name="Sign in with your account").click()
    page.get_by_placeholder("Enter any login").fill(name)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def test_sign_in_and_out_at_the_provider(pair: Pair, open_page: Open, javascript: bool) -> None:
    """A person signs in at the provider, lands on the page they wanted, and signs out at both."""
    page = open_page(pair.deployment.url, "/sign-in/tokens", java_script_enabled=javascript)
    sign_in(page, "Ada")
    expect(page).to_have_url(f"{pair.deployment.url}/sign-in/tokens")
    expect(page.get_by_role("banner")).to_contain_text("Ada Lovelace")

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    expect(page).to_have_url(f"{pair.deployment.url}/sign-in")
    expect(page.get_by_role("status")).to_have_text("You are signed out.")
    page.get_by_role("link", name="Sign in with your account").click()
    expect(page.get_by_placeholder("Enter any login")).to_be_visible()


def look(page: Page, name: str, axe: Axe | None) -> None:
    """Check a page in two sizes and two themes, and keep pictures. The provider's has no `axe`."""
    ARTEFACTS.mkdir(exist_ok=True)
    for label, size in (("wide", WIDE), ("narrow", PHONE)):
        page.set_viewport_size(size)
        for scheme in THEMES:
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=ARTEFACTS / f"journey-{name}-{label}-{scheme}.png", full_page=True)
            if axe:
                axe(page)
                assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


# example
def test_journey(pair: Pair, open_page: Open, axe: Axe) -> None:
    """A person signs in, creates and edits a link, undoes the edit, and makes a token."""
    page = open_page(pair.deployment.url, "/sign-in")
    look(page, "1-signed-out", axe)
    page.get_by_role("link", name="Sign in with your account").click()
    look(page, "2-provider", None)
    page.go_back()
    sign_in(page, "Ada")
    expect(page.get_by_role("banner")).to_contain_text("Ada Lovelace")
    page.goto("/links/-/new?url=https://docs.docker.com/compose/&title=Compose&code=compose")
    page.get_by_role("button", name="Create").click()
    page.goto("/links")
    look(page, "3-signed-in", axe)
    page.goto("/links/compose")
    page.get_by_label("Title").fill("Docker Compose, the manual")
    page.get_by_role("button", name="Save").click()
    page.goto("/links/compose/history")
    look(page, "4-history", axe)
    page.get_by_role("button", name="Undo").first.click()
    expect(page.get_by_role("status")).to_have_text("Undone.")
    page.goto("/links/compose/history")
    look(page, "5-undone", axe)
    page.goto("/sign-in/tokens")
    page.get_by_label("Name").fill("deploy")
    page.get_by_role("button", name="Create").click()
    look(page, "6-token", axe)
    page.goto("/sign-in/tokens")
    page.get_by_role("link", name="Revoke deploy").click()
    page.get_by_role("button", name="Revoke").click()


# /example


def test_person_without_a_role_is_refused(pair: Pair, open_page: Open) -> None:
    """A person whom the provider gives no role learns it on a page."""
    page = open_page(pair.deployment.url, "/sign-in", java_script_enabled=False)
    sign_in(page, "Eve")
    expect(page.get_by_role("main")).to_contain_text("You have no access to this service.")
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_label("Token")).to_be_visible()


def test_cancelled_sign_in_is_reported(pair: Pair, open_page: Open) -> None:
    """A person who cancels at the provider comes back to a page that says so."""
    page = open_page(pair.deployment.url, "/sign-in")
    page.get_by_role("link", name="Sign in with your account").click()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("main")).to_contain_text("or you cancelled")


def test_create_and_revoke_a_token(pair: Pair, open_page: Open, javascript: bool) -> None:
    """A person creates a token, sees it once, and revokes it."""
    page = open_page(pair.deployment.url, "/sign-in/tokens", java_script_enabled=javascript)
    sign_in(page, "Ada")
    name = f"ci-{json.dumps(javascript)}"
    page.get_by_label("Name").fill(name)
    page.get_by_label("Scope").select_option("read")
    page.get_by_role("button", name="Create").click()
    created = page.get_by_role("status")
    expect(created).to_contain_text("slipway_")
    page.get_by_role("link", name="Tokens").click()
    expect(page.get_by_text("slipway_")).to_have_count(0)
    page.get_by_role("link", name=f"Revoke {name}").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("status")).to_have_text("Revoked.")
    expect(page.get_by_text(name)).to_have_count(0)
