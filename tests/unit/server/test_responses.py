"""Responses built as bytes are as complete as those of Flask and gunicorn."""

import io
import json
import re
import time
from http.client import HTTPMessage, parse_headers

import pytest

from app.server import responses

BASE = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}


def parse(answer: bytes) -> tuple[str, HTTPMessage, bytes]:
    """Return the status line, the headers and the body of a response."""
    stream = io.BytesIO(answer)
    status = stream.readline()
    assert status.endswith(b"\r\n")
    return status.decode().rstrip(), parse_headers(stream), stream.read()


def test_redirect_has_the_given_headers_and_gunicorns() -> None:
    """A redirect has gunicorn's headers, the given ones, and no body. The connection stays open."""
    status, headers, body = parse(responses.redirect({"Location": "/a", "X-Request-Id": "7"}))
    assert status == "HTTP/1.1 302 FOUND"
    assert body == b""
    assert headers.items()[0] == ("Server", "gunicorn")
    assert headers.keys()[1] == "Date"
    assert headers.items()[2:] == [
        ("Connection", "keep-alive"),
        ("Location", "/a"),
        ("X-Request-Id", "7"),
        ("Content-Length", "0"),
    ]


def test_redirects_date_is_of_its_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect's Date is the current second, although its first lines are cached for a second."""
    dates = []
    for now in (784111777.0, 784111777.9, 784111778.0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        _status, headers, _body = parse(responses.redirect({"Location": "/"}))
        dates.append(headers["Date"])
    monkeypatch.undo()
    assert dates == [f"Sun, 06 Nov 1994 08:49:{second} GMT" for second in (37, 37, 38)]


def test_shed_request_gets_a_problem_with_retry_after() -> None:
    """A shed request gets 503 as a problem with Retry-After, and its connection stays open."""
    status, headers, body = parse(responses.overloaded())
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert headers.items() == [
        *BASE.items(),
        ("Content-Length", str(len(body))),
        ("Content-Type", "application/problem+json"),
        ("X-Request-Id", headers["X-Request-Id"]),
        ("Retry-After", "1"),
    ]
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "The service is overloaded. Try again.",
        "instance": "",
    }


def test_each_shed_request_has_an_id_of_its_own() -> None:
    """Responses to shed requests differ only in their request id."""
    answers = [responses.overloaded() for _ in range(3)]
    ids = [parse(answer)[1]["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", found) for found in ids)
    same = [answer.replace(found.encode(), b"") for answer, found in zip(answers, ids, strict=True)]
    assert len(set(same)) == 1


def test_problem_is_as_long_as_it_says() -> None:
    """A problem's Content-Length is the length of its body, and it has the given header line."""
    status, headers, body = parse(responses.problem(414, "Ä is 100 % wrong", "7", "A: b"))
    assert status.startswith("HTTP/1.1 414 ")
    assert headers.items() == [
        *BASE.items(),
        ("Content-Length", str(len(body))),
        ("Content-Type", "application/problem+json"),
        ("X-Request-Id", "7"),
        ("A", "b"),
    ]
    problem = json.loads(body)
    assert (problem["status"], problem["detail"]) == (414, "Ä is 100 % wrong")
