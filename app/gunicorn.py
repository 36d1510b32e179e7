"""gunicorn's settings, each with its reason."""

import json
import struct
import sys
import uuid
from pathlib import Path
from socket import SO_RCVTIMEO, SOL_SOCKET, socket
from typing import Any

import structlog
from gunicorn import util
from werkzeug.http import HTTP_STATUS_CODES

from app import errors, headers, observability, shutdown
from app.config import Settings, SettingsError

try:
    settings = Settings.from_environ()
except SettingsError as error:
    sys.exit(f"slipway: {error}")

wsgi_app = "app:create_app()"
bind = "0.0.0.0:8000"  # inside the container; what is published is compose's business
worker_class = "gthread"
workers = settings.web_concurrency  # not from the CPU count, which is the host's
threads = settings.web_threads
preload_app = True  # workers share the memory of what was imported before the fork
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 a heartbeat must not wait for a disk
keepalive = 75  # seconds: longer than a load balancer's idle time-out (often 60)
graceful_timeout = 30  # seconds for requests under way; compose's stop_grace_period counts on it
forwarded_allow_ips = ""  # what proxies say is TRUSTED_PROXIES' business
limit_request_line = 8190  # bytes, the most it allows: RFC 9112 asks for 8,000
timeout = 60  # seconds without a heartbeat until a worker is replaced
control_socket_disable = True  # it wants to write to a file system that is read-only
logconfig_dict = observability.logging_config(settings)

CLIENT_TIMEOUT = 5  # seconds until the next bytes of a request


def when_ready(server: Any) -> None:
    """Limit the waiting for clients; put the drain before gunicorn's handling of SIGTERM."""
    for listener in server.LISTENERS:
        # Connections inherit it. Without it, a client that stops in the middle of a request has a
        # thread for as long as it likes.
        listener.sock.setsockopt(SOL_SOCKET, SO_RCVTIMEO, struct.pack("ll", CLIENT_TIMEOUT, 0))
    shutdown.delay(settings.shutdown_delay)


def refuse(client: socket, status: int, _reason: str, detail: str) -> None:
    """Answer what is no HTTP, and so never gets to Flask, with a problem too."""
    request_id = uuid.uuid4().hex
    structlog.get_logger().warning("refused", status=status, detail=detail, request_id=request_id)
    body = json.dumps(errors.problem(status, detail, ""))
    lines = [
        f"HTTP/1.1 {status} {HTTP_STATUS_CODES[status]}",
        *(f"{name}: {value}" for name, value in headers.ALWAYS.items()),
        "Connection: close",
        f"Content-Length: {len(body)}",
        f"Content-Type: {errors.MEDIA_TYPE}",
        f"X-Request-Id: {request_id}",
        "",
        body,
    ]
    util.write_nonblock(client, "\r\n".join(lines).encode())


util.write_error = refuse  # in HTML otherwise, and no setting changes that
