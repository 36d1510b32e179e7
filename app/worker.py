"""gunicorn's gevent worker, with limits to what clients and overload can do to it.

A request that waits, for its client or for the database, costs a greenlet and no thread. So slow
ones are in nobody's way until there are too many, and then the oldest of them has to go.
"""

import errno
import json
import time
import uuid
from typing import Any
from urllib.parse import quote

import structlog
from gevent.socket import AF_INET, SHUT_RDWR, SOCK_STREAM, socket
from gunicorn import util
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker
from werkzeug.http import HTTP_STATUS_CODES

from app import errors, headers, shutdown
from app.observability import QUIET

HEAD_TIMEOUT = 10.0  # seconds from the first byte of a request to the end of its headers
BYTES_A_SECOND = 1000  # of a body, each of which gives a client that much more time
SEND_TIMEOUT = 20.0  # seconds for a client to take a part of its answer
BUSY_LIMIT = 400  # requests under way in one worker; more than that get 503 at once

log = structlog.get_logger()


class Client(socket):
    """A connection whose client must send, and read, in time."""

    def __init__(self, worker: "Worker", fileno: int) -> None:
        super().__init__(AF_INET, SOCK_STREAM, fileno=fileno)
        self.worker = worker
        self.deadline: float | None = None  # of the request that is being read

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return what comes next.

        :raises ConnectionResetError: nothing came in time.
        """
        if self.deadline is None:
            self.settimeout(self.worker.cfg.keepalive if self.worker.alive else 0)
        else:
            self.settimeout(max(self.deadline - time.monotonic(), 0))
        self.worker.waiting[self] = None
        try:
            data: bytes = super().recv(size, flags)
        except OSError as error:
            raise _gone() from error
        finally:
            del self.worker.waiting[self]
        if self.deadline is None:
            self.deadline = time.monotonic() + HEAD_TIMEOUT
        self.deadline += len(data) / BYTES_A_SECOND
        return data

    def sendall(self, data: bytes, flags: int = 0) -> None:
        """Send it all.

        :raises ConnectionResetError: the client did not take it in time.
        """
        self.settimeout(SEND_TIMEOUT)
        try:
            super().sendall(data, flags)
        except OSError as error:
            raise _gone() from error


def _gone() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "the client has gone, or is too slow")


class Worker(GeventWorker):
    """Serves each connection in a greenlet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections = 0
        self.busy = 0
        # What waits for its client, the longest first.
        self.waiting: dict[Client, None] = {}

    def handle(self, listener: socket, client: socket, addr: Any) -> None:
        """Serve one connection; when it takes the last place, the slowest other one is closed."""
        self.connections += 1
        if self.connections >= self.worker_connections and self.waiting:
            next(iter(self.waiting)).shutdown(SHUT_RDWR)
        try:
            AsyncWorker.handle(self, listener, Client(self, client.detach()), addr)
        finally:
            self.connections -= 1

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request, or refuse it where too many are under way."""
        if self.busy >= BUSY_LIMIT and req.path not in QUIET:
            shed(sock, quote(req.path))
        else:
            if shutdown.has_begun():
                req.force_close()  # so that no client keeps a connection that is about to end
            self.busy += 1
            try:
                super().handle_request(listener_name, req, sock, addr)
            finally:
                self.busy -= 1
        sock.deadline = None

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop: connections without a request are closed, others end with theirs."""
        super().handle_exit(sig, frame)
        for client in [client for client in self.waiting if client.deadline is None]:
            client.shutdown(SHUT_RDWR)


def refuse(client: Any, status: int, _reason: str, detail: str) -> None:
    """Answer what is no HTTP, and so never gets to Flask, with a problem too."""
    request_id = uuid.uuid4().hex
    log.warning("refused", status=status, detail=detail, request_id=request_id)
    problem = errors.problem(status, detail, "")
    util.write_nonblock(client, _answer(problem, request_id, "Connection: close"))


def shed(client: Any, instance: str) -> None:
    """Answer 503 at a small part of what the request would have cost."""
    detail = "The service has more to do than it can. Try again."
    problem = errors.problem(503, detail, instance)
    client.sendall(_answer(problem, uuid.uuid4().hex, f"Retry-After: {errors.RETRY_AFTER}"))


def _answer(problem: dict[str, Any], request_id: str, header: str) -> bytes:
    status = problem["status"]
    body = json.dumps(problem)
    lines = [
        f"HTTP/1.1 {status} {HTTP_STATUS_CODES[status]}",
        *(f"{name}: {value}" for name, value in headers.ALWAYS.items()),
        f"Content-Length: {len(body)}",
        f"Content-Type: {errors.MEDIA_TYPE}",
        f"X-Request-Id: {request_id}",
        header,
        "",
        body,
    ]
    return "\r\n".join(lines).encode()


util.write_error = refuse  # in HTML otherwise, and no setting changes that
