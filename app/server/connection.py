"""A client's connection, with time-outs for sending requests and reading responses.

gunicorn's parser reads requests by `recv`, in the connection's own greenlet. Before the first
request and between two requests, gevent's event loop watches the connection: see keep_alive.py.

It relies on private names of gevent, which tests/unit/test_private_parts.py lists.
"""

import errno
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent
from gevent.socket import SHUT_RDWR, SHUT_WR, socket
from werkzeug.exceptions import BadRequest, ServiceUnavailable

from app.api.problems import RETRY_AFTER
from app.server.keep_alive import Found, KeepAlive

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from app.server.worker import Listener

HEAD_TIMEOUT = 10.0  # seconds from the first byte of a request to the end of its headers
MINIMUM_BYTE_RATE = 1000  # bytes per second at which a client must send a body
TURN = 0.05  # seconds until a request whose body is read without a pause lets others run
REQUEST_TIMEOUT = 60.0  # seconds from the first byte of a request to the end of its body
UPLOAD_TIMEOUT = 600.0  # the same, if a view writes the body to a file
LINGER_TIMEOUT = 5.0  # seconds in which a client that was refused can end its body
SMALL = 16 * 1024  # bytes of a request or an answer that are accepted however much memory is in use
SEND_TIMEOUT = 20.0  # seconds for a client to read one part of a response
NO_MEMORY = "The service has no memory left for large requests. Try again."
BODY_TOO_SLOW = "The body did not arrive in time."


class Connection(socket):
    """The server's end of one connection.

    Its own greenlet uses it. Before that greenlet starts, and while it sleeps, callbacks of the
    event loop use it. Any greenlet of the worker may call `disconnect`.
    """

    def __init__(self, listener: "Listener", address: Any, *kind: int, fileno: int) -> None:
        super().__init__(*kind, fileno=fileno)
        self.worker = listener.worker
        self.fast_path = listener.fast_path
        self.client_address = address[0] if isinstance(address, tuple) else ""
        # time.monotonic() by which the client must send the rest of the request that is being read.
        # None between two requests.
        self.deadline: float | None = None
        self.last_deadline = 0.0  # the same, but no bytes extend it
        self.held_bytes = 0  # of the current request and its answer, in memory
        self.unsent_bytes = 0  # the part of them that the client has not read
        self.is_counted = True  # whether bytes that the client sends stay in memory
        self.has_request = False  # gunicorn has parsed the headers
        self.is_refused = False  # the client may still be sending a body
        self.is_idle = False  # between two requests
        self.is_over_capacity = False  # the worker already had `worker_connections` connections
        self.parser_is_empty = True  # gunicorn has read nothing after the last request
        self.found: Found | None = None  # what ended the last wait for a request, until it is read
        # What the fast path found out about the current request, for the application.
        self.extra_environ: WSGIEnvironment = {}

    def recv(self, size: int, flags: int = 0) -> bytes:  # noqa: ARG002
        """Return the next bytes that the client sends, or b"" at the end of the stream.

        The first bytes of a request can take any time, until the worker closes idle connections.
        The rest must come within HEAD_TIMEOUT, plus one second for each MINIMUM_BYTE_RATE bytes,
        and within REQUEST_TIMEOUT.

        :param size: the maximum number of bytes.
        :raises ConnectionResetError: the connection failed, or headers took too long or were too
            large for the memory that is left.
        :raises BadRequest: the body did not come in time.
        :raises ServiceUnavailable: the worker has no memory left for the body.
        """
        if self.deadline is None and not self.has_request:
            data = self._next_request()
            self.deadline, self.last_deadline = _deadlines()
        else:
            if self.deadline is None:  # the headers came together with the request before
                self.deadline, self.last_deadline = _deadlines()
            # If bytes are there already, gevent reads them without letting other greenlets run.
            if time.time() - self.hub.loop.now() > TURN:
                gevent.sleep(0.001)  # after a sleep of 0, gevent might not read other sockets first
            timeout = max(min(self.deadline, self.last_deadline) - time.monotonic(), 0)
            try:
                data = self._call_within(timeout, super().recv, size)
            except ConnectionResetError as error:
                # BlockingIOError: there was no time left to wait.
                late = isinstance(error.__cause__, (TimeoutError, BlockingIOError))
                if self.has_request and late:
                    self.is_refused = True
                    raise BadRequest(BODY_TOO_SLOW) from None
                raise
            self.deadline += len(data) / MINIMUM_BYTE_RATE
        if self.is_counted:
            self._hold(len(data))
            if self.held_bytes > SMALL and not self.worker.has_room():
                self._refuse()
        return data

    def _refuse(self) -> None:
        self.is_refused = True
        if self.has_request:
            raise ServiceUnavailable(NO_MEMORY, retry_after=RETRY_AFTER)
        # No view runs yet, which could turn an error into an answer.
        self.sendall(self.worker.shed_response())
        self.linger()
        raise ConnectionResetError(errno.ECONNRESET, NO_MEMORY)

    def _hold(self, size: int) -> None:
        self.held_bytes += size
        self.worker.held_bytes += size

    def accept_upload(self) -> None:
        """Give the current request UPLOAD_TIMEOUT, and don't count its body."""
        self.last_deadline += UPLOAD_TIMEOUT - REQUEST_TIMEOUT
        self.is_counted = False
        self._hold(-self.held_bytes)

    def release(self) -> None:
        """Stop counting the bytes of a request that has ended."""
        self._hold(-self.held_bytes)
        self.has_request = False

    def begin_request(self) -> None:
        """Count the bytes of the next request, and give it its own time."""
        self.is_counted = True
        self.deadline = None

    def linger(self) -> None:
        """Read what a refused client is still sending, so that it gets the answer and no reset."""
        self.release()
        deadline = time.monotonic() + LINGER_TIMEOUT
        with suppress(OSError):
            self.shutdown(SHUT_WR)
            while self._call_within(max(deadline - time.monotonic(), 0), super().recv, 65_536):
                pass

    def sendall(self, data: bytes, flags: int = 0) -> None:  # noqa: ARG002
        """Send all of `data`.

        :raises ConnectionResetError: the client did not read it in time or before the worker's
            memory was full, or the connection failed.
        """
        # The socket's buffer nearly always has room for everything, and this costs less.
        sent = self.send_now(data)
        if sent < len(data):
            self.unsent_bytes = len(data) - sent
            self._hold(self.unsent_bytes)
            try:
                if self.unsent_bytes > SMALL and not self.worker.drop_unread_answers():
                    raise ConnectionResetError(errno.ECONNRESET, NO_MEMORY)
                self._call_within(SEND_TIMEOUT, super().sendall, memoryview(data)[sent:])
            finally:
                self._hold(-self.unsent_bytes)
                self.unsent_bytes = 0

    def _call_within(self, timeout: float, call: Callable[[Any], Any], argument: Any) -> Any:
        self.settimeout(timeout)
        self.worker.waiting_connections[self] = time.monotonic()
        try:
            return call(argument)
        except OSError as error:
            raise ConnectionResetError(errno.ECONNRESET, "client disconnected or slow") from error
        finally:
            del self.worker.waiting_connections[self]

    def _next_request(self) -> bytes:
        while True:
            if not self.found:
                wait = KeepAlive(self, gevent.getcurrent().switch)
                try:
                    self.hub.switch()
                finally:
                    wait.end()
            (unsent, data, error), self.found = self.found or Found(), None
            if error:
                raise error
            if not unsent:
                return data
            self.sendall(unsent)

    def receive_now(self, size: int) -> bytes | None:
        """Return what the client has sent, without waiting: None if there is nothing yet.

        :raises OSError: the connection failed.
        """
        try:
            # The underlying non-blocking socket: gevent's own methods would wait.
            return self._sock.recv(size)  # type: ignore[no-any-return]
        except BlockingIOError:
            return None

    def send_now(self, data: bytes) -> int:
        """Send as much as the socket's buffer has room for, and return the number of bytes.

        :raises ConnectionResetError: the connection failed.
        """
        try:
            return self._sock.send(data)  # type: ignore[no-any-return]
        except BlockingIOError:
            return 0
        except OSError as error:
            raise ConnectionResetError(errno.ECONNRESET, "client disconnected") from error

    def disconnect(self) -> None:
        """Shut the connection down. A greenlet that reads it sees the end of the stream."""
        with suppress(OSError):  # the client has already closed it
            self.shutdown(SHUT_RDWR)


def _deadlines() -> tuple[float, float]:
    """Return both deadlines of a request that begins now."""
    now = time.monotonic()
    return now + HEAD_TIMEOUT, now + REQUEST_TIMEOUT
