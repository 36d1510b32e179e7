"""Tracing: which trace contexts are accepted, and that disabled tracing imports nothing."""

import importlib
import json
import pkgutil
import re
from pathlib import Path

import opentelemetry.semconv._incubating.attributes as incubating
import opentelemetry.semconv.attributes as stable
import pytest

from app.telemetry.tracing import trace_id
from tests.support.checkout import ROOT
from tests.support.forked import python

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RECEIVER = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
# A quoted name with dots, that begins as those of our spans.
ATTRIBUTE = re.compile(r'"((?:client|db|error|http|server|slipway|url)(?:\.[\w-]+)+)"')
MODULES = """
import json, sys
from app import create_app
create_app().test_client().get("/livez")
print(json.dumps([m for m in sys.modules if m.partition(".")[0] in {"opentelemetry", "urllib3"}]))
"""


def conventions() -> set[str]:
    """Return the names of all attributes in the semantic conventions of OpenTelemetry."""
    modules = [
        importlib.import_module(f"{package.__name__}.{each.name}")
        for package in (stable, incubating)
        for each in pkgutil.iter_modules(package.__path__)
    ]
    return {str(value) for module in modules for value in vars(module).values()}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        pytest.param(f"00-{TRACE}-{SPAN}-01", TRACE, id="sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", TRACE, id="not sampled"),
        pytest.param(f"01-{TRACE}-{SPAN}-01", TRACE, id="later version"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-more", TRACE, id="later version with more"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-more", None, id="version 00 with more"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-", None, id="trailing hyphen"),
        pytest.param(f"01-{TRACE}-{SPAN}-01more", None, id="later version with more but no hyphen"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", None, id="version ff"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", None, id="zero trace ID"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", None, id="zero span ID"),
        pytest.param(f"00-{TRACE.upper()}-{SPAN}-01", None, id="upper case"),
        pytest.param(f"00-{TRACE[1:]}-{SPAN}-01", None, id="short trace ID"),
        pytest.param(f"00-{TRACE}-{SPAN}-1", None, id="short flags"),
        pytest.param(f"0-{TRACE}-{SPAN}-01", None, id="short version"),
        pytest.param(f"00-{TRACE}-{SPAN}-01\n", None, id="newline"),
        pytest.param(f" 00-{TRACE}-{SPAN}-01", None, id="leading space"),
        pytest.param(f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01", None, id="two values"),
        pytest.param(f"00-{TRACE}-{SPAN}", None, id="no flags"),
        pytest.param("", None, id="empty"),
    ],
)
def test_traceparent_is_read_strictly(given: str, found: str | None) -> None:
    """A `traceparent` header is accepted only if W3C Trace Context allows it."""
    assert trace_id(given) == found


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        pytest.param({}, False, id="nothing set"),
        pytest.param({"OTEL_SERVICE_NAME": "slipway"}, False, id="service name"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False, id="empty endpoint"),
        pytest.param(RECEIVER | {"OTEL_SDK_DISABLED": "true"}, False, id="SDK disabled"),
        pytest.param(RECEIVER, True, id="endpoint"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"},
            True,
            id="endpoint for traces",
        ),
    ],
)
def test_opentelemetry_is_imported_only_where_it_is_on(environ: dict[str, str], on: bool) -> None:
    """OpenTelemetry is imported only if there is a receiver for traces, to save memory."""
    assert bool(json.loads(python(MODULES, DATABASE_URL="sqlite:///unused.db", **environ))) == on


SHARED = """
import json, threading, time
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text
from app import create_app
database = create_app().extensions["database"]
from app.database.batching import Batcher
from app.telemetry import spans
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
spans.tracer = provider.get_tracer("test")

def work(items):
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
    while len(items) == 1 and len(batcher._waiting) < 2:
        time.sleep(0.01)
    return items

def request(number):
    with spans.tracer.start_as_current_span(f"request {number}"):
        batcher(number)

batcher = Batcher("shared", work)
threads = [threading.Thread(target=request, args=[number]) for number in range(3)]
for thread in threads:
    thread.start()
    while not batcher._leadership.locked():
        time.sleep(0.01)
for thread in threads:
    thread.join()
ended = exporter.get_finished_spans()
names = {span.context.span_id: span.name for span in ended}
print(json.dumps([[span.name, span.parent and names[span.parent.span_id]] for span in ended]))
"""


def test_shared_statements_are_in_a_trace(tmp_path: Path) -> None:
    """A lone request's statement is in the request's span.

    A statement of several requests is in a span of their batch, whose parent is one request's span.
    """
    spans = json.loads(python(SHARED, DATABASE_URL=f"sqlite:///{tmp_path}/x.db", **RECEIVER))
    statements = sorted(parent.partition(" ")[0] for name, parent in spans if name == "SELECT")
    assert statements == ["request", "shared"]
    assert [parent.partition(" ")[0] for name, parent in spans if name == "shared"] == ["request"]


def test_attributes_are_those_of_opentelemetry() -> None:
    """Each attribute of a span is one of the semantic conventions, or the documentation has it."""
    found = set(ATTRIBUTE.findall((ROOT / "app/telemetry/spans.py").read_text()))
    assert {"http.route", "db.query.text", "slipway.batch.size"} <= found
    page = (ROOT / "docs/observe.md").read_text()
    ours = {name for name in found if name not in conventions()}
    assert [name for name in sorted(ours) if f"| `{name}` |" not in page] == []
