"""People sign in and out in a browser."""

from playwright.sync_api import expect

from tests.browser.conftest import Open, sign_in
from tests.support.compose import Stack


def test_sign_in_and_out(
    stack: Stack, tokens: dict[str, str], open_page: Open, javascript: bool
) -> None:
    """A wrong token is rejected; a valid one signs in until the user signs out."""
    page = open_page(stack.url, java_script_enabled=javascript)
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("This token is not valid.")
    sign_in(page, tokens["write"])
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You are signed out.")
    page.goto("/")
    expect(page.get_by_label("Token")).to_be_visible()


def test_token_is_kept_from_scripts(stack: Stack, tokens: dict[str, str], open_page: Open) -> None:
    """The session cookie is HttpOnly and SameSite=Lax, and no script can find the token."""
    page = open_page(stack.url)
    sign_in(page, tokens["write"])
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"] is True
    assert cookie["sameSite"] == "Lax"
    assert tokens["write"].removeprefix("slipway_") not in cookie["value"]
    assert page.evaluate("document.cookie + localStorage.length") == "0"
