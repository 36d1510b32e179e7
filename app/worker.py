"""gunicorn's gevent worker, with limits to what clients and overload can do to it.

A request that waits, for its client or for the database, costs a greenlet and no thread. So slow
ones are in nobody's way until there are too many, and then the oldest of them has to go.
"""

import json
import re
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import gevent
import structlog
from gevent.server import StreamServer
from gevent.socket import socket
from gunicorn import glogging, util
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker
from werkzeug.http import HTTP_STATUS_CODES

from app import ahead, errors, headers, metrics, observability, shutdown, tracing
from app.client import Client

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SLOW = 1.0  # seconds without a byte: of too many connections, such a one is closed
BUSY_LIMIT = 400  # requests under way in one worker; more than that get 503 at once
ALWAYS_ANSWERED = tracing.QUIET | {"/metrics"}  # most of all when there is much to do
log = structlog.get_logger()


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
        """Load the application, and what may answer ahead of it."""
        super().load_wsgi()
        application: Any = self.wsgi  # type: ignore[has-type]
        self.ahead: ahead.Answer | None = application.extensions.get(ahead.EXTENSION)

        def service(environ: "WSGIEnvironment", start_response: Any) -> Any:
            return application(environ["gunicorn.socket"].passed_on | environ, start_response)

        self.wsgi = service

    def refuses(self, client: Client, path: str) -> bool:
        """Say whether there is more to do than can be done in a reasonable time."""
        surplus = client.surplus and self.connections > self.worker_connections
        return (surplus or self.busy >= BUSY_LIMIT) and path not in ALWAYS_ANSWERED

    def refusal(self) -> bytes:
        """Count one more request that is refused, and return the answer, a 503."""
        metrics.SHED.inc()
        return SHED.replace(SHED_ID.encode(), uuid.uuid4().hex.encode())

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Return gunicorn's time-out between two requests: none, since `close_idle` has ours."""
        return nullcontext()

    def run(self) -> None:
        """Serve until told to stop, and then until all requests have ended."""
        servers = [Server(self, listener) for listener in self.sockets]
        for server in servers:
            server.start()
        while self.alive:
            self.notify()
            self.close_idle(self.cfg.keepalive)
            gevent.sleep(1)
        for server in servers:
            server.close()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while self.connections and time.monotonic() < deadline:
            self.notify()
            self.close_idle(0)
            gevent.sleep(0.1)

    def close_idle(self, patience: float) -> None:
        """Close connections that have had no request for so many seconds."""
        for client, since in list(self.waiting.items()):
            if since > time.monotonic() - patience:
                break
            if client.idle:
                client.hang_up()

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
                client.hang_up()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request, or refuse it where too many are under way."""
        if self.refuses(sock, req.path):
            sock.sendall(self.refusal())
        else:
            if shutdown.has_begun():
                req.force_close()  # so that no client keeps a connection that is about to end
            self.busy += 1
            try:
                super().handle_request(listener_name, req, sock, addr)
            finally:
                self.busy -= 1
        # What it has read and not used is in that buffer, or of a body that is not at its end.
        rest = req.unreader.buf.getvalue() or getattr(req.body.reader, "length", True)
        sock.in_step = not rest
        sock.deadline = None

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop: connections without a request are closed, others end with theirs."""
        super().handle_exit(sig, frame)
        self.close_idle(0)


def refuse(client: Any, status: int, _reason: str, detail: str) -> None:
    """Answer what is no HTTP, and so never gets to Flask, with a problem too."""
    request_id = uuid.uuid4().hex
    metrics.REQUESTS.labels("other", "(refused)", status).inc()
    # Without what the client sent, which may be a broken Authorization.
    error = re.split("['\":(]", detail)[0].strip()
    log.warning("refused", status=status, error=error, request_id=request_id)
    problem = errors.problem(status, detail, "")
    util.write_nonblock(client, _answer(problem, request_id, "Connection: close"))


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
