"""A receiver of traces that prints one JSON object per span.

Tests pass its source to `python3 -c` in a container, so it imports only the standard library.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    """Receives OTLP over HTTP with JSON bodies."""

    def do_POST(self) -> None:
        """Print the spans, each with the attributes of the service that sent it."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for sender in body["resourceSpans"]:
            resource = plain(sender["resource"]["attributes"])
            for scope in sender["scopeSpans"]:
                for span in scope["spans"]:
                    attributes = plain(span.get("attributes", []))
                    print(json.dumps(span | {"attributes": attributes, "resource": resource}))
        sys.stdout.flush()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Log nothing, since the output must contain only spans."""


def plain(attributes: list[dict[str, object]]) -> dict[str, object]:
    """Return OTLP's list of keys and typed values as a dict."""
    return {str(a["key"]): next(iter(a["value"].values())) for a in attributes}  # type: ignore[attr-defined]


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Receiver).serve_forever()
