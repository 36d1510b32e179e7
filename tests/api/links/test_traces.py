"""Traces of redirects, of which the sampler leaves some out."""

import secrets
from functools import partial
from pathlib import Path
from typing import Any

from tests.api.conftest import Receiver, embed
from tests.support.links.client import TARGET
from tests.support.service import Service
from tests.support.waiting import wait_until

SPAN = "00f067aa0ba902b7"
STATE = "vendor=value"


def test_only_what_is_sampled_is_sent(tmp_path: Path, collector: Receiver) -> None:
    """Of half of all traces, redirects send their spans. All log lines have their trace ids."""
    port, received = collector
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.5",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "WEB_CONCURRENCY": "1",
        "TRUSTED_PROXIES": "1",
    }

    def spans(trace_id: str) -> list[dict[str, Any]]:
        return [span for span in received() if span["traceId"] == trace_id]

    def has_all(trace_id: str) -> bool:
        return any(span["kind"] == 2 for span in spans(trace_id))

    with embed(tmp_path, **settings) as deployment:
        service = Service(deployment.url, deployment.token())
        code = service.post("/api/links", json={"url": TARGET}).json()["code"]
        for path, status in ((f"/{code}", 302), ("/unknown", 404)):
            # The sampler compares the last half of the trace id.
            sampled, left_out = (f"{secrets.token_hex(8)}{half * 16}" for half in "0f")
            for trace_id in (left_out, sampled):
                names = {"traceparent": f"00-{trace_id}-{SPAN}-01", "tracestate": STATE}
                answer = service.get(path, headers=names)
                assert answer.status_code == status
                line = deployment.line(answer.headers["X-Request-Id"])
                assert (line["trace_id"], line["status"]) == (trace_id, status)
            wait_until(partial(has_all, sampled))
            (request,) = [span for span in spans(sampled) if span["kind"] == 2]
            assert (request["name"], request["traceState"]) == ("GET /<unreserved:code>", STATE)
            assert request["parentSpanId"] == SPAN
            assert request["attributes"]["http.response.status_code"] == str(status)
            assert spans(left_out) == []
        described = []
        for headers in ({}, {"Connection": "close"}):  # on the fast path, and by Flask
            trace_id = f"{secrets.token_hex(8)}{'0' * 16}"
            names = {"traceparent": f"00-{trace_id}-{SPAN}-01", "X-Request-Id": trace_id}
            names |= {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "go.example.com"}
            assert service.get(f"/{code}/é?a=b", headers=names | headers).status_code == 302
            wait_until(partial(has_all, trace_id))
            [request] = [span for span in spans(trace_id) if span["kind"] == 2]
            attributes = request["attributes"]
            assert "go.example.com" in str(attributes["server.address"])
            assert trace_id in str(attributes.pop("http.response.header.x-request-id"))
            parts = [(s["name"], s["kind"], s["parentSpanId"] == SPAN) for s in spans(trace_id)]
            described.append((request["name"], attributes, sorted(parts)))
        assert described[0] == described[1]
        ids = [service.get(f"/{code}").headers["X-Request-Id"] for _ in range(50)]
        found = {deployment.line(request_id)["trace_id"] for request_id in ids}
        assert len(found) == len(ids)
