"""The page that imports and exports links."""

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.links.pages import XSS
from tests.support.service import Service
from tests.support.visitor import ACCEPT, Visitor, form
from tests.support.waiting import wait_until

FIELDS = b",".join(b'"%d": 1' % number for number in range(100))


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_export_comes_back(member: Visitor, links: Links, kind: str) -> None:
    """An exported file can be imported: only missing links are created."""
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
    upload = {"file": (name, content)}
    return visitor.post("/links/-/transfer", data=fields, files=upload, timeout=120)


def send_yourls(member: Visitor, *codes: str, **fields: str) -> requests.Response:
    """Upload a CSV export of YOURLS, with more fields of the form."""
    rows = "".join(f"{code},{TARGET}\n" for code in codes)
    upload = {"file": ("x.csv", f"keyword,url\n{rows}".encode())}
    fields |= form(member.get("/links/-/transfer").text)
    return member.post("/links/-/transfer", data=fields, files=upload, timeout=120)


def test_first_step_shows_what_an_import_would_do(member: Visitor, links: Links) -> None:
    """The first step creates nothing, and lists what would be created, adjusted and refused."""
    code = links.new_code()
    links.codes.append(f"{code}-x-2")
    codes = (code, f"{code}/x 2", "docs")
    shown = send_yourls(member, *codes, check="1").text
    assert sums(shown) == (2, 0, 1)
    assert "Format: yourls." in shown
    assert f'<th scope="row">2</th><td>{code}: {TARGET}</td>' in shown
    assert f'<th scope="row">3</th><td>code is now {code}-x-2</td>' in shown
    assert '<th scope="row">4</th><td>#/code: Is reserved by this service.</td>' in shown
    assert links.service.get(f"/api/links/{code}").status_code == 404
    done = send_yourls(member, *codes).text
    assert sums(done) == (2, 0, 1)
    assert f"{code}: {TARGET}" not in done
    assert f"code is now {code}-x-2" in done
    assert links.service.get(f"/api/links/{code}").json()["url"] == TARGET


def test_format_is_chosen_from_the_list(member: Visitor) -> None:
    """A chosen format counts instead of the content; one that is not in the list is an error."""
    assert "not JSON of this format" in send_yourls(member, "x", format="kutt").text
    wrong = send_yourls(member, "x", format="other")
    assert wrong.status_code == 422
    assert "Choose a format from the list." in wrong.text


def test_time_zone_is_a_field(member: Visitor, links: Links) -> None:
    """Times without an offset are in the time zone of the form; an unknown one is an error."""
    code = links.new_code()
    row = f"keyword,url,timestamp\n{code},{TARGET},2024-05-01 12:00:00\n".encode()
    fields = form(member.get("/links/-/transfer").text)
    for zone, status in (("Nowhere", 422), ("Europe/Berlin", 200)):
        answer = member.post(
            "/links/-/transfer", data=fields | {"zone": zone}, files={"file": ("x", row)}
        )
        assert answer.status_code == status
        assert ("Use the name of a time zone" in answer.text) == (status == 422)
    created_at = links.service.get(f"/api/links/{code}").json()["created_at"]
    assert created_at.startswith("2024-05-01T10:00:00")


def test_entries_of_json_are_named(member: Visitor) -> None:
    """In JSON, the report has the number of an entry instead of a line."""
    shown = send(member, b'{"data": [{"address": "docs", "target": "https://a.example"}]}').text
    assert '<th scope="row">entry 1</th>' in shown


def test_form_without_a_file_is_small(member: Visitor) -> None:
    """A form that is not multipart, and so has no file, can have 64 KiB like other bodies."""
    answer = member.post("/links/-/transfer", data={"x": "a" * 65_536})
    assert answer.status_code == 413


def sums(page: str) -> tuple[int, ...]:
    """Return the counts in an import's report: created, unchanged and refused."""
    found = re.findall(r"<strong>([\d,]+)</strong> (?:created|unchanged|refused)", page)
    return tuple(int(number.replace(",", "")) for number in found)


def test_refused_lines_are_listed(member: Visitor, links: Links) -> None:
    """The report lists the first 100 refused lines with number and reason, escaped."""
    good = json.dumps({"code": links.new_code(), "url": TARGET}).encode()
    wrong = json.dumps({"code": XSS, "url": TARGET, XSS: 1}).encode()
    report = send(member, b"\n".join([good, *[wrong] * 150, b"{"]))
    assert sums(report.text) == (1, 0, 151)
    assert "The first 100 refused lines" in report.text
    assert '<th scope="row">2</th>' in report.text
    assert XSS not in report.text


def test_rows_of_several_lines_are_listed(member: Visitor, links: Links) -> None:
    """The report names the first and the last line of a refused row."""
    row = f'{links.new_code()},{TARGET},"a\nb"\n'
    report = send(member, f"code,url,title\n{row}".encode(), "x.csv")
    assert sums(report.text) == (0, 0, 1)
    assert '<th scope="row">2 to 3</th>' in report.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("x.csv", b"a,b\r\n", id="other columns"),
        pytest.param("x.csv", b"", id="empty CSV"),
        pytest.param("x.jsonl", b"x" * 70_000, id="long line"),
        pytest.param("", b"", id="no file"),
    ],
)
def test_file_that_is_no_export_is_reported(member: Visitor, name: str, content: bytes) -> None:
    """A file in a wrong format is rejected with 422 and a message."""
    answer = send(member, content, name)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_large_file_is_taken(member: Visitor) -> None:
    """Uploads can be larger than the body limit of other forms."""
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
def test_import_keeps_nobody_waiting(alone: Deployment, line: bytes) -> None:
    """During an import, the same process keeps answering other requests."""
    with Visitor(alone.url, alone.token()) as member:
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
        assert len(report.result().content) < 200_000  # the list of refused lines is limited


def test_one_file_at_a_time(alone: Deployment) -> None:
    """Each process imports one file at a time; a second upload gets 503 with Retry-After.

    In the stack, uploaded files are in memory (a tmpfs), and several at once could fill it.
    """
    with Visitor(alone.url, alone.token()) as member:
        host, _, port = alone.url.removeprefix("http://").partition(":")
        head = f"POST /links/-/transfer HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n"
        head += f"Content-Type: multipart/form-data; boundary=x\r\nAccept: {ACCEPT}\r\n"
        session = member.cookies["slipway"]
        head += f"Cookie: slipway={session}\r\n\r\n--x"
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(head.encode())
            wait_until(lambda: send(member, b"").status_code == 503)
            answer = send(member, b"{}")
            assert answer.headers["Retry-After"] == "1"
            assert "Another file" in answer.text
            assert member.get("/links/-/transfer").status_code == 200
        wait_until(lambda: send(member, b"{}").status_code == 200)


def test_import_that_breaks_off_says_so(alone: Deployment) -> None:
    """An import that the database interrupts gets 503 with Retry-After.

    The page says to send the file again, and the log has the cause.
    """
    line = json.dumps({"code": "a", "url": TARGET}).encode()
    with Visitor(alone.url, alone.token()) as member:
        alone.sql("CREATE TRIGGER t BEFORE INSERT ON links BEGIN INSERT INTO x VALUES (1); END")
        answer = send(member, line)
        alone.sql("DROP TRIGGER t")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "Import the file again: created links are kept." in answer.text
        assert "no such table" in alone.log()


def test_too_large_file_is_refused(member: Visitor) -> None:
    """A file that is too large gets 413 before it is read.

    Without a sign-in, no upload is read at all.
    """
    head = {"Accept": ACCEPT, "Content-Type": "multipart/form-data; boundary=x"}
    head |= {"Content-Length": str(64 * 1024 * 1024 + 1)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    request = f"POST /links/-/transfer HTTP/1.1\r\nHost: localhost\r\n{lines}"
    session = member.cookies["slipway"]
    cookie = f"Cookie: slipway={session}\r\n"
    service = Service(member.url)
    assert service.speak(f"{request}{cookie}\r\n".encode()).status == 413
    assert service.speak(f"{request}\r\n".encode()).status == 303
