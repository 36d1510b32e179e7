"""Tracing: which traces a request may be part of, and that it costs nothing while it is off."""

import json
import subprocess
import sys

import pytest

from app.telemetry.tracing import trace_id
from tests.support.checkout import ROOT

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RECEIVER = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
MODULES = """
import json, sys
from app import create_app
create_app().test_client().get("/livez")
print(json.dumps([m for m in sys.modules if m.partition(".")[0] in {"opentelemetry", "urllib3"}]))
"""


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (f"00-{TRACE}-{SPAN}-01", TRACE),
        (f"00-{TRACE}-{SPAN}-00", TRACE),
        (f"01-{TRACE}-{SPAN}-01", TRACE),
        (f"cc-{TRACE}-{SPAN}-01-more", TRACE),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"00-{TRACE}-{SPAN}-01-", None),
        (f"01-{TRACE}-{SPAN}-01more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE[1:]}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f"0-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
        (f" 00-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        ("", None),
    ],
)
def test_traceparent_is_read_strictly(given: str, found: str | None) -> None:
    """Only what W3C Trace Context allows is a trace."""
    assert trace_id(given) == found


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "slipway"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        (RECEIVER | {"OTEL_SDK_DISABLED": "true"}, False),
        (RECEIVER, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
    ],
)
def test_opentelemetry_is_imported_only_where_it_is_on(environ: dict[str, str], on: bool) -> None:
    """A service without a receiver for traces has nothing of it in its memory."""
    environ = {"DATABASE_URL": "sqlite:///unused.db"} | environ
    command = [sys.executable, "-c", MODULES]
    assert bool(json.loads(subprocess.check_output(command, cwd=ROOT, env=environ))) == on
