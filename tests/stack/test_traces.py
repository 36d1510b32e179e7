"""Traces as an OpenTelemetry receiver gets them, and their links to logs and metrics."""

import json
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import requests

from tests.support.compose import Stack, docker
from tests.support.scrape import Metrics
from tests.support.traces import Traces, received
from tests.support.waiting import wait_until

PARENT = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def traces(stack: Stack) -> Iterator[Traces]:
    """The traces that the stack sends."""
    with received(stack) as traces:
        yield traces


def log(stack: Stack) -> list[dict[str, Any]]:
    """Return the lines of the service's log."""
    lines = stack.compose("logs", "--no-log-prefix", "app").splitlines()
    return [json.loads(line) for line in lines]


def line_of(stack: Stack, request_id: str) -> dict[str, Any]:
    """Return the one log line of a request.

    The line can appear a moment after the answer.
    """
    wait_until(lambda: request_id in str(log(stack)))
    (line,) = [line for line in log(stack) if line.get("request_id") == request_id]
    return line


def get(stack: Stack, path: str, **headers: str) -> requests.Response:
    """Send a request; `trace_id`, if given, is sent as a traceparent header."""
    if "trace_id" in headers:
        headers["traceparent"] = f"00-{headers.pop('trace_id')}-{PARENT}-01"
    return requests.get(f"{stack.url}{path}", headers=headers, timeout=30)


def test_one_request_followed(stack: Stack, traces: Traces) -> None:
    """A request can be found by its ids in the log, in the metrics and in its trace."""
    request_id, trace_id = secrets.token_hex(8), secrets.token_hex(16)
    metrics = Metrics(partial(stack.python, "app"))
    before = metrics.read()
    answer = get(stack, "/", trace_id=trace_id, **{"X-Request-Id": request_id})
    assert answer.headers["X-Request-Id"] == request_id

    line = line_of(stack, request_id)
    assert (line["trace_id"], line["path"], line["status"]) == (trace_id, "/", 200)

    labels = 'method="{method}",route="{route}",status="{status}"'.format(**line)
    sample = f"slipway_requests_total{{{labels}}}"
    value = metrics.read()[sample]
    assert value == before.get(sample, 0) + 1

    trace = traces.whole(line["trace_id"])
    (span,), (statement,) = trace["GET /"], trace["SELECT"]
    assert span["parentSpanId"] == PARENT
    assert span["attributes"]["http.request.method"] == line["method"]
    assert span["attributes"]["http.route"] == line["route"]
    assert span["attributes"]["http.response.status_code"] == str(line["status"])
    assert request_id in json.dumps(span["attributes"]["http.response.header.x-request-id"])
    assert statement["parentSpanId"] == span["spanId"]
    assert statement["attributes"]["db.query.text"] == "SELECT VERSION()"
    assert statement["attributes"]["db.namespace"] == "slipway"
    assert {s["resource"]["service.name"] for s in (span, statement)} == {"slipway"}

    print(
        json.dumps(line), f"{sample} {value:.0f}", json.dumps(span), json.dumps(statement), sep="\n"
    )


def test_trace_begins_here_where_no_sane_one_comes(stack: Stack, traces: Traces) -> None:
    """With no traceparent, or a malformed one, the service begins a new trace and logs its id."""
    for given in ("", f"00-{'0' * 32}-{PARENT}-01"):
        request_id = secrets.token_hex(8)
        get(stack, "/", traceparent=given, **{"X-Request-Id": request_id})
        line = line_of(stack, request_id)
        (span,) = traces.whole(line["trace_id"])["GET /"]
        assert "parentSpanId" not in span


def test_unsampled_trace_is_not_sent(stack: Stack, traces: Traces) -> None:
    """The sampling decision of the caller is respected."""
    unwanted = secrets.token_hex(16)
    traceparent = f"00-{unwanted}-{PARENT}-00"
    for _ in range(20):
        get(stack, "/", traceparent=traceparent)
    wanted = [secrets.token_hex(16) for _ in range(20)]
    for trace_id in wanted:  # these reach both workers after the unsampled requests
        get(stack, "/", trace_id=trace_id)
    for trace_id in wanted:
        traces.whole(trace_id)
    assert traces.spans(unwanted) == []


def test_spans_tell_no_secret_and_no_health_check(stack: Stack, traces: Traces) -> None:
    """Spans have no query strings, tokens or parameters, and health checks have no spans."""
    trace_id, secret = secrets.token_hex(16), secrets.token_hex(16)
    health = {"/livez", "/readyz", "/readyz/database"}
    for path in health:
        get(stack, path)
    get(stack, f"/api/me?{secret}", trace_id=trace_id, Authorization=f"Bearer {secret}")
    (span,) = traces.whole(trace_id)["GET /api/me"]
    assert (span["attributes"]["url.path"], span["status"]) == ("/api/me", {})
    everything = traces.spans()
    assert secret not in json.dumps(everything)
    assert not [s for s in everything if s["attributes"].get("url.path") in health]
    assert not [s for s in everything if "alembic_version" in str(s["attributes"])]


def test_missing_receiver_does_not_disturb_requests(stack: Stack, traces: Traces) -> None:
    """Without the receiver, requests succeed, few lines are logged, and `docker stop` works."""
    docker("stop", "--time", "0", traces.container)
    try:
        for _ in range(50):
            assert get(stack, "/").status_code == 200

        def complaints() -> list[dict[str, Any]]:
            return [line for line in log(stack) if "opentelemetry" in line.get("logger", "")]

        wait_until(complaints)
        for _ in range(50):
            assert get(stack, "/").status_code == 200
        docker("stop", stack.id("app"))
        assert stack.inspect("app")["State"]["ExitCode"] == 0
        assert len(complaints()) <= 4  # one from each worker, and another when it stops
    finally:
        docker("start", traces.container, stack.id("app"))
        stack.wait_ready()
