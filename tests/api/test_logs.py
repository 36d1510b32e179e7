"""The log of a running service: one line a request, one object a line, and no secret."""

import secrets

from tests.api.conftest import Deployment
from tests.support.service import Service

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_request_has_one_line(deployment: Deployment, service: Service) -> None:
    """It tells who asked for what, what came of it, and how long it took."""
    request_id = secrets.token_hex(8)
    sent = {"X-Request-Id": request_id, "X-Forwarded-For": "192.0.2.7"}
    service.get("/api/me", headers=sent | {"traceparent": f"00-{TRACE}-{SPAN}-01"})
    told = deployment.line(request_id)
    assert 0 < told.pop("ms") < 30_000
    assert told.pop("timestamp").endswith("Z")
    assert told == {
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
    """A malformed traceparent is no trace, and without tracing none begins."""
    answer = service.get("/api/me", headers={"traceparent": f"00-{TRACE}-{SPAN}-01-x"})
    assert "trace_id" not in deployment.line(answer.headers["X-Request-Id"])


def test_line_tells_why_a_request_was_refused(deployment: Deployment, service: Service) -> None:
    """The reason that the client hears is in it."""
    answer = Service(service.url).get("/api/me")
    line = deployment.line(answer.headers["X-Request-Id"])
    assert line["error"] == "A token is missing. Send Authorization: Bearer TOKEN."


def test_log_has_no_secret(deployment: Deployment, service: Service) -> None:
    """Tokens, right or wrong, and queries are nowhere in it, even where a header is broken."""
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
    for answer in answers:  # there is a line of each
        assert deployment.line(str(answer.headers["X-Request-Id"]))["status"] == answer.status
    log = deployment.log()
    assert secret not in log
    assert service.token not in log
