"""Log lines: their form, their level, and what they omit. Each test runs its own process."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.telemetry.logs import published_address
from tests.support.forked import python

# An application with routes that fail or stream, and a client for it.
APP = """
import logging, warnings
from app import create_app
app = create_app()

def breaks_off():
    yield b"some"
    raise ValueError("torn")

app.add_url_rule("/-fails", "fails", lambda: 1 / 0)
app.add_url_rule("/-streams", "streams", lambda: app.response_class(iter([b"a", b"b"])))
app.add_url_rule("/-breaks", "breaks", lambda: app.response_class(breaks_off()))
client = app.test_client()
ID = {"X-Request-Id": "this-one"}
"""


def run(code: str, **environ: str) -> str:
    """Run code after `APP` in a new process and return what it logs."""
    return python(APP + code, **{"DATABASE_URL": "sqlite:///unused.db", **environ})


def lines(code: str, **environ: str) -> list[dict[str, Any]]:
    """Run code after `APP` in a new process and return the lines that it logs, parsed."""
    return [json.loads(line) for line in run(code, **environ).splitlines()]


def test_fault_has_one_line_with_its_traceback() -> None:
    """An unexpected error gives one log line at level error, with traceback and request id."""
    (line,) = lines("client.get('/-fails', headers=ID)")
    assert (line["level"], line["status"], line["request_id"]) == ("error", 500, "this-one")
    assert line["exception"].endswith("ZeroDivisionError: division by zero")


def test_stream_has_its_line_at_its_end() -> None:
    """A streamed answer is logged once, at its end, even for a HEAD request."""
    (line,) = lines("with client.get('/-streams', headers=ID) as answer: answer.data")
    assert (line["event"], line["status"], line["request_id"]) == ("request", 200, "this-one")
    (line,) = lines("client.head('/-streams', headers=ID).close()")
    assert (line["event"], line["method"]) == ("request", "HEAD")


def test_answer_that_breaks_off_has_one_line() -> None:
    """An answer that breaks off gives one line at level error, although its status was 200.

    The BrokenPipeError makes the server close the connection without logging a second line.
    """
    code = """
with client.get('/-breaks', headers=ID) as answer:
    try:
        answer.data
    except BrokenPipeError:
        pass
logging.getLogger("test").info("closed")
"""
    line, closed = lines(code)
    assert (line["level"], line["status"], line["request_id"]) == ("error", 200, "this-one")
    assert line["error"] == "The response was cut off by an error."
    assert closed["event"] == "closed"
    assert line["exception"].endswith("ValueError: torn")


@pytest.mark.parametrize(
    ("level", "paths"),
    [
        pytest.param("debug", ["/livez", "/-nothing", "/-fails"], id="debug"),
        pytest.param("info", ["/-nothing", "/-fails"], id="info"),
        pytest.param("warning", ["/-fails"], id="warning"),
    ],
)
def test_level_is_a_setting(level: str, paths: list[str]) -> None:
    """LOG_LEVEL hides lower levels. Health checks have level debug, and failures level error."""
    code = "for path in ('/livez', '/-nothing', '/-fails'): client.get(path)"
    assert [line["path"] for line in lines(code, LOG_LEVEL=level)] == paths


def test_libraries_lines_are_lines_too() -> None:
    """Each log record or warning of a library is one JSON object, whatever characters it has."""
    code = """
logging.getLogger("some.library").warning("odd:\\n%s", "\\x1b[31m\\r\\n{\\"event\\": \\"forged\\"}")
warnings.warn("mind\\nthis", UserWarning)
"""
    odd, warning = lines(code)
    assert (odd["logger"], odd["level"]) == ("some.library", "warning")
    assert "forged" in odd["event"]
    assert "mind\nthis" in warning["event"]


def test_console_is_not_steered() -> None:
    """LOG_FORMAT=console escapes control characters and indents tracebacks.

    So a client can neither control the terminal nor forge a log line.
    """
    code = """
client.get("/-%1b%5b31m%0d%0a2026-11-24 [info] forged.html")
logging.getLogger("some.library").error("odd\\n2026-11-24 [info] forged \\x1b[31m")
def fails():
    raise ValueError("odd\\n2026-11-24 [info] forged")
app.view_functions["fails"] = fails
client.get("/-fails")
"""
    output = run(code, LOG_FORMAT="console")
    plain = re.sub(r"\x1b\[\d*m", "", output)  # without our own colours
    assert plain.count("forged") == 3
    assert not re.findall("^2026-11-24 ", plain, re.MULTILINE)
    assert r"\x1b" in plain
    assert set(plain) & {"\r", "\x1b"} == set()


def test_gunicorn_tells_no_query() -> None:
    """gunicorn's line about an error has the path without the query.

    Its line about an invalid request, which can contain a header, is dropped.
    """
    code = """
log = logging.getLogger("gunicorn.error")
log.warning("Invalid request from ip=192.0.2.7: Invalid HTTP Header: 'Authorization Bearer s3cret'")
log.error("Error handling request %s %s", "GET", "/code?token=s3cret")
"""
    (line,) = lines(code)
    assert line["event"] == "Error handling request GET /code"


@pytest.mark.parametrize(
    ("published", "address"),
    [
        pytest.param("127.0.0.1:8080", "http://localhost:8080", id="this machine"),
        pytest.param("0.0.0.0:8000-8001", "http://localhost:8000", id="a range, all addresses"),
        pytest.param("192.0.2.7:80", "http://192.0.2.7:80", id="one address"),
        pytest.param("", None, id="not said, as on Kubernetes"),
    ],
)
def test_published_address(
    monkeypatch: pytest.MonkeyPatch, published: str, address: str | None
) -> None:
    """The address to open is that on the machine, with a name that browsers trust."""
    monkeypatch.setenv("PUBLISHED", published)
    assert published_address() == address


def test_a_receiver_that_is_away_does_not_flood_the_log() -> None:
    """An error that OpenTelemetry repeats 100 times in a row is logged once."""
    code = """
for _ in range(100):
    logging.getLogger("opentelemetry.exporter").warning("Transient error")
"""
    assert [line["event"] for line in lines(code)] == ["Transient error"]


def test_database_errors_tell_no_parameters(tmp_path: Path) -> None:
    """The text of a database error has the statement, but not its parameters."""
    code = """
from sqlalchemy import text
def fails():
    with app.extensions["database"].autocommit.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE links (target TEXT UNIQUE)"))
        for _ in range(2):
            insert = text("INSERT INTO links VALUES (:target)")
            connection.execute(insert, {"target": "x?token=s3cret"})
app.view_functions["fails"] = fails
client.get("/-fails")
"""
    (line,) = lines(code, DATABASE_URL=f"sqlite:///{tmp_path}/x.db")
    assert "INSERT INTO links" in line["exception"]
    assert "s3cret" not in str(line)


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_plain_request_has_the_same_line(log_format: str, level: str) -> None:
    """The line that is written by hand is the same as structlog's, to the last character."""
    by_hand = log_format == "json" and level != "warning"
    code = f"from app.telemetry import logs; assert logs._is_plain is {by_hand}"
    code += """
started_at = logs.time.perf_counter() - 2
logs.time.perf_counter = lambda: started_at + 0.0123
ids = {"request_id": "A.b-9_", "trace_id": "a" * 32}
for path in ("/a", '/"\\\\\\x00\\xc3\\xa4\\xff\\x7f', "//", ""):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "REMOTE_ADDR": "2001:db8::1"}
    for log in (logs.log_request, logs.log_plain_request):
        log(environ, "/<a>/<b>", 302, started_at, ids)
"""
    written = [
        re.sub(r"[0-9-]{10}[T ][0-9:.]+Z", "", line)
        for line in run(code, LOG_FORMAT=log_format, LOG_LEVEL=level).splitlines()
    ]
    assert written[::2] == written[1::2]
    assert len(written) == (0 if level == "warning" else 8)
