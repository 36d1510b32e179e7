"""Browser sessions resist CSRF, session fixation, forged cookies and open redirects."""

import json
import re

import pytest

from tests.api.conftest import Deployment
from tests.support.forked import python
from tests.support.service import Service
from tests.support.visitor import Visitor, form, form_key, is_in

FORMS = """
import json
from app import create_app
print(json.dumps([
    rule.rule for rule in create_app().url_map.iter_rules()
    if "POST" in rule.methods and not rule.rule.startswith("/api")
]))
"""


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The paths of all routes that accept a form."""
    folder = tmp_path_factory.mktemp("forms")
    found: list[str] = json.loads(python(FORMS, DATABASE_URL=f"sqlite:///{folder}/x.db"))
    return [re.sub("<[^>]*>", "abc", re.sub("<id:[^>]*>", "1", rule)) for rule in found]


def test_sign_in_replaces_cookie_and_form_key(service: Service, visitor: Visitor) -> None:
    """Session fixation: sign-in replaces the cookie and the form key that existed before it."""
    page = visitor.get("/sign-in")
    planted, key = visitor.cookies["slipway"], form(page.text)["form_key"]
    visitor.post("/sign-in", data={"form_key": key, "token": service.token})
    assert visitor.cookies["slipway"] != planted
    assert form_key(visitor) != key
    assert visitor.post("/sign-out", data={"form_key": key}).status_code == 403
    with visitor.again() as other:
        other.cookies["slipway"] = planted
        assert not is_in(other)


def test_forged_cookie_is_nobodys(member: Visitor) -> None:
    """A cookie with one changed character, or signed without the key, is ignored."""
    good = member.cookies["slipway"]
    body, stamp, signature = good.rsplit(".", 2)
    other = "A" if body[5] != "A" else "B"
    forged = [
        f"{body[:5]}{other}{body[6:]}.{stamp}.{signature}",
        f"{body}.{stamp}.",
        f"{body}..{signature}",
        "x",
        "." * 100,
        "eyJtZSI6eyJpZCI6MX19.aaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ]
    for value in forged:
        with member.again() as visitor:
            visitor.headers["Cookie"] = f"slipway={value}"
            assert not is_in(visitor), value
    assert is_in(member)


@pytest.mark.parametrize(
    "onward",
    [
        pytest.param("https://evil.example", id="another site"),
        pytest.param("//evil.example", id="two slashes"),
        pytest.param("///evil.example", id="three slashes"),
        pytest.param("/\\evil.example", id="backslash"),
        pytest.param("\\\\evil.example", id="two backslashes"),
        pytest.param("/\t/evil.example", id="tab"),
        pytest.param(" //evil.example", id="leading space"),
        pytest.param("/%0a/evil.example", id="encoded newline"),
        pytest.param("javascript:alert(1)", id="script URL"),
        pytest.param("evil.example", id="host alone"),
        pytest.param("/docs", id="page without a sign-in"),
        pytest.param("/sign-out", id="sign-out"),
        pytest.param("/no/such/page", id="unknown page"),
        pytest.param("/" + "x" * 2000, id="long path"),
        pytest.param("\ufeff/docs", id="byte order mark"),
    ],
)
def test_sign_in_leads_nowhere_else(service: Service, visitor: Visitor, onward: str) -> None:
    """No open redirect: sign-in returns only to a page that requires a sign-in."""
    page = visitor.get("/sign-in", params={"next": onward})
    fields = form(page.text) | {"token": service.token}
    answer = visitor.post("/sign-in", data=fields, params={"next": onward})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"data": {}}, id="no key"),
        pytest.param({"data": {"form_key": ""}}, id="empty key"),
        pytest.param({"data": {"form_key": "wrong"}}, id="wrong key"),
        pytest.param({"data": {"form_key": "ü"}}, id="non-ASCII key"),
        pytest.param({"json": {}}, id="JSON"),
        pytest.param({"params": {"form_key": "{right}"}}, id="key in the query"),
        pytest.param(
            {"right": True, "headers": {"Sec-Fetch-Site": "cross-site"}}, id="another site"
        ),
        pytest.param(
            {"right": True, "headers": {"Sec-Fetch-Site": "same-site"}},
            id="another host of the site",
        ),
        pytest.param(
            {"right": True, "headers": {"Origin": "https://evil.example"}}, id="another origin"
        ),
        pytest.param({"right": True, "headers": {"Origin": "null"}}, id="null origin"),
    ],
)
def test_every_form_must_be_our_own(
    member: Visitor, forms: list[str], wrong: dict[str, object]
) -> None:
    """CSRF: every route that accepts a form rejects forms from other sites with 403.

    The routes are read from the app, so that later ones are tested too.
    """
    assert {"/sign-in", "/sign-out"} <= set(forms)
    key = form_key(member)
    given = dict(wrong)
    if given.pop("right", False):
        given["data"] = {"form_key": key}
    if "params" in given:
        given["params"] = {"form_key": key}
    for path in forms:
        answer = member.post(path, **given)  # type: ignore[arg-type]
        assert answer.status_code == 403, path
        assert answer.headers["Content-Type"].startswith("text/html")
    assert is_in(member)


def test_form_of_another_is_refused(member: Visitor, deployment: Deployment) -> None:
    """A form key of one session is rejected in another session."""
    with Visitor(deployment.url, deployment.token()) as other:
        key = form_key(other)
    assert member.post("/sign-out", data={"form_key": key}).status_code == 403
    own = {"Origin": member.url}
    assert member.post("/sign-out", data={"form_key": form_key(member)}, headers=own).ok


def test_cookie_is_no_token(member: Visitor) -> None:
    """The API accepts tokens only, so a browser's cookie can't be misused for it."""
    assert member.get("/api/me").status_code == 401
