"""A client for the service under test."""

import http.client
import socket
from contextlib import suppress
from typing import Any, NamedTuple, Self

import requests

from tests.support import contract


class RawAnswer(NamedTuple):
    """An answer to a request that was sent without `requests`, which would normalise it."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Service(requests.Session):
    """A session with one service. It follows no redirects, and waits at most 30 s by default.

    Every answer must match the OpenAPI document.
    """

    def __init__(self, url: str, token: str = "") -> None:
        super().__init__()
        self.url = url
        self.token = token
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def again(self) -> Self:
        """Return another session with the same service and token, for another thread."""
        return type(self)(self.url, self.token)

    def request(self, method: str | bytes, url: str | bytes, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request to a path of the service, and check the answer against the document."""
        options = {"timeout": 30, **options, "allow_redirects": False}
        answer = super().request(method, self.url + str(url), **options)
        contract.check(answer, body=not options.get("stream"))
        return answer

    def raw(self, target: str, method: str = "GET", body: bytes = b"", **headers: str) -> RawAnswer:
        """Send a request with exactly this target and body."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            if self.token:
                names["Authorization"] = f"Bearer {self.token}"
            connection.request(method, target, body or None, names)
            answer = connection.getresponse()
            return RawAnswer(answer.status, answer.msg, answer.read())
        finally:
            connection.close()

    def speak(self, sent: bytes, *, ends: bool = True) -> RawAnswer:
        """Send bytes, which need not be valid HTTP, and return the first answer.

        :param ends: whether to shut down the sending side, so that the server sees the end.
        """
        host, _, port = self.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            # The server can answer and close the connection before it has read everything.
            with suppress(OSError):
                connection.sendall(sent)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return RawAnswer(answer.status, answer.msg, answer.read())
