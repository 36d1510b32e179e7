"""gunicorn's gevent worker, with limits to what clients and overload can do to it.

A request that waits, for its client or for the database, occupies a greenlet and no thread. So slow
requests are harmless until there are too many, and then the oldest connections are closed.

All patches of gunicorn are here. What it uses of private parts of gunicorn and gevent is named in
tests/unit/test_private_parts.py.
"""

import re
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import gevent
from gevent.server import StreamServer
from gevent.socket import socket
from gunicorn import glogging, util
from gunicorn.workers.ggevent import GeventWorker

from app.server import fast_path, responses, shutdown
from app.server.connection import Connection
from app.telemetry import logs, metrics, quiet_paths
from app.telemetry.stdout import line_buffer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SLOW_AFTER = 1.0  # seconds without a byte: of too many connections, such a one is closed
MAX_CONCURRENT_REQUESTS = 400  # in one worker; more than that get 503 immediately


class Logger(glogging.Logger):
    """gunicorn's logger without its access log: ours knows the route."""

    def access(self, *_args: Any) -> None:
        """Write nothing."""


class Listener(StreamServer):
    """Accepts connections for its worker: few at once while the worker is idle, so that other
    workers get their share, and many while it is busy, so that none waits where it can't be shed.
    """

    def __init__(self, worker: "Worker", listening: socket) -> None:
        self.worker = worker
        port = str(listening.getsockname()[1])
        self.fast_path = None if port in metrics.metrics_ports else worker.fast_path
        super().__init__(listening, partial(worker.handle, listening))

    def do_read(self) -> tuple[Connection, Any] | None:
        """Accept a connection, if there is one."""
        try:
            # As gevent's own `do_read`, which makes connections of its own class.
            fileno, address = self.socket._accept()
        except BlockingIOError:
            return None
        kind = self.socket.family, self.socket.type, self.socket.proto
        return Connection(self, address, *kind, fileno=fileno), address

    @property
    def max_accept(self) -> int:
        """Return how many connections to accept in one turn of the loop."""
        return 8 + self.worker.active_requests


class Worker(GeventWorker):
    """Serves each connection in a greenlet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections = 0
        self.active_requests = 0
        # Connections that wait for their clients, with time.monotonic(); the longest wait first.
        self.waiting_connections: dict[Connection, float] = {}

    def init_process(self) -> None:
        """Begin to serve. Log lines of one turn of the loop are written together."""
        line_buffer.schedule_flush = gevent.spawn_raw
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application and the handler of its fast path."""
        super().load_wsgi()
        application: Any = self.wsgi  # type: ignore[has-type]
        self.fast_path: fast_path.Handler | None = application.extensions.get(fast_path.EXTENSION)

        def service(environ: "WSGIEnvironment", start_response: Any) -> Any:
            return application(environ["gunicorn.socket"].extra_environ | environ, start_response)

        self.wsgi = service

    def should_shed(self, connection: Connection, path: str) -> bool:
        """Return whether there is more to do than can be done in reasonable time.

        Health checks and metrics are never shed: they matter most under overload.
        """
        over = connection.is_over_capacity and self.connections > self.worker_connections
        if not over and self.active_requests < MAX_CONCURRENT_REQUESTS:
            return False
        return path not in quiet_paths and path != metrics.PATH

    def shed_response(self) -> bytes:
        """Count a request that is shed, and return its response."""
        metrics.SHED.inc()
        return responses.overloaded()

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Return gunicorn's time-out between two requests: none, since `close_idle` has ours."""
        return nullcontext()

    def run(self) -> None:
        """Serve until told to stop, and then until all requests have ended."""
        listeners = [Listener(self, listening) for listening in self.sockets]
        for listener in listeners:
            listener.start()
        while self.alive:
            self.notify()
            self.close_idle(self.cfg.keepalive)
            gevent.sleep(1)
        for listener in listeners:
            listener.close()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while self.connections and time.monotonic() < deadline:
            self.notify()
            self.close_idle(0)
            gevent.sleep(0.1)

    def close_idle(self, seconds: float) -> None:
        """Close connections that have had no request for so many seconds."""
        for connection, since in list(self.waiting_connections.items()):
            if since > time.monotonic() - seconds:
                break
            if connection.is_idle:
                connection.disconnect()

    def handle(self, listening: socket, client: Connection, addr: Any) -> None:
        """Serve one connection. If there are too many, slow ones are closed."""
        self.connections += 1
        client.is_over_capacity = self.connections > self.worker_connections
        self.evict_slow_connections()
        try:
            super().handle(listening, client, addr)
        finally:
            self.connections -= 1

    def evict_slow_connections(self) -> None:
        """Close as many connections as there are too many, if their clients are slow."""
        excess = max(self.connections - self.worker_connections, 0)
        for connection, since in list(islice(self.waiting_connections.items(), excess)):
            if since < time.monotonic() - SLOW_AFTER:
                connection.disconnect()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request, or shed it if too many are active."""
        if self.should_shed(sock, req.path):
            sock.sendall(self.shed_response())
        else:
            if shutdown.has_begun():
                req.force_close()  # no client should keep a connection that is about to end
            self.active_requests += 1
            try:
                super().handle_request(listener_name, req, sock, addr)
            finally:
                self.active_requests -= 1
        # gunicorn has read past this request if its buffer is not empty, or if the body has bytes
        # left. The next request begins there, so only gunicorn can read it: see connection.py.
        rest = req.unreader.buf.getvalue() or getattr(req.body.reader, "length", True)
        sock.parser_is_empty = not rest
        sock.deadline = None

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop: idle connections are closed, others end with their requests."""
        super().handle_exit(sig, frame)
        self.close_idle(0)


def answer_unparsed(client: Any, status: int, _reason: str, detail: str) -> None:
    """Answer bytes that are not HTTP, and so never reach Flask, with a problem too."""
    request_id = uuid.uuid4().hex
    # Without what the client sent, which may be a malformed Authorization.
    logs.log_unparsed(status, re.split("['\":(]", detail)[0].strip(), request_id)
    answer = responses.problem(status, detail, request_id, "Connection: close")
    util.write_nonblock(client, answer)


util.write_error = answer_unparsed  # gunicorn's is HTML, and no setting changes that
