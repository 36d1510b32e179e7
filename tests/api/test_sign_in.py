"""Browsers sign in with a token, and sign out."""

import re
import secrets
from datetime import UTC, datetime

import pytest
import requests

from tests.api.conftest import Deployment
from tests.support.forked import python
from tests.support.service import Service
from tests.support.visitor import Visitor, form, form_key, is_in

OFF = """
from app import create_app
client = create_app().test_client()
for path in ("/", "/sign-in"):
    answer = client.get(path, headers={"Accept": "text/html"})
    print(answer.status_code, answer.mimetype)
"""

STATEMENTS = """
from sqlalchemy import Engine, event
from app import create_app
from app.database.types import metadata
from app.identity.tokens import create_token
app = create_app()
app.config["NAVIGATION"].clear()
database = app.extensions["database"]
metadata.create_all(database.autocommit)
token = create_token(database, "x", "write", None)
statements = []
event.listen(Engine, "before_cursor_execute", lambda *given: statements.append(given[2].split()[0]))

def run(method, path, **form):
    statements.clear()
    answer = client.open(path, method=method, data=form, headers={"Accept": "text/html"})
    print(answer.status_code, *statements)

client = app.test_client()
for path in ("/", "/docs", "/sign-in"):
    run("GET", path)
with client.session_transaction() as session:
    key = session["form_key"]
run("POST", "/sign-in", form_key=key, token=token)
run("GET", "/")  # records the token's use too
run("GET", "/")
"""

COOKIE = r"slipway=[\w.-]+; HttpOnly; Path=/; SameSite=Lax"


def test_browser_comes_to_the_sign_in(visitor: Visitor) -> None:
    """Browsers that open `/` are redirected to the sign-in; other clients are greeted."""
    answer = visitor.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in")
    assert "Accept" in answer.headers["Vary"]
    greeting = visitor.get("/", headers={"Accept": "*/*"})
    assert (greeting.status_code, greeting.headers["Vary"]) == (200, "Accept")
    assert greeting.text.startswith("Hello, World!")


def test_page_is_off_without_a_key(tmp_path: object) -> None:
    """Without SECRET_KEY there is no sign-in page."""
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "LOG_LEVEL": "error"}
    printed = python(OFF, **environ)
    assert printed.split() == ["200", "text/plain", "404", "text/html"]


def test_token_signs_in(service: Service, visitor: Visitor) -> None:
    """A valid token gets a session cookie that is HttpOnly and SameSite=Lax."""
    answer = visitor.submit("/sign-in", token=service.token)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert re.fullmatch(COOKIE, answer.headers["Set-Cookie"])
    assert is_in(visitor)
    assert visitor.get("/sign-in").status_code == 302
    assert visitor.get("/").status_code in {200, 302}


def test_cookie_is_for_https_only_where_there_is_https(service: Service, visitor: Visitor) -> None:
    """Behind TLS, the cookie is Secure and has the prefix __Host-."""
    https = {"X-Forwarded-Proto": "https"}
    page = visitor.get("/sign-in", headers=https)
    given = page.headers["Set-Cookie"]
    assert given.startswith("__Host-slipway=")
    assert "; Secure;" in given
    assert "Domain" not in given
    cookie = given.partition(";")[0]
    fields = form(page.text) | {"token": service.token}
    answer = visitor.post("/sign-in", data=fields, headers=https | {"Cookie": cookie})
    assert answer.headers["Set-Cookie"].startswith("__Host-slipway=")
    assert "; Secure;" in answer.headers["Set-Cookie"]


def test_token_is_never_shown(deployment: Deployment, visitor: Visitor) -> None:
    """The token is not in the cookie, the page or the log."""
    token = deployment.token()
    visitor.submit("/sign-in", token=token)
    cookie = visitor.cookies["slipway"]
    assert token not in cookie
    assert token not in visitor.get("/").text + deployment.log()


def test_sign_out(member: Visitor) -> None:
    """Signing out ends the session."""
    fields = {"form_key": form_key(member)}
    answer = member.post("/sign-out", data=fields)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")
    assert "You are signed out." in member.get("/sign-in").text
    assert not is_in(member)


def copy_of(member: Visitor) -> Visitor:
    """Return a visitor with a copy of a member's cookie."""
    other = member.again()
    other.headers["Cookie"] = f"slipway={member.cookies['slipway']}"
    return other


def is_admitted(visitor: Visitor) -> bool:
    """Return whether `/` leads the visitor to a page, and not to the sign-in."""
    answer = visitor.get("/")
    for _ in range(3):
        if answer.status_code == 200 or answer.headers["Location"].startswith("/sign-in"):
            break
        answer = visitor.get(answer.headers["Location"])
    return answer.status_code == 200


def test_copied_cookie_ends_with_the_session(
    deployment: Deployment, service: Service, member: Visitor
) -> None:
    """After signing out, a copy of the cookie is worth nothing. Other sessions go on."""
    with copy_of(member) as copied, Visitor(service.url, service.token) as other:
        key = form_key(member)
        assert is_admitted(copied)
        assert member.post("/sign-out", data={"form_key": key}).status_code == 303
        for _ in range(8):  # more than there are workers
            assert not is_admitted(copied)
        assert copied.post("/sign-out", data={"form_key": key}).status_code == 303
        assert not is_admitted(copied)
        assert is_admitted(other)
        assert service.get("/api/me").status_code == 200
    assert "Traceback" not in deployment.log()


def test_end_of_a_session_costs_no_query(tmp_path: object) -> None:
    """A page for users needs one query, and a request without a session none."""
    printed = python(STATEMENTS, DATABASE_URL=f"sqlite:///{tmp_path}/x.db", SECRET_KEY="x" * 32)
    lines = [line for line in printed.splitlines() if not line.startswith("{")]
    assert lines == ["302", "200", "200", "303 SELECT", "200 SELECT UPDATE", "200 SELECT"]


def test_new_sign_in_ends_the_session_before(service: Service, member: Visitor) -> None:
    """A browser that signs in again leaves no session behind."""
    with copy_of(member) as copied:
        fields = {"form_key": form_key(member), "token": service.token}
        assert member.post("/sign-in", data=fields).status_code == 303
        assert is_admitted(member)
        assert not is_admitted(copied)


def test_ended_sessions_are_swept(deployment: Deployment, member: Visitor) -> None:
    """A sign-out deletes the records of sessions whose cookies have expired."""
    old, recent = "2020-01-01 00:00:00.000000", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}.000000"
    digests = {secrets.token_hex(16): time for time in (old, recent)}
    for digest, time in digests.items():
        row = f"('{digest}', '{time}')"
        deployment.sql(f"INSERT INTO ended_sessions (digest, ended_at) VALUES {row}")
    member.post("/sign-out", data={"form_key": form_key(member)})
    times = str(deployment.sql("SELECT ended_at FROM ended_sessions"))
    assert old[:10] not in times
    assert recent[:19] in times


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("x", id="one letter"),
        pytest.param("slipway_" + "x" * 43, id="unknown token"),
        pytest.param("ü🚀", id="not ASCII"),
        pytest.param("' OR 1=1 --", id="SQL"),
    ],
)
def test_wrong_token_is_reported(visitor: Visitor, token: str) -> None:
    """A wrong token is rejected with a message, and nobody is signed in."""
    answer = visitor.submit("/sign-in", token=token)
    assert answer.status_code == 422
    assert "This token is not valid." in answer.text
    assert token in {"", "x"} or token not in answer.text
    assert not is_in(visitor)


def test_wrong_tokens_are_limited(service: Service, visitor: Visitor) -> None:
    """Wrong tokens on the page and in the API share one rate limit.

    A valid token still signs in when the limit is used up.
    """
    fields = form(visitor.get("/sign-in").text) | {"token": "wrong"}
    headers = {"X-Forwarded-For": str(visitor.headers["X-Forwarded-For"])}
    for attempts in range(100):  # noqa: B007 more attempts than two windows allow
        answer = visitor.post("/sign-in", data=fields)
        if answer.status_code != 422:
            break
        bearer = headers | {"Authorization": "Bearer wrong"}
        requests.get(f"{visitor.url}/api/me", headers=bearer, timeout=30)
    assert (answer.status_code, attempts >= 15) == (429, True)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert int(answer.headers["Retry-After"]) > 0
    assert visitor.submit("/sign-in", token=service.token).status_code == 303
