"""A connection, whose client must send, and read, in time.

Between requests it is in the hands of gevent's loop. There a plain GET can be answered ahead of
gunicorn: see `app/ahead.py`. All else goes to gunicorn's parser, which reads by `recv`.
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

from app import ahead, shutdown

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from app.worker import Server

HEAD_TIMEOUT = 10.0  # seconds from the first byte of a request to the end of its headers
BYTES_A_SECOND = 1000  # of a body, each of which gives a client that much more time
SEND_TIMEOUT = 20.0  # seconds for a client to take a part of its answer
READABLE = 1  # libev's EV_READ
# A GET without a body, and nothing behind it.
WHOLE_GET = re.compile(
    rb"GET ([!->@-~]+)(?:\?[!-~]*)? HTTP/1\.1\r\n(?:(?!content-|transfer-)[^\r\n]+\r\n)+\r\n",
    re.IGNORECASE,
)
CLOSE = re.compile(rb"^connection:.*close", re.IGNORECASE | re.MULTILINE)


class Client(socket):
    """The server's end of one connection."""

    def __init__(self, server: "Server", address: Any, *what: int, fileno: int) -> None:
        super().__init__(*what, fileno=fileno)
        self.worker = server.worker
        self.ahead = server.ahead
        self.address = address[0] if isinstance(address, tuple) else ""
        self.deadline: float | None = None  # of the request that gunicorn reads
        self.idle = False  # between two requests
        self.surplus = False  # came when all places were taken
        self.in_step = True  # gunicorn's parser holds nothing of what comes next
        self.passed_on: WSGIEnvironment = {}  # of the request that gunicorn reads

    def recv(self, size: int, flags: int = 0) -> bytes:  # noqa: ARG002
        """Return what comes next.

        :raises ConnectionResetError: nothing came in time.
        """
        if self.deadline is None:
            data = self._next_request(size)
            self.deadline = time.monotonic() + HEAD_TIMEOUT
            return data
        more: bytes = self._in_time(max(self.deadline - time.monotonic(), 0), super().recv, size)
        self.deadline += len(more) / BYTES_A_SECOND
        return more

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

    def _next_request(self, size: int) -> bytes:
        while True:
            unsent, data = Idle(self, size).end()
            if not unsent:
                return data
            self.sendall(unsent)

    def hang_up(self) -> None:
        """End the connection; who reads from it sees its end."""
        with suppress(OSError):  # the other end was faster
            self.shutdown(SHUT_RDWR)


class Idle:
    """The time between two requests that are gunicorn's to answer.

    The connection's greenlet sleeps. What comes is looked at, and often answered, by callbacks
    of gevent's loop, at a part of what it costs to wake a greenlet. They can't wait for anything.
    """

    def __init__(self, client: Client, size: int) -> None:
        self.client = client
        self.client.passed_on = {}
        self.worker = client.worker
        self.size = size
        self.sleeper = getcurrent()
        self.loop = client.hub.loop
        self.readable = self.loop.io(client.fileno(), READABLE)

    def end(self) -> tuple[bytes, bytes]:
        """Wait for the end; return what could not be sent at once, and what was received."""
        try:
            self._listen()
            told: tuple[bytes, bytes] = self.client.hub.switch()
            return told
        finally:
            self.readable.close()
            self.worker.waiting.pop(self.client, None)

    def _listen(self) -> None:
        self.client.idle = True
        self.worker.waiting[self.client] = time.monotonic()
        self.readable.start(self._read)

    def _read(self) -> None:
        try:
            data = self.client._sock.recv(self.size)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # as good as the end
        self.readable.stop()
        self.client.idle = False
        self.worker.waiting.pop(self.client, None)
        try:
            if not self._answers(data):
                self._wake(b"", data)
        except Exception as error:  # noqa: BLE001 there it is told, here it would be lost
            self.loop.run_callback(self.sleeper.throw, error)

    def _answers(self, data: bytes) -> bool:
        client, worker = self.client, self.worker
        get = WHOLE_GET.fullmatch(data) if client.in_step else None
        if not get:
            client.in_step = False
            return False
        if worker.refuses(client, get[1].decode()) and not CLOSE.search(data):
            self._send(worker.refusal())  # what is refused should cost next to nothing
            return True
        # Only gunicorn tells clients that the connection is about to end.
        if not client.ahead or shutdown.has_begun() or not worker.alive:
            return False
        environ = ahead.environ(data, client.address)
        if not environ or not client.ahead(environ, partial(self._answered, environ, data)):
            return False
        worker.busy += 1
        return True

    def _answered(
        self, environ: "WSGIEnvironment", data: bytes, headers: Mapping[str, str] | None
    ) -> None:
        self.worker.busy -= 1
        if headers:
            self._send(ahead.response(headers))
        else:
            self.client.passed_on = environ
            self._wake(b"", data)

    def _send(self, answer: bytes) -> None:
        try:
            sent = self.client._sock.send(answer)
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
