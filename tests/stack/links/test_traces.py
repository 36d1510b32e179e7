"""The trace of a redirect, whose statements are shared with other requests."""

import secrets

import requests

from tests.support.compose import Stack
from tests.support.links.client import Links
from tests.support.traces import received


def test_redirect_and_its_batch_are_one_trace(stack: Stack, links: Links) -> None:
    """In a redirect's trace, its batch has a span, with a child span for its packet."""
    code = links.create(url="https://example.com/?token=s3cret")["code"]
    trace_id = secrets.token_hex(16)
    with received(stack) as traces:
        headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
        requests.get(f"{stack.url}/{code}", headers=headers, timeout=30, allow_redirects=False)
        trace = traces.whole(trace_id)
    (request,), (batch,) = trace["GET /<unreserved:code>"], trace["clicks"]
    assert batch["parentSpanId"] == request["spanId"]
    assert batch["attributes"]["slipway.batch.size"] == "1"
    (packet,) = trace["SELECT"]
    assert packet["parentSpanId"] == batch["spanId"]
    assert "INSERT INTO link_clicks" in packet["attributes"]["db.query.text"]
    assert "s3cret" not in str(trace)
