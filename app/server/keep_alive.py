"""The time until a connection's next request, in which gevent's event loop watches the connection.

A callback of the loop can answer a plain GET without gunicorn: see fast_path.py. For all other
requests it wakes the connection's greenlet. A connection gets its greenlet with the first such
request, so one that only needs the fast path has none.
"""

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import gevent

from app.server import responses, shutdown
from app.server.fast_path import parse_plain_get

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from app.server.connection import Connection

READABLE = 1  # libev's EV_READ
READ_SIZE = 8192  # bytes that are read at once, as gunicorn's parser does
# A whole GET request without a body, and nothing after it.
WHOLE_GET = re.compile(
    rb"GET ([!->@-~]+)(?:\?[!-~]*)? HTTP/1\.1\r\n(?:(?!content-|transfer-)[^\r\n]+\r\n)+\r\n",
    re.IGNORECASE,
)


class Found(NamedTuple):
    """What ended a wait for a request. At most one of the fields is set.

    None of them is set at the end of the stream, and when the worker stops.
    """

    unsent: bytes = b""  # the rest of a response, if the client reads it slowly
    data: bytes = b""  # the first bytes of a request for gunicorn
    error: Exception | None = None  # of a callback; gunicorn logs it, and gevent's loop would not


class KeepAlive:
    """A wait for requests for gunicorn, while callbacks of gevent's loop answer the others.

    This costs a fraction of a greenlet that wakes for each request. Callbacks must not wait,
    because they block all requests of the worker.
    """

    def __init__(self, connection: "Connection", wake: Callable[[], object]) -> None:
        """Begin to wait.

        :param wake: called in the loop at the end of the wait, with the reason in
            `connection.found`.
        """
        self.connection = connection
        self.connection.extra_environ = {}
        self.worker = connection.worker
        self.wake = wake
        self.loop = gevent.get_hub().loop
        self.readable = self.loop.io(connection.fileno(), READABLE)
        self._listen()

    def end(self) -> None:
        """Stop waiting."""
        self.readable.close()
        self.worker.waiting_connections.pop(self.connection, None)

    def _listen(self) -> None:
        self.connection.is_idle = True
        self.worker.waiting_connections[self.connection] = time.monotonic()
        self.readable.start(self._read)

    def _read(self) -> None:
        try:
            data = self.connection.receive_now(READ_SIZE)
        except OSError:
            data = b""  # the same as the end of the stream
        if data is None:
            return
        self.readable.stop()
        self.connection.is_idle = False
        self.worker.waiting_connections.pop(self.connection, None)
        try:
            if not self._handle(data):
                self._wake(Found(data=data))
        except Exception as error:  # noqa: BLE001 an error of any kind
            self._wake(Found(error=error))

    def _handle(self, data: bytes) -> bool:
        """Shed a request or begin to answer it. Return False if gunicorn must handle it."""
        connection, worker = self.connection, self.worker
        get = WHOLE_GET.fullmatch(data) if connection.parser_is_empty else None
        if not get:
            connection.parser_is_empty = False
            return False
        if worker.should_shed(connection, get[1].decode()):
            # Shedding must cost next to nothing. `Worker.handle_request` sheds requests that may
            # have `Connection: close`, after which gunicorn closes the connection.
            if b"close" in data.lower():
                return False
            self._send(worker.shed_response())
            return True
        # Connection draining: while the service stops, leave all requests to gunicorn, which sends
        # `Connection: close`.
        if not connection.fast_path or shutdown.has_begun() or not worker.alive:
            return False
        environ = parse_plain_get(data, connection.client_address)
        if environ and connection.fast_path(environ, partial(self._respond, environ, data)):
            worker.active_requests += 1
            return True
        connection.extra_environ = environ or {}
        return False

    def _respond(
        self, environ: "WSGIEnvironment", data: bytes, headers: Mapping[str, str] | None
    ) -> None:
        self.worker.active_requests -= 1
        if headers:
            self._send(responses.redirect(headers))
        else:
            self.connection.extra_environ = environ
            self._wake(Found(data=data))

    def _send(self, answer: bytes) -> None:
        try:
            sent = self.connection.send_now(answer)
        except OSError:
            self._wake(Found())
            return
        if sent < len(answer) or not self.worker.alive:
            self._wake(Found(unsent=answer[sent:]))
        else:
            self._listen()

    def _wake(self, found: Found) -> None:
        self.end()
        self.connection.found = found
        self.loop.run_callback(self.wake)
