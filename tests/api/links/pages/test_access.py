"""Access to the pages: sign-in, read tokens, and revoked and expired tokens."""

import html
import re
import secrets

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.visitor import Visitor, form


def test_everything_needs_sign_in(member: Visitor, links: Links) -> None:
    """Every page redirects to the sign-in, which returns to that page."""
    code = links.create()["code"]
    paths = ["", "?q=a&tag=b", "/-/new", "/-/check?code=x", "/-/top", "/-/transfer", "/-/export"]
    paths += [f"/{code}", f"/{code}/delete", "/unknown"]
    with member.again() as visitor:
        for path in paths:
            answer = visitor.get(f"/links{path}")
            assert answer.status_code == 303, path
            signing = answer.headers["Location"]
            assert signing.startswith("/sign-in?next=/links")
            page = visitor.get(signing)
            [action] = re.findall('<form method="post" action="([^"]*)"', page.text)
            fields = form(page.text) | {"token": links.service.token}
            done = visitor.post(html.unescape(action), data=fields)
            assert (done.status_code, done.headers["Location"]) == (303, f"/links{path}")
            visitor.cookies.clear()


def test_no_page_is_kept(member: Visitor, links: Links) -> None:
    """Browsers store no page and no error, so the back button shows nothing after sign-out."""
    code = links.create()["code"]
    for path in ("", "/-/new", "/-/export", f"/{code}", f"/{code}/delete", "/unknown", "?sort=x"):
        answer = member.get(f"/links{path}")
        assert answer.headers["Cache-Control"] == "no-store", path
    assert member.post(f"/links/{code}").headers["Cache-Control"] == "no-store"
    assert member.again().get("/links").headers["Cache-Control"] == "no-store"


def test_sign_in_that_is_open_stays_good(member: Visitor, links: Links) -> None:
    """An open sign-in form still works after another page was opened."""
    with member.again() as visitor:
        fields = form(visitor.get("/sign-in").text) | {"token": links.service.token}
        visitor.get("/links")
        assert visitor.post("/sign-in", data=fields).status_code == 303


def test_short_url_is_no_way_out_of_the_sign_in(member: Visitor, links: Links) -> None:
    """No open redirect: sign-in never redirects to a short URL, which could lead anywhere."""
    code = links.create()["code"]
    with member.again() as visitor:
        page = visitor.get(f"/sign-in?next=/{code}")
        fields = form(page.text) | {"token": links.service.token}
        answer = visitor.post(f"/sign-in?next=/{code}", data=fields)
    assert answer.headers["Location"] == "/"


def test_reader_only_reads(reader: Visitor, links: Links) -> None:
    """With a read token, pages show no forms that write, and writing gets 403."""
    link = links.create()
    path = f"/links/{link['code']}"
    for seen in (
        "/links",
        path,
        f"{path}/history",
        "/links/-/restore",
        "/links/-/top",
        "/links/-/transfer",
    ):
        answer = reader.get(seen)
        assert answer.status_code == 200
        main = answer.text.partition("<main")[2]
        assert 'method="post"' not in main
        assert "/-/new" not in main
        assert "/delete" not in main
    [key] = set(re.findall('name="form_key" value="([^"]+)"', reader.get("/links").text))
    fields = {"form_key": key, "url": TARGET, "code": links.new_code(), "revision": "1-1"}
    for target in (
        "/links/-/new",
        path,
        f"{path}/delete",
        f"{path}/history/1/undo",
        "/links/-/transfer",
    ):
        answer = reader.post(target, data=fields)
        assert answer.status_code == 403
        assert "scope" in answer.text
    assert links.service.get(f"/api{path}").json() == link
    assert links.service.get(f"/api/links/{fields['code']}").status_code == 404


def test_admin_writes(deployment: Deployment, links: Links) -> None:
    """With an admin token, pages show the same forms as with a write token."""
    path = f"/links/{links.create()['code']}"
    with Visitor(deployment.url, deployment.token("admin")) as admin:
        for seen, control in (
            ("/links", "/links/-/new"),
            (path, f"{path}/delete"),
            ("/links/-/transfer", 'type="file"'),
        ):
            assert control in admin.get(seen).text.partition("<main")[2]


def test_revoked_token_signs_its_browsers_out(deployment: Deployment) -> None:
    """Revoking a token signs its browsers out at once."""
    name = f"gone-{secrets.token_hex(4)}"
    token = deployment.cli("tokens", "create", name).strip()
    with Visitor(deployment.url, token) as visitor:
        assert name in visitor.get("/links").text
        deployment.cli("tokens", "revoke", name)
        answer = visitor.get("/links")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?next=/links")
        assert "Sign out" not in visitor.get("/docs").text
        assert visitor.get("/sign-in").status_code == 200


def test_expired_token_signs_its_browsers_out(deployment: Deployment) -> None:
    """When a token expires, its browsers are signed out."""
    name = f"old-{secrets.token_hex(4)}"
    token = deployment.cli("tokens", "create", name, "--expires", "1d").strip()
    with Visitor(deployment.url, token) as visitor:
        assert visitor.get("/links").status_code == 200
        deployment.sql(
            f"UPDATE tokens SET expires_at = '2020-01-01 00:00:00.000000' WHERE name = '{name}'"
        )
        assert visitor.get("/links").status_code == 303
