"""People manage their tokens on a page, and admins those of everybody."""

import re
import secrets
from collections.abc import Iterator

import pytest
import requests

from tests.api.conftest import Deployment
from tests.support.identity_provider import Provider, settings, sign_in
from tests.support.service import Service
from tests.support.visitor import Visitor, form, form_key

PAGE = "/sign-in/tokens"
# Signs a person in as the provider would, and prints what the pages answer.
ON_MYSQL = """
import re, secrets, time
from datetime import timedelta
import app
from app.identity import tokens
from werkzeug.test import Client
app = app.create_app.__wrapped__()
person, database = secrets.token_hex(32), app.extensions["database"]
with app.app_context():
    token = tokens.create_session(database, person, "Ada", "write", timedelta(hours=1))
me = {"id": token.id, "name": "Ada", "scope": "write", "is_session": True}
me["until"] = time.time() + 60
signer = app.session_interface.get_signing_serializer(app)
client = Client(app)
client.set_cookie("slipway", signer.dumps({"form_key": "key", "me": me}))
form = {"form_key": "key", "name": secrets.token_hex(8), "scope": "read", "days": "30"}
print(client.get("/sign-in/tokens").status_code)
print(*(client.post("/sign-in/tokens", data=form).status_code for _ in range(2)))
page = client.get("/sign-in/tokens").text
for path in re.findall('href="(/sign-in/tokens/[0-9]+/revoke)"', page):
    print(client.post(path, data=form).status_code)
print(client.get("/sign-in/tokens").status_code)
"""


@pytest.fixture
def deployment(with_provider: Deployment) -> Deployment:
    """A service where people sign in at the provider."""
    return with_provider


@pytest.fixture
def ada(provider: Provider, visitor: Visitor) -> Visitor:
    """Ada, an editor, in a browser where she has signed in."""
    provider.claims["sub"] = f"ada-{secrets.token_hex(4)}"
    sign_in(visitor)
    return visitor


@pytest.fixture
def boss(ada: Visitor, provider: Provider) -> Iterator[Visitor]:
    """An admin."""
    with ada.again() as boss:
        provider.claims |= {"sub": "boss", "name": "Grace Hopper", "roles": ["ops"]}
        sign_in(boss)
        yield boss


def create(visitor: Visitor, **changes: str) -> requests.Response:
    """Fill in the form for a new token, and send it."""
    fields = form(visitor.get(PAGE).text) | {"scope": "write", "days": "90"} | changes
    return visitor.post(PAGE, data=fields)


def secret_in(answer: requests.Response) -> str:
    """Return the new token that a page shows."""
    [secret] = re.findall(r"<code>(slipway_\S+)</code>", answer.text)
    return str(secret)


def revoke_path(visitor: Visitor, name: str, page: str = PAGE) -> str:
    """Return the path that revokes a token which a visitor's page lists."""
    [path] = re.findall(rf'href="([^"]+)" aria-label="Revoke {name}"', visitor.get(page).text)
    return str(path)


def new_name() -> str:
    """Return a name that no token has."""
    return f"ci-{secrets.token_hex(4)}"


def test_token_is_shown_once_and_works(deployment: Deployment, ada: Visitor) -> None:
    """A person creates a token for the API, which is shown once, and revokes it."""
    name = new_name()
    answer = create(ada, name=name)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    secret = secret_in(answer)
    page = ada.get(PAGE).text
    assert name in page
    assert secret not in page + deployment.log()
    with Service(deployment.url, secret) as program:
        assert program.get("/api/me").json() == {"name": name, "scope": "write"}
        path = revoke_path(ada, name)
        assert "Programs that use it" in ada.get(path).text
        for _ in range(2):  # the second time does no harm
            assert ada.submit(PAGE).status_code in {409, 422}  # an empty form creates nothing
            answer = ada.post(path, data={"form_key": form_key(ada)})
            assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
        assert program.get("/api/me").status_code == 401
    assert ada.get(path).status_code == 404


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        pytest.param({"name": ""}, "Must be 1 to 100 printable characters.", id="no name"),
        pytest.param({"name": "a\x00b"}, "Must be 1 to 100", id="control character"),
        pytest.param({"name": "x" * 101}, "Must be 1 to 100", id="long name"),
        pytest.param({"scope": "admin"}, "Choose a scope that you have.", id="larger scope"),
        pytest.param({"scope": "root"}, "Choose a scope that you have.", id="unknown scope"),
        pytest.param({"days": "36500"}, "Choose one of these lifetimes.", id="lifetime"),
        pytest.param({"days": ""}, "Choose one of these lifetimes.", id="no lifetime"),
    ],
)
def test_wrong_field_is_reported(ada: Visitor, fields: dict[str, str], text: str) -> None:
    """A field that is not right is reported beside it, and no token is created."""
    answer = create(ada, **{"name": new_name(), **fields})
    assert answer.status_code == 422
    assert text in answer.text
    assert "slipway_" not in answer.text


def test_name_is_taken_only_once(ada: Visitor) -> None:
    """A form that is sent twice creates one token."""
    name = new_name()
    assert [create(ada, name=name).status_code for _ in range(2)] == [201, 409]


def test_reader_creates_tokens_that_read(
    deployment: Deployment, provider: Provider, visitor: Visitor
) -> None:
    """A person who can only read can create and revoke tokens that can only read."""
    provider.claims |= {"sub": "reader", "roles": ["reader"]}
    sign_in(visitor)
    name = new_name()
    assert create(visitor, name=name).status_code == 422
    with Service(deployment.url, secret_in(create(visitor, name=name, scope="read"))) as program:
        assert program.get("/api/me").json()["scope"] == "read"
    path = revoke_path(visitor, name)
    assert visitor.post(path, data={"form_key": form_key(visitor)}).status_code == 303


def test_tokens_of_others_are_for_admins(
    deployment: Deployment, ada: Visitor, boss: Visitor
) -> None:
    """An admin sees and revokes all tokens, also browsers. Others see and revoke only their own."""
    name, other = new_name(), new_name()
    deployment.cli("tokens", "create", other)
    create(ada, name=name)
    mine = ada.get(PAGE).text
    assert other not in mine
    assert "Grace Hopper" not in mine
    everything = boss.get(PAGE).text
    for text in (name, other, "Ada Lovelace", "created on the command line"):
        assert text in everything
    path = revoke_path(boss, other)
    assert ada.get(path).status_code == 404
    ada.post(path, data={"form_key": form_key(ada)})
    assert other in boss.get(PAGE).text
    boss.post(path, data={"form_key": form_key(boss)})
    assert other not in boss.get(PAGE).text

    [session] = re.findall(r'aria-label="Revoke (session-\w+)"', mine)
    boss.post(revoke_path(boss, session), data={"form_key": form_key(boss)})
    assert ada.get(PAGE).headers["Location"] == "/sign-in?next=/sign-in/tokens"


def test_found_token_creates_no_other(deployment: Deployment, ada: Visitor) -> None:
    """A browser that signed in with a token can't create tokens; with an admin's, it can revoke."""
    secret = secret_in(create(ada, name=new_name()))
    with Visitor(deployment.url, secret) as thief:
        for answer in (thief.get(PAGE), thief.post(PAGE, data={"form_key": form_key(thief)})):
            assert answer.status_code == 403
            assert "sign in with your account" in answer.text
        assert PAGE not in thief.get("/docs").text
    with Visitor(deployment.url, deployment.token("admin")) as operator:
        assert "All tokens" in operator.get(PAGE).text
        answer = operator.post(PAGE, data={"form_key": form_key(operator)})
        assert answer.status_code == 403


def test_list_of_the_command_line_names_the_person(deployment: Deployment, ada: Visitor) -> None:
    """`tokens list` has the person of a token in its last column."""
    name = new_name()
    create(ada, name=name)
    lines = deployment.cli("tokens", "list").splitlines()
    assert lines[0].endswith("PERSON")
    [line] = [line for line in lines if line.startswith(name)]
    assert line.endswith("Ada Lovelace")


def test_expired_sessions_are_deleted(deployment: Deployment, ada: Visitor) -> None:
    """A session ends after 12 hours, and the next sign-in of anybody deletes its token."""
    create(ada, name=new_name())
    long_ago = "2020-01-01 00:00:00.000000"
    deployment.sql(f"UPDATE tokens SET expires_at = '{long_ago}' WHERE person IS NOT NULL")
    assert ada.get(PAGE).status_code == 303
    sign_in(ada)
    left = deployment.sql(f"SELECT is_session FROM tokens WHERE expires_at = '{long_ago}'")
    assert {is_session for (is_session,) in left} == {None}


def test_long_list_has_pages(deployment: Deployment, boss: Visitor) -> None:
    """A long list has a link to its next page."""
    template = "INSERT INTO tokens (name, digest, scope, created_at) VALUES ('page-{0:03}', '{0}', "
    for number in range(101):
        deployment.sql(template.format(number) + "'read', '2026-01-01 00:00:00.000000')")
    [after] = re.findall(r'href="([^"]+)" rel="next"', boss.get(PAGE).text)
    first, second = boss.get(PAGE).text, boss.get(after).text
    names = re.findall(r"<strong>(page-\d+)</strong>", first + second)
    assert names == [f"page-{number:03}" for number in range(101)]
    deployment.sql("DELETE FROM tokens WHERE name LIKE 'page-%'")


@pytest.mark.engine
def test_page_works_on_mysql(on_mysql: Deployment) -> None:
    """On MySQL too, a person creates and revokes tokens, and then the session."""
    done = on_mysql.command_line.complete(code=ON_MYSQL, **settings("https://login.example.com"))
    printed = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    assert (printed, done.stderr) == (["200", "201 409", "303", "303", "303"], "")
