"""gunicorn's gevent worker, with load shedding and limits for slow clients.

A request that waits for its client or for the database occupies a greenlet and no thread. So slow
requests are harmless until there are too many. Then the connections that have waited longest for
their clients are closed.

All patches of gunicorn are here. tests/unit/test_private_parts.py lists the private names of
gunicorn and gevent that this module uses.
"""

import re
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice, takewhile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import gevent
from gevent.server import StreamServer
from gevent.socket import AF_INET6, socket
from gunicorn import glogging, util
from gunicorn.http.parser import Parser
from gunicorn.workers.ggevent import GeventWorker

from app.server import ACCEPT_UPLOAD, fast_path, responses, shutdown
from app.server.connection import SMALL, Connection
from app.server.forwarded import plain_address
from app.server.keep_alive import Found, KeepAlive
from app.telemetry import logs, metrics, quiet_paths
from app.telemetry.stdout import line_buffer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SLOW_AFTER = 1.0  # seconds without a byte until a connection can be closed to make room
MAX_CONCURRENT_REQUESTS = 400  # in one worker; further requests get 503 immediately


class Logger(glogging.Logger):
    """gunicorn's logger without its access log, which `logs.log_request` replaces."""

    def access(self, *_args: Any) -> None:
        """Do nothing."""


class Listener(StreamServer):
    """A server that accepts connections for its worker.

    An idle worker accepts few connections at once, so that other workers get their share. A busy
    worker accepts many, because it can shed only requests of accepted connections: others would
    wait in the backlog of the listening socket.
    """

    def __init__(self, worker: "Worker", listening: socket) -> None:
        self.worker = worker
        name = listening.getsockname()
        self.fast_path = None if str(name[1]) in metrics.metrics_ports else worker.fast_path
        # gunicorn asks for the socket's name with a connection's first request. By then the socket
        # can be closed.
        self.serve = partial(worker.handle, SimpleNamespace(getsockname=lambda: name))
        super().__init__(listening, self.serve)

    def do_read(self) -> tuple[Connection, Any] | None:
        """Accept a connection and return it with its address, or None if none is waiting."""
        try:
            # The same as gevent's `do_read`, but with our class of connection.
            fileno, address = self.socket._accept()
        except BlockingIOError:
            return None
        if self.socket.family == AF_INET6:  # such a socket also accepts IPv4
            address = (plain_address(address[0]), *address[1:])
        kind = self.socket.family, self.socket.type, self.socket.proto
        return Connection(self, address, *kind, fileno=fileno), address

    def do_handle(self, client: Connection, address: Any) -> None:
        """Let a new connection wait for its first request.

        If gunicorn has to handle a request, the connection gets a greenlet.
        """
        self.worker.begin(client)
        KeepAlive(client, partial(self.wake, client, address))

    def wake(self, client: Connection, address: Any) -> None:
        """Start the greenlet of a connection, or close the connection if it has ended."""
        if client.found == Found():
            self.worker.end(client)
            client.close()
        else:
            gevent.spawn(self.serve, client, address)

    @property
    def max_accept(self) -> int:
        """Return how many connections to accept in one turn of gevent's loop."""
        return 8 + self.worker.active_requests


class Worker(GeventWorker):
    """A gunicorn worker that serves each connection in its own greenlet, or without one.

    All its methods run in one thread, so its counters need no lock.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections = 0
        self.active_requests = 0
        # Connections that wait for their clients, with time.monotonic() at the start of the wait.
        # The longest wait is first.
        self.waiting_connections: dict[Connection, float] = {}
        # Bytes of requests that their clients have sent, and of answers that they have not read.
        self.held_bytes = 0
        self.max_held_bytes = 0  # gunicorn.conf.py sets it

    def init_process(self) -> None:
        """Serve until the worker stops. Log lines of one turn of gevent's loop share a write."""
        line_buffer.schedule_flush = gevent.spawn_raw
        metrics.IN_FLIGHT_LIMIT.set(MAX_CONCURRENT_REQUESTS)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, and the handler of its fast path if it has one."""
        super().load_wsgi()
        application: Any = self.wsgi  # type: ignore[has-type]
        self.fast_path: fast_path.Handler | None = application.extensions.get(fast_path.EXTENSION)

        def service(environ: "WSGIEnvironment", start_response: Any) -> Any:
            connection = environ["gunicorn.socket"]
            environ[ACCEPT_UPLOAD] = connection.accept_upload
            return application(connection.extra_environ | environ, start_response)

        self.wsgi = service

    def should_shed(self, connection: Connection, path: str) -> bool:
        """Return whether to shed a request because the worker is overloaded.

        The worker is overloaded if it has too many active requests, or if this connection was
        opened when there were too many connections and there still are too many. Health checks and
        metrics are never shed, because they matter most under overload.
        """
        over = connection.is_over_capacity and self.connections > self.worker_connections
        if not over and self.active_requests < MAX_CONCURRENT_REQUESTS:
            return False
        return path not in quiet_paths and path != metrics.PATH

    def has_room(self) -> bool:
        """Return whether the worker may hold more bytes for its clients."""
        return self.held_bytes <= self.max_held_bytes

    def drop_unread_answers(self) -> bool:
        """Drop answers to make room, and return whether that was enough.

        The client that has read nothing for the longest time loses its answer first. Answers that
        have waited for less than SLOW_AFTER are kept.
        """
        excess = self.held_bytes - self.max_held_bytes
        for connection, since in list(self.waiting_connections.items()):
            if excess <= 0 or since > time.monotonic() - SLOW_AFTER:
                break
            if connection.unsent_bytes > SMALL:
                excess -= connection.unsent_bytes
                connection.disconnect()
        return excess <= 0

    def shed_response(self, method: str = "GET") -> bytes:
        """Count a shed request, and return its response."""
        metrics.SHED.inc()
        return responses.overloaded(method)

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Disable gunicorn's keep-alive time-out. `close_idle` closes idle connections instead."""
        return nullcontext()

    def run(self) -> None:
        """Serve until gunicorn stops the worker, then drain its connections.

        To drain them, stop accepting new ones, and return when all have ended or when gunicorn's
        `graceful_timeout` (seconds) is over.
        """
        listeners = [Listener(self, listening) for listening in self.sockets]
        for listener in listeners:
            listener.start()
        while self.alive:
            self.notify()
            metrics.write()
            self.close_idle(self.cfg.keepalive)
            gevent.sleep(1)
        for listener in listeners:
            listener.close()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while self.connections and time.monotonic() < deadline:
            self.notify()
            metrics.write()
            self.close_idle(0)
            gevent.sleep(0.1)
        metrics.write()

    def close_idle(self, seconds: float) -> None:
        """Close the connections that have had no request for at least `seconds`."""
        for connection, since in list(self.waiting_connections.items()):
            if since > time.monotonic() - seconds:
                break
            if connection.is_idle:
                connection.disconnect()

    def begin(self, client: Connection) -> None:
        """Count a new connection. If there are too many, close slow ones."""
        self.connections += 1
        client.is_over_capacity = self.connections > self.worker_connections
        self.evict_slow_connections()

    def end(self, client: Connection) -> None:
        """Stop counting a connection that is closed."""
        client.release()
        self.connections -= 1

    def handle(self, listening: Any, client: Connection, addr: Any) -> None:
        """Serve one connection, which `begin` has counted, until it ends."""
        try:
            super().handle(listening, client, addr)
        finally:
            self.end(client)

    def evict_slow_connections(self) -> None:
        """Close as many connections as exceed the limit, those of the slowest clients first.

        Connections that have waited for less than SLOW_AFTER stay open.
        """
        excess = max(self.connections - self.worker_connections, 0)
        slow = time.monotonic() - SLOW_AFTER
        oldest = islice(self.waiting_connections.items(), excess)
        for connection, _ in list(takewhile(lambda waiting: waiting[1] < slow, oldest)):
            connection.disconnect()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request, or shed it if the worker is overloaded."""
        if self.should_shed(sock, req.path):
            sock.sendall(self.shed_response(req.method))
        else:
            if shutdown.has_begun():
                req.force_close()  # send `Connection: close`, so that clients leave before the stop
            self.active_requests += 1
            sock.has_request = True
            try:
                super().handle_request(listener_name, req, sock, addr)
            finally:
                self.active_requests -= 1
                if sock.is_refused:
                    sock.linger()
        # gunicorn may have read beyond this request if its buffer is not empty, or if the body has
        # bytes left (unknown for a chunked body). Then the next request may begin in that buffer,
        # so only gunicorn can read it: see keep_alive.py.
        rest = req.unreader.buf.getvalue() or getattr(req.body.reader, "length", True)
        sock.parser_is_empty = not rest
        sock.release()
        sock.deadline = None

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop: close idle connections now, and the others after their requests.

        gunicorn calls it on SIGTERM.
        """
        super().handle_exit(sig, frame)
        self.close_idle(0)


def answer_unparsed(client: Any, status: int, _reason: str, detail: str) -> None:
    """Log and answer a request that gunicorn can't parse, in the format of RFC 9457.

    Flask never sees such a request. The arguments are those of gunicorn's `write_error`.
    """
    request_id = uuid.uuid4().hex
    # Cut off what the client sent: in a malformed header, that can be a token.
    logs.log_unparsed(status, re.split("['\":(]", detail)[0].strip(), request_id)
    answer = responses.problem(status, detail, request_id, "Connection: close")
    util.write_nonblock(client, answer)


util.write_error = answer_unparsed  # gunicorn's own writes HTML, and no setting changes that


def skip_body(parser: Any) -> bool:
    """Skip what no view has read of a request's body, without counting it as held.

    Return what gunicorn's `finish_body` returns: whether the connection can be used again.
    """
    connection = getattr(parser.unreader, "sock", None)
    if not isinstance(connection, Connection):
        return bool(finish_body(parser))
    connection.is_counted = False
    is_skipped = bool(finish_body(parser))
    connection.begin_request()
    return is_skipped


finish_body = Parser.finish_body
Parser.finish_body = skip_body
