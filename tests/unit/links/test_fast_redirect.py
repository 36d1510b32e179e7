"""Which redirects are answered on the fast path."""

import json

from tests.support.forked import python

# Prints whether the fast path begins to answer a request of two traces, of which the sampler takes
# only the first: before the first request of Flask, and after it.
CODE = """
import json
from opentelemetry.sdk.trace import TracerProvider
from app import create_app
from app.telemetry import spans
app = create_app()
app.extensions["clicks"].submit = lambda *_arguments, **_options: None

def begins(last_half):
    traceparent = f"00-{'a' * 16}{last_half}-{'b' * 16}-01"
    environ = {"RAW_URI": "/a", "HTTP_TRACEPARENT": traceparent}
    return app.extensions["fast_path"](environ, print)

halves = ("0" * 16, "f" * 16)
before = [begins(half) for half in halves]
spans._processors.append(None)  # what the first request of Flask does, without a thread
spans.tracer = TracerProvider().get_tracer("test")
print(json.dumps([before, [begins(half) for half in halves]]))
"""


def test_first_request_goes_to_flask() -> None:
    """With traces on, Flask answers the first request of each worker, and begins to send spans."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.5",
    }
    printed = python(CODE, DATABASE_URL="sqlite:///unused.db", **environ)
    assert json.loads(printed.splitlines()[-1]) == [[False, False], [True, True]]
