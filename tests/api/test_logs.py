"""The log of a running service has one JSON line per request, and no secrets."""

import secrets

import pytest

from tests.api.conftest import Deployment
from tests.support.service import Service

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_request_has_one_line(deployment: Deployment, service: Service) -> None:
    """A request's log line has the client, route, status, duration, request id and trace id."""
    request_id = secrets.token_hex(8)
    sent = {"X-Request-Id": request_id, "X-Forwarded-For": "192.0.2.7"}
    service.get("/api/me", headers=sent | {"traceparent": f"00-{TRACE}-{SPAN}-01"})
    line = deployment.line(request_id)
    assert 0 < line.pop("ms") < 30_000
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "path": "/api/me",
        "route": "/api/me",
        "status": 200,
        "client": "192.0.2.7",
        "request_id": request_id,
        "trace_id": TRACE,
    }


def test_no_trace_is_made_up(deployment: Deployment, service: Service) -> None:
    """With tracing off, a malformed traceparent is ignored and no new trace begins."""
    answer = service.get("/api/me", headers={"traceparent": f"00-{TRACE}-{SPAN}-01-x"})
    assert "trace_id" not in deployment.line(answer.headers["X-Request-Id"])


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_file_is_logged_and_counted(
    deployment: Deployment, service: Service, encoding: str
) -> None:
    """A request for a static file has one log line and is counted once."""
    labels = 'method="GET",route="/static/<path:name>",status="200"'
    sample = f"slipway_requests_total{{{labels}}}"
    before = deployment.metrics.read().get(sample, 0)
    answer = service.get("/static/page.css", headers={"Accept-Encoding": encoding})
    assert deployment.line(answer.headers["X-Request-Id"])["status"] == 200
    assert deployment.metrics.read()[sample] == before + 1


def test_line_tells_why_a_request_was_refused(deployment: Deployment, service: Service) -> None:
    """The log line has the reason that the client got."""
    answer = Service(service.url).get("/api/me")
    line = deployment.line(answer.headers["X-Request-Id"])
    assert line["error"] == "A token is missing. Send Authorization: Bearer TOKEN."


def test_log_has_no_secret(deployment: Deployment, service: Service) -> None:
    """Tokens and query strings are never logged, not even from malformed requests."""
    secret = secrets.token_hex(16)
    header = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {secret}\r\n\r\n"
    answers = [
        service.raw(f"/nothing.here?token={secret}"),
        Service(service.url, secret).raw("/api/me"),
        service.speak(header.encode()),
        service.speak(f"GET /?token={secret} {secret}\r\n\r\n".encode()),
        service.speak(f"GET /{secret * 400} HTTP/1.1\r\n\r\n".encode()),
    ]
    assert [answer.status for answer in answers] == [404, 401, 400, 400, 414]
    for answer in answers:  # each request has its log line
        assert deployment.line(str(answer.headers["X-Request-Id"]))["status"] == answer.status
    log = deployment.log()
    assert secret not in log
    assert service.token not in log
