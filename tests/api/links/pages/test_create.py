"""The form that creates a link."""

import re

import pytest

from tests.support.links.client import TARGET, Links
from tests.support.links.pages import is_wrong
from tests.support.visitor import Visitor, form


def test_link_is_created(member: Visitor, links: Links) -> None:
    """The form creates a link with all its fields, and the link's page confirms it once."""
    code = links.new_code()
    fields = {"code": code, "url": TARGET, "title": "Ä 'title'", "tags": "docs\r\n\r\n a b \r\nc,d"}
    answer = member.submit("/links/-/new", **fields, expires_at="2040-02-03T04:05")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/links/{code}")
    link = links.service.get(f"/api/links/{code}").json()
    assert (link["url"], link["title"]) == (TARGET, "Ä 'title'")
    assert (link["tags"], link["expires_at"]) == (["docs", "a b", "c,d"], "2040-02-03T04:05:00Z")
    page = member.get(answer.headers["Location"]).text
    assert f"Created {code}." in page
    assert f"Created {code}." not in member.get(f"/links/{code}").text
    assert f'src="/{code}.qr"' in page


def test_url_is_enough(member: Visitor, links: Links) -> None:
    """Only the URL is required: without a code, a random one is generated."""
    answer = member.submit("/links/-/new", url=TARGET)
    code = answer.headers["Location"].removeprefix("/links/")
    links.codes.append(code)
    assert re.fullmatch("[a-z0-9]{7}", code)
    # The form has the same rate limit as the API.
    assert answer.headers["RateLimit-Policy"].startswith('"create"')


def test_box_shortens_and_returns_to_the_list(member: Visitor, links: Links) -> None:
    """The box above the list creates a link; the list then shows its short URL to copy."""
    fields = form(member.get("/links").text) | {"url": TARGET}
    answer = member.post("/links/-/new", data=fields)
    assert answer.status_code == 303
    code = answer.headers["Location"].removeprefix("/links?created=")
    links.codes.append(code)
    page = member.get(answer.headers["Location"]).text
    made = page.partition("Your short link")[2].partition("</section>")[0]
    assert f'data-copy="{member.url}/{code}"' in made
    assert f'href="/links/{code}"' in made
    # A link that does not exist any more is not shown, and an error leads to the whole form.
    assert "Your short link" not in member.get(f"/links?created={links.new_code()}").text
    wrong = member.post("/links/-/new", data=fields | {"url": "nowhere"})
    assert is_wrong(wrong.text, "url")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("url", "", id="empty URL"),
        pytest.param("url", "example.com", id="URL without a scheme"),
        pytest.param("url", "javascript:alert(1)", id="JavaScript"),
        pytest.param("url", "{own}/x", id="own address"),
        pytest.param("code", "-x", id="leading hyphen in the code"),
        pytest.param("code", "ü", id="non-ASCII code"),
        pytest.param("code", "links", id="reserved: links"),
        pytest.param("code", "Sign-In", id="reserved: sign-in"),
        pytest.param("code", "x" * 65, id="code too long"),
        pytest.param("title", "x" * 201, id="title too long"),
        pytest.param("tags", "a\nb\na", id="same tag twice"),
        pytest.param("tags", "x" * 51, id="tag too long"),
        pytest.param("expires_at", "soon", id="word for the expiry"),
        pytest.param("expires_at", "2040-02-30T00:00", id="expiry on a day that does not exist"),
        pytest.param("expires_at", "2040-02-03T24:00", id="expiry at hour 24"),
    ],
)
def test_error_is_shown_at_its_field(member: Visitor, field: str, value: str) -> None:
    """A wrong field is marked, and the form keeps what was typed.

    The rules are the same as in the API.
    """
    value = value.replace("{own}", member.url)
    fields = {"url": TARGET, "title": "kept <b>", field: value}
    answer = member.submit("/links/-/new", **fields)
    assert answer.status_code == 422
    assert is_wrong(answer.text, field)
    shown = form(answer.text)
    assert {name: shown[name] for name in fields} == fields


def test_list_that_is_too_long_has_one_error(member: Visitor) -> None:
    """Of too many tags, none is checked, however wrong each of them is."""
    fields = form(member.get("/links/-/new").text) | {"url": TARGET, "tags": f"{'x' * 51}\n" * 1000}
    answer = member.post("/links/-/new", data=fields)
    assert answer.status_code == 422
    assert answer.text.count("Longer than maximum length") == 1


def test_taken_code_is_reported(member: Visitor, links: Links) -> None:
    """A taken code is marked in the form, whatever its spelling."""
    code = links.create(code=links.new_code())["code"]
    answer = member.submit("/links/-/new", url=TARGET, code=f"{code.upper()}-")
    assert answer.status_code == 409
    assert is_wrong(answer.text, "code")


def test_code_is_checked_before_it_is_sent(links: Links, reader: Visitor) -> None:
    """While the user types a code, the page can ask whether it is valid and free."""
    taken = links.create(code=links.new_code())["code"]

    def problem(code: str) -> str:
        answer = reader.get("/links/-/check", params={"code": code})
        assert answer.headers["Content-Type"] == "application/json"
        return str(answer.json()["problem"])

    assert problem(links.new_code()) == problem("") == ""
    assert problem(taken) == problem(f"{taken.upper()}-") == "Another link has this code."
    assert problem("links") == "Is reserved by this service."
    assert problem("-x").startswith("Must be 1 to 64")
    assert problem("a\0") != ""


def test_unknown_code_is_offered(member: Visitor, reader: Visitor, links: Links) -> None:
    """Where a code has no link, the page offers users with a write token to create it."""
    code = links.new_code()
    for path in (f"/{code}", f"/{code}/further?x=1", f"/links/{code}"):
        answer = member.get(path)
        assert answer.status_code == 404
        assert f'href="/links/-/new?code={code}"' in answer.text
        assert "/links/-/new" not in reader.get(path).text
    assert "/links/-/new" not in member.again().get(f"/{code}").text
    assert form(member.get(f"/links/-/new?code={code}").text)["code"] == code
