"""Checks of the private parts of gunicorn and gevent.

In the docstrings, "it" is the private part that a function checks.
"""

import os
import select
import socket
import subprocess
import sys
from contextlib import closing
from operator import attrgetter
from types import SimpleNamespace
from typing import Any
from unittest import mock

import gevent
import gevent.socket
import pytest
from gevent.server import StreamServer
from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.http import errors, get_parser, wsgi
from gunicorn.workers.ggevent import GeventWorker

from app.server import worker

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WITH_LENGTH = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345GET"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def plain_socket(name: str) -> None:
    """Check that it is the underlying non-blocking socket."""
    ours, peer = gevent.socket.socketpair()
    with ours, peer:
        plain = getattr(ours, name)
        with pytest.raises(BlockingIOError):
            plain.recv(1)
        assert plain.send(b"a") == 1
        assert peer.recv(1) == b"a"


def socket_hub(name: str) -> None:
    """Check that it is the gevent hub of the current thread."""
    with gevent.socket.socket() as ours:
        assert getattr(ours, name) is gevent.get_hub()


def patch_hooks(name: str) -> None:
    """Check that the monkey patch calls it, and takes whatever is there at that time."""
    script = f"events.{name} = print; monkey.patch_time()"
    command = (sys.executable, "-c", f"from gevent import events, monkey; {script}")
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "GeventWillPatchModuleEvent" in printed


def accept(name: str) -> None:
    """Check that it returns a new connection's file descriptor and address without waiting."""
    server = StreamServer(("127.0.0.1", 0), mock.Mock())
    server.init_socket()
    with closing(server):
        with pytest.raises(BlockingIOError):
            attrgetter(name)(server)()
        with socket.create_connection(server.address) as client:
            select.select([server.socket], [], [], 10)
            number, address = attrgetter(name)(server)()
            os.close(number)
            assert address == client.getsockname()


def handling(name: str) -> None:
    """Check that it gets a new connection with its address."""
    server = StreamServer(("127.0.0.1", 0), mock.Mock())
    server.init_socket()
    handled = mock.patch.object(server, name)
    with closing(server), handled as handle, socket.create_connection(server.address) as client:
        server.start()
        while not handle.called:
            gevent.sleep(0.001)
        connection, address = handle.call_args.args
        connection.close()
        assert address == client.getsockname()


def settings() -> Config:
    """Return a configuration with the parser that the service uses."""
    config = Config()
    config.set("http_parser", "python")
    return config


def parse(data: bytes) -> Any:
    """Return the first request that gunicorn parses from the data."""
    return next(get_parser(settings(), iter([data]), ("192.0.2.7", 1)))


def next_request(name: str) -> None:
    """Check that it holds all bytes after the end of the request."""
    second = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
    assert attrgetter(name)(parse(GET + second)).getvalue() == second


def body_length(name: str) -> None:
    """Check that it is the number of bytes of the body that have not been read."""
    request = parse(WITH_LENGTH)
    assert attrgetter(name)(request) == 5
    request.body.read()
    assert attrgetter(name)(request) == 0


def skipped_body(name: str) -> None:
    """Check that gunicorn calls it before each request, and that it skips the rest of a body."""
    parser = get_parser(settings(), iter([WITH_LENGTH + b" / HTTP/1.1\r\n\r\n"]), ("192.0.2.7", 1))
    body = next(parser).body
    with mock.patch.object(type(parser), name, autospec=True, side_effect=worker.skip_body) as skip:
        assert next(parser).method == "GET"
    skip.assert_called_once_with(parser)
    assert body.read() == b""


def parser_socket(name: str) -> None:
    """Check that it is the socket that the parser reads from."""
    source, peer = socket.socketpair()
    with source, peer:
        assert attrgetter(name)(get_parser(settings(), source, ("192.0.2.7", 1))) is source


def force_close(name: str) -> None:
    """Check that gunicorn closes the connection after a request on which it was called."""
    request = parse(GET)
    assert not request.should_close()
    getattr(request, name)()
    assert request.should_close()


def body_error(name: str) -> None:
    """Check that reading a body with a malformed chunk raises it."""
    with pytest.raises(getattr(errors, name)):
        parse(CHUNKED + b"x\r\n").body.read()


def environ(name: str) -> None:
    """Check that this key of the environ holds the socket, or the raw target of the request."""
    connection = object()
    request = parse(b"GET /%61?b HTTP/1.1\r\nHost: a\r\n\r\n")
    found = wsgi.default_environ(request, connection, settings())[name]
    assert found is connection or found == "/%61?b"


def worker_attribute(name: str) -> None:
    """Check that a worker has this attribute as soon as the application is loaded."""
    config = settings()
    values = {"cfg": config, "sockets": ["socket"], "wsgi": "application", "alive": True}
    app = SimpleNamespace(wsgi=lambda: "application")
    made = GeventWorker(1, 1, ["socket"], app, 15, config, mock.Mock())
    with closing(made.tmp):
        made.load_wsgi()
        assert getattr(made, name) == values.get(name, config.worker_connections)


def arbiter_address(name: str) -> None:
    """Check that it holds the addresses that the server listens on, in the configured order."""
    config = settings()
    config.set("bind", ["127.0.0.1:8000", "127.0.0.1:9100"])
    arbiter = mock.Mock()
    Arbiter.setup(arbiter, SimpleNamespace(cfg=config))
    assert getattr(arbiter, name) == [("127.0.0.1", 8000), ("127.0.0.1", 9100)]


def answer_to_malformed_request() -> tuple[bytes, str]:
    """Return what gunicorn sends to the client of a malformed request, and what it logs."""
    client, server = socket.socketpair()
    with client, server:
        broken = mock.Mock()
        error = errors.InvalidRequestLine("a")
        GeventWorker.handle_error(broken, None, client, ("192.0.2.7", 1), error)
        client.close()
        return server.recv(10_000), broken.log.warning.call_args.args[0]


def write_error(name: str) -> None:
    """Check that gunicorn answers malformed requests with our function."""
    assert getattr(util, name) is worker.answer_unparsed
    assert b"application/problem+json" in answer_to_malformed_request()[0]


def log_of_malformed_request(text: str) -> None:
    """Check that gunicorn's log line for a malformed request begins with this text."""
    assert answer_to_malformed_request()[1].startswith(text)
