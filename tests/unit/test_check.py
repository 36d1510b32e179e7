"""The containers' health check."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app.health import check
from tests.support.waiting import free_port


class Handler(BaseHTTPRequestHandler):
    """Answers with the status in the path. A client that follows a redirect gets a 200."""

    def do_GET(self) -> None:
        """Answer with the status in the path."""
        self.send_response(int(self.path.removeprefix("/")))
        self.send_header("Location", "/200")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(autouse=True)
def _server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that stands in for the service."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setattr(check, "PORT", server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_ok_is_healthy() -> None:
    """A 200 is healthy."""
    assert check.failure("/200") is None


@pytest.mark.parametrize("status", ["204", "302", "308", "404", "500", "503"])
def test_every_other_status_is_a_failure(status: str) -> None:
    """Any other status, including a redirect, is a failure, reported in one line."""
    problem = check.failure(f"/{status}")
    assert problem is not None
    assert problem.startswith(status)
    assert "\n" not in problem


def test_no_server_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is a failure, reported with its error."""
    monkeypatch.setattr(check, "PORT", free_port())
    assert str(check.failure("/livez")).startswith("ConnectionRefusedError: ")


def test_silence_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer in time is a failure, reported as a time-out."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:  # accepts connections, answers none
        monkeypatch.setattr(check, "PORT", server.server_port)
        monkeypatch.setattr(check, "TIMEOUT", 0.1)
        assert str(check.failure("/200")).startswith("TimeoutError: ")


def test_needs_no_package() -> None:
    """The script runs without site-packages, and exits with 1 and one line on failure."""
    command = [sys.executable, "-IS", check.__file__, "/livez"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
