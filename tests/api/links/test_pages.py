"""The web page of links: what people do there, each job without JavaScript."""

import html
import json
import re
import secrets
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.api.conftest import Deployment, embed
from tests.support.links.client import TARGET, Links
from tests.support.service import Service
from tests.support.visitor import ACCEPT, Visitor, form
from tests.support.waiting import wait_until

FIELDS = b",".join(b'"%d": 1' % number for number in range(5000))
XSS = "<script>alert(1)</script>\"'&{{7*7}}"


@pytest.fixture
def member(service: Service) -> Iterator[Visitor]:
    """Somebody who may write."""
    with Visitor(service.url, service.token) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def reader(deployment: Deployment) -> Iterator[Visitor]:
    """Somebody who may only read."""
    with Visitor(deployment.url, deployment.token("read")) as visitor:
        yield visitor


def listed(page: str) -> list[str]:
    """Return the codes in a list, in its order."""
    return re.findall(r'<a class="code" href="/links/([\w-]+)"', page)


def is_wrong(page: str, field: str) -> bool:
    """Say whether a page tells what is wrong with a field, so that everybody finds it."""
    [tag] = re.findall(rf'<(?:input|textarea) id="{field}"[^>]*>', page)
    described = re.search('aria-describedby="([^"]*)"', tag)
    return bool('aria-invalid="true"' in tag and described and f"{field}-wrong" in described[1])


# Create


def test_link_is_created(member: Visitor, links: Links) -> None:
    """All fields of the form are the link's, and its page says so."""
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
    """A code is made where none is wanted."""
    answer = member.submit("/links/-/new", url=TARGET)
    code = answer.headers["Location"].removeprefix("/links/")
    links.codes.append(code)
    assert re.fullmatch("[a-z0-9]{7}", code)
    assert answer.headers["RateLimit-Policy"].startswith('"create"')  # a creation like any other


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("url", "", id="empty URL"),
        pytest.param("url", "example.com", id="URL without a scheme"),
        pytest.param("url", "javascript:alert(1)", id="JavaScript"),
        pytest.param("url", "{own}/x", id="own address"),
        pytest.param("code", "-x", id="leading hyphen in the code"),
        pytest.param("code", "ü", id="code that is not ASCII"),
        pytest.param("code", "links", id="reserved: links"),
        pytest.param("code", "Sign-In", id="reserved: sign-in"),
        pytest.param("code", "x" * 65, id="code too long"),
        pytest.param("title", "x" * 201, id="title too long"),
        pytest.param("tags", "a\nb\na", id="same tag twice"),
        pytest.param("tags", "x" * 51, id="tag too long"),
        pytest.param("expires_at", "soon", id="word for the expiry"),
        pytest.param("expires_at", "2040-02-30T00:00", id="expiry on a day that does not exist"),
    ],
)
def test_wrong_field_is_told_at_its_place(member: Visitor, field: str, value: str) -> None:
    """The rules are the API's; what was typed is still there."""
    value = value.replace("{own}", member.url)
    fields = {"url": TARGET, "title": "kept <b>", field: value}
    answer = member.submit("/links/-/new", **fields)
    assert answer.status_code == 422
    assert is_wrong(answer.text, field)
    shown = form(answer.text)
    assert {name: shown[name] for name in fields} == fields


def test_taken_code_is_told(member: Visitor, links: Links) -> None:
    """In any spelling."""
    code = links.create(code=links.new_code())["code"]
    answer = member.submit("/links/-/new", url=TARGET, code=f"{code.upper()}-")
    assert answer.status_code == 409
    assert is_wrong(answer.text, "code")


def test_code_is_checked_before_it_is_sent(links: Links, reader: Visitor) -> None:
    """While somebody types, the page asks what would be wrong with a code."""
    taken = links.create(code=links.new_code())["code"]

    def problem(code: str) -> str:
        answer = reader.get("/links/-/check", params={"code": code})
        assert answer.headers["Content-Type"] == "application/json"
        return str(answer.json()["problem"])

    assert problem(links.new_code()) == problem("") == ""
    assert problem(taken) == problem(f"{taken.upper()}-") == "Another link has this code."
    assert problem("links") == "Is a word of this service."
    assert problem("-x").startswith("Must be 1 to 64")
    assert problem("a\0") != ""


def test_unknown_code_is_offered(member: Visitor, reader: Visitor, links: Links) -> None:
    """Who may create it is asked to, where a code has no link; others are not."""
    code = links.new_code()
    for path in (f"/{code}", f"/{code}/further?x=1", f"/links/{code}"):
        answer = member.get(path)
        assert answer.status_code == 404
        assert f'href="/links/-/new?code={code}"' in answer.text
        assert "/links/-/new" not in reader.get(path).text
    assert "/links/-/new" not in member.again().get(f"/{code}").text
    assert form(member.get(f"/links/-/new?code={code}").text)["code"] == code


def test_expired_link_is_a_page(member: Visitor, links: Links) -> None:
    """410 tells it; the list and the link's page do too, and show no picture that is gone."""
    code = links.create(expires_at="2020-01-01T00:00:00Z", tags=[links.new_code()])["code"]
    answer = member.again().get(f"/{code}")
    assert (answer.status_code, "This link has expired." in answer.text) == (410, True)
    page = member.get(f"/links/{code}").text
    assert "Expired" in page
    assert ".qr" not in page
    assert ">expired<" in member.get("/links", params={"q": code}).text


# Find


def test_list_has_pages(member: Visitor, links: Links) -> None:
    """Each order, with a tag, one page after the other: every link once."""
    tag = f"tag {secrets.token_hex(4)}"
    made = [links.create(tags=[tag])["code"] for _ in range(23)]
    for sort, wanted in (("-created_at", made[::-1]), ("code", sorted(made))):
        found, path = [], f"/links?tag={tag}&sort={sort}"
        while path:
            page = member.get(path).text
            found += listed(page)
            following = re.search('href="([^"]*)" rel="next"', page)
            path = html.unescape(following[1]) if following else ""
        assert found == wanted
        assert "First page" in page


def test_list_is_searched(member: Visitor, links: Links) -> None:
    """By words of code, title or URL, with a tag or without."""
    word = f"w{secrets.token_hex(6)}"
    first = links.create(title=f"One {word}", tags=["a"])["code"]
    second = links.create(url=f"{TARGET}/{word}", tags=["b"])["code"]
    assert listed(member.get("/links", params={"q": word[:9]}).text) == [second, first]
    assert listed(member.get("/links", params={"q": word, "tag": "a"}).text) == [first]
    tagged = member.get("/links", params={"tag": "a"})
    assert 'href="/links" data-swap>All tags' in tagged.text  # and no empty fields
    page = member.get("/links", params={"q": word, "tag": "c"})
    assert (page.status_code, "No link is here." in page.text) == (200, True)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("q=%21", id="search without words"),
        pytest.param("q=" + "x" * 201, id="search too long"),
        pytest.param("tag=%00", id="null byte in the tag"),
        pytest.param("sort=x", id="unknown order"),
        pytest.param("after=x", id="no cursor"),
        pytest.param("after=ewo", id="cursor of JSON"),
        pytest.param("limit=0", id="limit of zero"),
    ],
)
def test_odd_list_is_told_what_is_wrong(member: Visitor, query: str) -> None:
    """A search that can't be is no fault of the page."""
    answer = member.get(f"/links?{query}")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_empty_fields_are_no_search(member: Visitor) -> None:
    """A form that is sent as it is shows the list, whatever else the address has."""
    assert member.get("/links?q=&tag=&sort=-created_at&utm_source=x").status_code == 200


# Edit and delete


def test_link_is_edited(member: Visitor, links: Links) -> None:
    """What is changed in the form is changed, an empty field is empty, all else stays."""
    link = links.create(title="Old", tags=["a"], expires_at="2040-01-01T00:00:00Z")
    path = f"/links/{link['code']}"
    answer = member.submit(path, title="New", expires_at="")
    assert (answer.status_code, answer.headers["Location"]) == (303, path)
    assert "Saved." in member.get(path).text
    read = links.service.get(f"/api{path}").json()
    changed = {"title": "New", "expires_at": None, "updated_at": read["updated_at"]}
    assert read == link | changed


def test_form_changes_nothing_by_itself(member: Visitor, links: Links) -> None:
    """What a form can't show in full stays as it is: parts of seconds, spaces around tags."""
    odd = {"tags": [" a ", "b,c"], "expires_at": "2040-01-02T03:04:05.678901Z"}
    link = links.create(**odd)
    path = f"/links/{link['code']}"
    assert form(member.get(path).text)["expires_at"] == "2040-01-02T03:04:05"
    member.submit(path)
    assert "Nothing was changed." in member.get(path).text
    assert links.service.get(f"/api{path}").json() == link
    member.submit(path, title="New")
    read = links.service.get(f"/api{path}").json()
    assert (read["tags"], read["expires_at"]) == (link["tags"], link["expires_at"])


def test_wrong_edit_is_told(member: Visitor, links: Links) -> None:
    """Nothing is changed, and what was typed is there."""
    link = links.create()
    path = f"/links/{link['code']}"
    answer = member.submit(path, url="nowhere", title="typed")
    assert answer.status_code == 422
    assert is_wrong(answer.text, "url")
    assert (form(answer.text)["url"], form(answer.text)["title"]) == ("nowhere", "typed")
    assert links.service.get(f"/api{path}").json() == link


def test_no_edit_is_lost(member: Visitor, links: Links) -> None:
    """Who edits what somebody else has changed meanwhile is told, and can insist."""
    path = f"/links/{links.create(title='First')['code']}"
    mine = form(member.get(path).text) | {"title": "Mine", "tags": "t"}
    links.service.patch(f"/api{path}", json={"title": "Theirs"})
    refused = member.post(path, data=mine)
    assert refused.status_code == 412
    assert "has changed since" in refused.text
    assert "<h1>Theirs</h1>" in refused.text
    assert form(refused.text)["title"] == "Mine"
    assert links.service.get(f"/api{path}").json()["title"] == "Theirs"
    assert member.post(path, data=form(refused.text)).status_code == 303
    read = links.service.get(f"/api{path}").json()
    assert (read["title"], read["tags"]) == ("Mine", ["t"])


def test_delete_asks_first(member: Visitor, links: Links) -> None:
    """A page asks; its form deletes, once."""
    path = f"/links/{links.create()['code']}"
    assert f'href="{path}/delete"' in member.get(path).text
    fields = form(member.get(f"{path}/delete").text)
    assert links.service.get(f"/api{path}").status_code == 200
    answer = member.post(f"{path}/delete", data=fields)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/links")
    assert "Deleted" in member.get("/links").text
    assert links.service.get(f"/api{path}").status_code == 404
    assert member.post(f"{path}/delete", data=fields).status_code == 404
    assert member.post(path, data=fields).status_code == 404


def test_nothing_else_is_deleted_than_was_shown(member: Visitor, links: Links) -> None:
    """Where the link has changed, or another has its code now, the page asks again."""
    link = links.create()
    path = f"/links/{link['code']}"
    fields = form(member.get(f"{path}/delete").text)
    links.service.delete(f"/api{path}")
    links.service.post("/api/links", json={"url": f"{TARGET}/other", "code": link["code"]})
    answer = member.post(f"{path}/delete", data=fields)
    assert answer.status_code == 412
    assert f"{TARGET}/other" in answer.text
    assert links.service.get(f"/api{path}").status_code == 200


# Clicks


def test_clicks_are_shown(member: Visitor, links: Links) -> None:
    """Their sum, and a chart by hour and by day that can be read without seeing it."""
    code = links.create()["code"]
    for _ in range(3):
        links.service.get(f"/{code}")
    page = member.get(f"/links/{code}").text
    labels = re.findall('<svg [^>]*role="img" aria-label="([^"]*)"', page)
    assert [label.partition(",")[0] for label in labels] == [
        "Last 24 hours: 3 clicks",
        "Last 30 days: 3 clicks",
    ]
    assert len(re.findall("<rect ", page)) == 2
    cells = re.findall(r"<td>(\d+)</td>", page)
    assert len(cells) == 24 + 30
    assert sum(map(int, cells)) == 6
    assert "<strong>3 clicks</strong>" in member.get("/links", params={"q": code}).text
    assert links.service.get(f"/api/links/{code}").json()["clicks"] == 3  # looking is no click


def test_most_clicked_links_of_the_week(
    member: Visitor, links: Links, deployment: Deployment
) -> None:
    """The most clicked first; what is older than a week does not count."""
    codes = [links.create()["code"] for _ in range(3)]
    for code, clicks in zip(codes, (900_001, 900_002, 1), strict=True):
        links.service.get(f"/{code}")
        deployment.sql(
            f"UPDATE link_clicks SET clicks = {clicks} WHERE link_id ="
            f" (SELECT id FROM links WHERE code = '{code}')"
        )
    deployment.sql(
        "INSERT INTO link_clicks SELECT id, '2020-01-01 00:00:00.000000', 9000000 FROM links"
        f" WHERE code = '{codes[2]}'"
    )
    page = member.get("/links/-/top").text
    assert listed(page)[:2] == [codes[1], codes[0]]
    assert "<strong>900,002 clicks</strong>" in page


# Import and export


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_export_comes_back(member: Visitor, links: Links, kind: str) -> None:
    """What was exported can be imported: what is there is unchanged, what is gone comes back."""
    gone = links.create(title="=1+1", tags=["a,b"])
    links.create()
    answer = member.get("/links/-/export", params={"format": kind})
    assert answer.headers["Content-Disposition"] == f'attachment; filename="links.{kind}"'
    links.service.delete(f"/api/links/{gone['code']}")
    report = send(member, answer.content, f"LINKS.{kind.upper()}")
    assert report.status_code == 200
    created, unchanged, refused = sums(report.text)
    assert (created, refused) == (1, 0)
    assert unchanged > 0
    assert links.service.get(f"/api/links/{gone['code']}").json() == gone


def send(visitor: Visitor, content: bytes, name: str = "links.jsonl") -> requests.Response:
    """Upload a file."""
    fields = form(visitor.get("/links/-/transfer").text)
    return visitor.post("/links/-/transfer", data=fields, files={"file": (name, content)})


def sums(page: str) -> tuple[int, ...]:
    """Return what an import tells: created, unchanged and refused."""
    found = re.findall(r"<strong>([\d,]+)</strong> (?:created|unchanged|refused)", page)
    return tuple(int(number.replace(",", "")) for number in found)


def test_refused_lines_are_told(member: Visitor, links: Links) -> None:
    """By number and reason, as text, and not too many of them."""
    good = json.dumps({"code": links.new_code(), "url": TARGET}).encode()
    wrong = json.dumps({"code": XSS, "url": TARGET, XSS: 1}).encode()
    report = send(member, b"\n".join([good, *[wrong] * 150, b"{"]))
    assert sums(report.text) == (1, 0, 151)
    assert "The first 100 refused lines" in report.text
    assert '<th scope="row">2</th>' in report.text
    assert XSS not in report.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("x.csv", b"a,b\r\n", id="other columns"),
        pytest.param("x.csv", b"", id="empty CSV"),
        pytest.param("x.jsonl", b"x" * 70_000, id="long line"),
        pytest.param("", b"", id="no file"),
    ],
)
def test_what_is_no_export_is_told(member: Visitor, name: str, content: bytes) -> None:
    """A file of another form is refused."""
    answer = send(member, content, name)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_large_file_is_taken(member: Visitor) -> None:
    """More than any other body may have."""
    lines = b"".join(b'{"code": "-", "url": "%s"}\n' % (b"x" * 1000) for _ in range(2000))
    answer = send(member, lines)
    assert (answer.status_code, sums(answer.text)) == (200, (0, 0, 2000))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"\n", id="empty lines"),
        pytest.param(b"{%s}\n" % FIELDS, id="lines with many fields"),
    ],
)
def test_import_keeps_nobody_waiting(tmp_path: Path, line: bytes) -> None:
    """Whatever a file has in it, the process that reads it also answers others meanwhile."""
    with embed(tmp_path, WEB_CONCURRENCY="1") as alone, Visitor(alone.url, alone.token()) as member:
        began = time.monotonic()
        with ThreadPoolExecutor() as threads:
            report = threads.submit(send, member, line * (4_000_000 // len(line)))
            longest = 0.0
            while not report.done():
                asked = time.monotonic()
                assert requests.get(f"{alone.url}/livez", timeout=60).ok
                longest = max(longest, time.monotonic() - asked)
        assert report.result().status_code == 200
        assert longest < (time.monotonic() - began) / 2
        assert len(report.result().content) < 200_000  # of what is wrong, only so much is told


def test_one_file_at_a_time(tmp_path: Path) -> None:
    """In each process, since they are in memory in the stack; who comes later may come again."""
    with embed(tmp_path, WEB_CONCURRENCY="1") as alone, Visitor(alone.url, alone.token()) as member:
        host, _, port = alone.url.removeprefix("http://").partition(":")
        head = f"POST /links/-/transfer HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n"
        head += f"Content-Type: multipart/form-data; boundary=x\r\nAccept: {ACCEPT}\r\n"
        head += f"Cookie: slipway={member.cookies['slipway']}\r\n\r\n--x"
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(head.encode())
            wait_until(lambda: send(member, b"").status_code == 503)
            answer = send(member, b"{}")
            assert answer.headers["Retry-After"] == "1"
            assert "Another file" in answer.text
            assert member.get("/links/-/transfer").status_code == 200
        wait_until(lambda: send(member, b"{}").status_code == 200)


def test_import_that_breaks_off_says_so(tmp_path: Path) -> None:
    """With the answer of any outage, which says when to come again; the log has the reason."""
    line = json.dumps({"code": "a", "url": TARGET}).encode()
    with embed(tmp_path) as broken, Visitor(broken.url, broken.token()) as member:
        broken.sql("CREATE TRIGGER t BEFORE INSERT ON links BEGIN INSERT INTO x VALUES (1); END")
        answer = send(member, line)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "Send the file again" in answer.text
        assert "no such table" in broken.log()


def test_too_large_file_is_refused(member: Visitor) -> None:
    """Before it is read; and from nobody who has not signed in is any of it read."""
    head = {"Accept": ACCEPT, "Content-Type": "multipart/form-data; boundary=x"}
    head |= {"Content-Length": str(64 * 1024 * 1024 + 1)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    request = f"POST /links/-/transfer HTTP/1.1\r\nHost: localhost\r\n{lines}"
    cookie = f"Cookie: slipway={member.cookies['slipway']}\r\n"
    service = Service(member.url)
    assert service.speak(f"{request}{cookie}\r\n".encode()).status == 413
    assert service.speak(f"{request}\r\n".encode()).status == 303


# Who may


def test_everything_needs_sign_in(member: Visitor, links: Links) -> None:
    """Who has not signed in sees no page, and comes back to it afterwards."""
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
    """Who signs out can't be followed by the way back: browsers keep none of it, nor of errors."""
    code = links.create()["code"]
    for path in ("", "/-/new", "/-/export", f"/{code}", f"/{code}/delete", "/unknown", "?sort=x"):
        answer = member.get(f"/links{path}")
        assert answer.headers["Cache-Control"] == "no-store", path
    assert member.post(f"/links/{code}").headers["Cache-Control"] == "no-store"
    assert member.again().get("/links").headers["Cache-Control"] == "no-store"


def test_sign_in_that_is_open_stays_good(member: Visitor, links: Links) -> None:
    """Who opens another page before signing in can sign in where they first were."""
    with member.again() as visitor:
        fields = form(visitor.get("/sign-in").text) | {"token": links.service.token}
        visitor.get("/links")
        assert visitor.post("/sign-in", data=fields).status_code == 303


def test_short_url_is_no_way_out_of_the_sign_in(member: Visitor, links: Links) -> None:
    """A link leads anywhere, so nobody is sent to one after signing in."""
    code = links.create()["code"]
    with member.again() as visitor:
        page = visitor.get(f"/sign-in?next=/{code}")
        fields = form(page.text) | {"token": links.service.token}
        answer = visitor.post(f"/sign-in?next=/{code}", data=fields)
    assert answer.headers["Location"] == "/"


def test_reader_only_reads(reader: Visitor, links: Links) -> None:
    """A read token sees all, has no way to write, and is refused where it tries."""
    link = links.create()
    path = f"/links/{link['code']}"
    for seen in ("/links", path, "/links/-/top", "/links/-/transfer"):
        answer = reader.get(seen)
        assert answer.status_code == 200
        main = answer.text.partition("<main")[2]
        assert 'method="post"' not in main
        assert "/-/new" not in main
        assert "/delete" not in main
    [key] = set(re.findall('name="form_key" value="([^"]+)"', reader.get("/links").text))
    fields = {"form_key": key, "url": TARGET, "code": links.new_code(), "revision": "1-1"}
    for target in ("/links/-/new", path, f"{path}/delete", "/links/-/transfer"):
        answer = reader.post(target, data=fields)
        assert answer.status_code == 403
        assert "scope" in answer.text
    assert links.service.get(f"/api{path}").json() == link
    assert links.service.get(f"/api/links/{fields['code']}").status_code == 404


def test_revoked_token_signs_its_browsers_out(deployment: Deployment) -> None:
    """At once, and for good."""
    name = f"gone-{secrets.token_hex(4)}"
    token = deployment.slipway("tokens", "create", name).strip()
    with Visitor(deployment.url, token) as visitor:
        assert name in visitor.get("/links").text
        deployment.slipway("tokens", "revoke", name)
        answer = visitor.get("/links")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?next=/links")
        assert "Sign out" not in visitor.get("/docs").text
        assert visitor.get("/sign-in").status_code == 200


def test_expired_token_signs_its_browsers_out(deployment: Deployment) -> None:
    """What is no longer valid for the API is not for the page."""
    name = f"old-{secrets.token_hex(4)}"
    token = deployment.slipway("tokens", "create", name, "--expires", "1d").strip()
    with Visitor(deployment.url, token) as visitor:
        assert visitor.get("/links").status_code == 200
        deployment.sql(
            f"UPDATE tokens SET expires_at = '2020-01-01 00:00:00.000000' WHERE name = '{name}'"
        )
        assert visitor.get("/links").status_code == 303


# Text


def test_any_text_is_text(member: Visitor, reader: Visitor, links: Links) -> None:
    """Titles, targets and tags can't become markup, on no page: stored cross-site scripting."""
    link = links.create(title=XSS, tags=[XSS], url=f"{TARGET}?'\"><script>alert(2)</script>")
    code = link["code"]
    links.service.get(f"/{code}")
    paths = ["/links", f"/links?q={code}", f"/links/{code}", f"/links/{code}/delete", f"/{code}+"]
    for visitor in (member, reader):
        seen = 0
        for path in [*paths, "/links/-/top"]:
            page = visitor.get(path).text
            assert "<script>" not in page
            seen += "&lt;script&gt;alert(" in page
        assert seen >= len(paths)
    shown = form(member.get(f"/links/{code}").text)
    assert (shown["title"], shown["tags"], shown["url"]) == (XSS, XSS, link["url"])
    [tag] = re.findall('<a class="tag" href="([^"]*)"', member.get(f"/links?q={code}").text)
    assert code in listed(member.get(html.unescape(tag)).text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(XSS, id="script"),
        pytest.param('"><img src=x>', id="image"),
        pytest.param("javascript:alert(1)", id="script URL"),
    ],
)
def test_what_is_searched_is_text(member: Visitor, text: str) -> None:
    """What an address says is shown as it is: reflected cross-site scripting."""
    for name in ("q", "tag", "sort", "after", "code"):
        for path in ("/links", "/links/-/new", "/links/-/check"):
            page = member.get(path, params={name: text}).text
            assert "<script>" not in page
            assert "<img src=x>" not in page


def test_first_page_is_small(member: Visitor, links: Links) -> None:
    """A full list, with all that it loads, is less than 60 kB, in one request for each kind."""
    for _ in range(20):
        links.create(title="A title of some length", tags=["some", "tags"])
    page = member.get("/links").text
    files = re.findall(r'<(?:link|script)[^>]*(?:href|src)="([^"]*)"', page)
    names = ["/static/page.css", "/static/icon.svg", "/static/page.js"]
    assert [file.partition("?")[0] for file in files] == names
    assert len(page) + sum(len(member.get(file).content) for file in files) < 60_000
