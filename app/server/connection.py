"""One connection, whose client must send and read in time.

Between two requests, gevent's loop watches the connection. There, a plain GET can be answered
without gunicorn: see fast_path.py. All other requests go to gunicorn's parser, which reads them by
`recv`.

It relies on a private part of gevent, see tests/unit/test_private_parts.py.
"""

import errno
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from gevent import getcurrent
from gevent.socket import SHUT_RDWR, socket

from app.server import responses, shutdown
from app.server.fast_path import parse_plain_get

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from app.server.worker import Listener

HEAD_TIMEOUT = 10.0  # seconds from the first byte of a request to the end of its headers
MINIMUM_BYTE_RATE = 1000  # bytes a second, at which a client must send a body
SEND_TIMEOUT = 20.0  # seconds for a client to read a part of its answer
READABLE = 1  # libev's EV_READ
# A GET without a body, and nothing after it.
WHOLE_GET = re.compile(
    rb"GET ([!->@-~]+)(?:\?[!-~]*)? HTTP/1\.1\r\n(?:(?!content-|transfer-)[^\r\n]+\r\n)+\r\n",
    re.IGNORECASE,
)
CONNECTION_CLOSE = re.compile(rb"^connection:.*close", re.IGNORECASE | re.MULTILINE)


class Connection(socket):
    """The server's end of one connection: for its greenlet and the loop. Any may `disconnect`."""

    def __init__(self, listener: "Listener", address: Any, *kind: int, fileno: int) -> None:
        super().__init__(*kind, fileno=fileno)
        self.worker = listener.worker
        self.fast_path = listener.fast_path
        self.client_address = address[0] if isinstance(address, tuple) else ""
        self.deadline: float | None = None  # of the request that gunicorn reads
        self.is_idle = False  # between two requests
        self.is_over_capacity = False  # it was accepted when all places were taken
        self.parser_is_empty = True  # gunicorn has not read past the end of the last request
        self.extra_environ: WSGIEnvironment = {}  # from the fast path, for the next request

    def recv(self, size: int, flags: int = 0) -> bytes:  # noqa: ARG002
        """Return the next bytes.

        :raises ConnectionResetError: none came in time.
        """
        if self.deadline is None:
            data = self._next_request(size)
            self.deadline = time.monotonic() + HEAD_TIMEOUT
            return data
        timeout = max(self.deadline - time.monotonic(), 0)
        more: bytes = self._call_within(timeout, super().recv, size)
        self.deadline += len(more) / MINIMUM_BYTE_RATE
        return more

    def sendall(self, data: bytes, flags: int = 0) -> None:  # noqa: ARG002
        """Send all of it.

        :raises ConnectionResetError: the client did not read it in time.
        """
        # Nearly always, the socket's buffer has room for all of it, so `sendall` is not needed.
        sent = self._call_within(SEND_TIMEOUT, super().send, data)
        if sent < len(data):
            self._call_within(SEND_TIMEOUT, super().sendall, memoryview(data)[sent:])

    def _call_within(self, timeout: float, call: Callable[[Any], Any], argument: Any) -> Any:
        self.settimeout(timeout)
        self.worker.waiting_connections[self] = time.monotonic()
        try:
            return call(argument)
        except OSError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the client is gone or slow") from error
        finally:
            del self.worker.waiting_connections[self]

    def _next_request(self, size: int) -> bytes:
        while True:
            unsent, data = KeepAlive(self, size).wait()
            if not unsent:
                return data
            self.sendall(unsent)

    def disconnect(self) -> None:
        """Shut the connection down. Its reader sees the end of the stream."""
        with suppress(OSError):  # the client was faster
            self.shutdown(SHUT_RDWR)


class KeepAlive:
    """The time between two requests of a connection that gunicorn answers.

    The connection's greenlet sleeps. Callbacks of gevent's loop read the next request, and answer
    it where they can, at a fraction of the cost of waking a greenlet. They must not wait.
    """

    def __init__(self, connection: Connection, size: int) -> None:
        self.connection = connection
        self.connection.extra_environ = {}
        self.worker = connection.worker
        self.size = size
        self.sleeper = getcurrent()
        self.loop = connection.hub.loop
        self.readable = self.loop.io(connection.fileno(), READABLE)

    def wait(self) -> tuple[bytes, bytes]:
        """Wait until gunicorn is needed.

        Returns the rest of an answer that the client is slow to read, and the bytes of a request
        for gunicorn. One of them is empty.
        """
        try:
            self._listen()
            result: tuple[bytes, bytes] = self.connection.hub.switch()
            return result
        finally:
            self.readable.close()
            self.worker.waiting_connections.pop(self.connection, None)

    def _listen(self) -> None:
        self.connection.is_idle = True
        self.worker.waiting_connections[self.connection] = time.monotonic()
        self.readable.start(self._read)

    def _read(self) -> None:
        try:
            # The plain socket: gevent's methods would wait.
            data = self.connection._sock.recv(self.size)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # the same as the end of the stream
        self.readable.stop()
        self.connection.is_idle = False
        self.worker.waiting_connections.pop(self.connection, None)
        try:
            if not self._handle(data):
                self._wake(b"", data)
        except Exception as error:  # noqa: BLE001 the loop would swallow it, gunicorn logs it
            self.loop.run_callback(self.sleeper.throw, error)

    def _handle(self, data: bytes) -> bool:
        """Shed or answer a request, and return whether that was possible here."""
        connection, worker = self.connection, self.worker
        get = WHOLE_GET.fullmatch(data) if connection.parser_is_empty else None
        if not get:
            connection.parser_is_empty = False
            return False
        if worker.should_shed(connection, get[1].decode()) and not CONNECTION_CLOSE.search(data):
            self._send(worker.shed_response())  # a shed request should cost next to nothing
            return True
        # Only gunicorn tells clients that the connection is about to end.
        if not connection.fast_path or shutdown.has_begun() or not worker.alive:
            return False
        environ = parse_plain_get(data, connection.client_address)
        if not environ or not connection.fast_path(environ, partial(self._respond, environ, data)):
            return False
        worker.active_requests += 1
        return True

    def _respond(
        self, environ: "WSGIEnvironment", data: bytes, headers: Mapping[str, str] | None
    ) -> None:
        self.worker.active_requests -= 1
        if headers:
            self._send(responses.redirect(headers))
        else:
            self.connection.extra_environ = environ
            self._wake(b"", data)

    def _send(self, answer: bytes) -> None:
        try:
            sent = self.connection._sock.send(answer)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._wake(b"", b"")
            return
        if sent < len(answer) or not self.worker.alive:
            self._wake(answer[sent:], b"")
        else:
            self._listen()

    def _wake(self, unsent: bytes, data: bytes) -> None:
        self.loop.run_callback(self.sleeper.switch, (unsent, data))
