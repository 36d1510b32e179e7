"""gunicorn's gevent worker, with limits to what clients and overload can do to it.

A request that waits, for its client or for the database, costs a greenlet and no thread. So slow
ones are in nobody's way until there are too many, and then the oldest of them has to go.
"""

import errno
import json
import re
import time
import uuid
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import gevent
import structlog
from gevent.server import StreamServer
from gevent.socket import SHUT_RDWR, socket
from gunicorn import glogging, util
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker
from werkzeug.http import HTTP_STATUS_CODES

from app import ahead, errors, headers, metrics, observability, shutdown, tracing

HEAD_TIMEOUT = 10.0  # seconds from the first byte of a request to the end of its headers
BYTES_A_SECOND = 1000  # of a body, each of which gives a client that much more time
SEND_TIMEOUT = 20.0  # seconds for a client to take a part of its answer
SLOW = 1.0  # seconds without a byte: of too many connections, such a one is closed
BUSY_LIMIT = 400  # requests under way in one worker; more than that get 503 at once
ALWAYS_ANSWERED = tracing.QUIET | {"/metrics"}  # most of all when there is much to do
# A GET without a body, and nothing behind it.
WHOLE_GET = re.compile(
    rb"GET ([!-~]+) HTTP/1\.1\r\n(?:(?!content-|transfer-)[^\r\n]+\r\n)+\r\n", re.IGNORECASE
)

log = structlog.get_logger()


class Client(socket):
    """A connection whose client must send, and read, in time."""

    def __init__(self, server: "Server", address: Any, *what: int, fileno: int) -> None:
        super().__init__(*what, fileno=fileno)
        self.worker = server.worker
        self.ahead = server.ahead
        self.address = address[0] if isinstance(address, tuple) else ""
        self.whole = True  # until something comes that is not one whole GET
        self.passed_on: dict[str, Any] = {}  # for the environ of the request that is read
        self.deadline: float | None = None  # of the request that is being read
        self.surplus = False  # came when all places were taken

    def recv(self, size: int, flags: int = 0) -> bytes:  # noqa: ARG002
        """Return what comes next.

        :raises ConnectionResetError: nothing came in time.
        """
        while self.deadline is None:
            patience = self.worker.cfg.keepalive if self.worker.alive else 0
            data: bytes = self._in_time(patience, super().recv, size)
            # Never again after anything else: the parser may hold the beginning of what comes.
            self.whole = self.whole and bool(get := WHOLE_GET.fullmatch(data))
            if not (self.whole and self.answer_early(get[1].decode(), data)):
                self.deadline = time.monotonic() + HEAD_TIMEOUT
                return data
        data = self._in_time(max(self.deadline - time.monotonic(), 0), super().recv, size)
        self.deadline += len(data) / BYTES_A_SECOND
        return data

    def answer_early(self, target: str, data: bytes) -> bool:
        """Answer a request before it is parsed, if it is refused or there is a short way."""
        if self.worker.is_full_for(self) and target not in ALWAYS_ANSWERED:
            shed(self)  # what is refused should cost next to nothing
            return True
        if not self.ahead or shutdown.has_begun() or not (environ := ahead.environ(data, self.address)):
            return False
        self.worker.busy += 1
        try:
            headers = self.ahead(environ, None)
            if headers:
                self.sendall(ahead.response(headers))
        finally:
            self.worker.busy -= 1
        self.passed_on = environ
        return headers is not None

    def sendall(self, data: bytes, flags: int = 0) -> None:  # noqa: ARG002
        """Send it all.

        :raises ConnectionResetError: the client did not take it in time.
        """
        # Nearly always there is room for all of it, and no need for what `sendall` prepares.
        sent = self._in_time(SEND_TIMEOUT, super().send, data)
        if sent < len(data):
            self._in_time(SEND_TIMEOUT, super().sendall, memoryview(data)[sent:])

    def _in_time(self, timeout: float, call: Callable[[Any], Any], argument: Any) -> Any:
        self.settimeout(timeout)
        self.worker.waiting[self] = time.monotonic()
        try:
            return call(argument)
        except OSError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the client is gone or slow") from error
        finally:
            del self.worker.waiting[self]


class Logger(glogging.Logger):
    """gunicorn's, without its access log: ours knows the route."""

    def access(self, *_args: Any) -> None:
        """Write nothing."""


class Server(StreamServer):
    """A listener whose worker takes few connections at once while it is idle, to share them with
    the other workers, and many when it is busy, so that none waits where nobody can refuse it.
    """

    def __init__(self, worker: "Worker", listener: socket) -> None:
        self.worker = worker
        port = str(listener.getsockname()[1])
        self.ahead = None if port in metrics.ports else worker.ahead
        super().__init__(listener, partial(worker.handle, listener))

    def do_read(self) -> tuple[Client, Any] | None:
        """Accept a connection, if there is one."""
        try:
            fileno, address = self.socket._accept()
        except BlockingIOError:
            return None
        what = self.socket.family, self.socket.type, self.socket.proto
        return Client(self, address, *what, fileno=fileno), address

    @property
    def max_accept(self) -> int:
        """Return how many connections to take in one turn of the loop."""
        return 8 + self.worker.busy


class Worker(GeventWorker):
    """Serves each connection in a greenlet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections = 0
        self.busy = 0
        # What waits for its client, and since when; the longest first.
        self.waiting: dict[Client, float] = {}

    def init_process(self) -> None:
        """Begin to serve; many requests end in one turn of the loop, so their lines go together."""
        observability.output.later = gevent.spawn_raw
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, and what answers ahead of it."""
        super().load_wsgi()
        application = self.wsgi
        self.ahead = application.extensions.get(ahead.EXTENSION)

        def service(environ: Any, start_response: Any) -> Any:
            client = environ["gunicorn.socket"]
            environ |= {name: value for name, value in client.passed_on.items() if name not in environ}
            client.passed_on = {}
            return application(environ, start_response)

        self.wsgi = service

    def is_full_for(self, client: Client) -> bool:
        """Say whether there is more to do than can be done in a reasonable time."""
        surplus = client.surplus and self.connections > self.worker_connections
        return surplus or self.busy >= BUSY_LIMIT

    def run(self) -> None:
        """Serve until told to stop, and then until all requests have ended."""
        servers = [Server(self, listener) for listener in self.sockets]
        for server in servers:
            server.start()
        while self.alive:
            self.notify()
            gevent.sleep(1)
        for server in servers:
            server.close()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while self.connections and time.monotonic() < deadline:
            self.notify()
            gevent.sleep(0.1)

    def handle(self, listener: socket, client: Client, addr: Any) -> None:
        """Serve one connection; where it is one too many, slow ones give way."""
        self.connections += 1
        client.surplus = self.connections > self.worker_connections
        self.make_room()
        try:
            AsyncWorker.handle(self, listener, client, addr)
        finally:
            self.connections -= 1

    def make_room(self) -> None:
        """Close those of too many connections whose clients keep it waiting."""
        excess = max(self.connections - self.worker_connections, 0)
        for client, since in list(islice(self.waiting.items(), excess)):
            if since < time.monotonic() - SLOW:
                client.shutdown(SHUT_RDWR)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request, or refuse it where too many are under way."""
        if self.is_full_for(sock) and req.path not in ALWAYS_ANSWERED:
            shed(sock)
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
    metrics.REQUESTS.labels("other", "(refused)", status).inc()
    # Without what the client sent, which may be a broken Authorization.
    error = re.split("['\":(]", detail)[0].strip()
    log.warning("refused", status=status, error=error, request_id=request_id)
    problem = errors.problem(status, detail, "")
    util.write_nonblock(client, _answer(problem, request_id, "Connection: close"))


def shed(client: Client) -> None:
    """Answer 503 and keep the connection."""
    metrics.SHED.inc()
    client.sendall(SHED.replace(SHED_ID.encode(), uuid.uuid4().hex.encode()))


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


SHED_ID = "0" * 32  # stands for each one's own
SHED = _answer(
    errors.problem(503, "The service has more to do than it can. Try again.", ""),
    SHED_ID,
    f"Retry-After: {errors.RETRY_AFTER}",
)

util.write_error = refuse  # in HTML otherwise, and no setting changes that
