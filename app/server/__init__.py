"""The server: gunicorn's worker, client connections and the fast path. It depends on no feature.

gunicorn's parser reads a request's body while the view runs. This module turns the parser's errors
into responses.
"""

from flask import Flask, Response, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest

from app.api.problems import http_error

# Key in the WSGI environ of `Connection.accept_upload`.
ACCEPT_UPLOAD = "slipway.accept_upload"


def init_app(app: Flask) -> None:
    """Handle the errors that gunicorn's parser raises in views."""
    app.register_error_handler(ParseException, malformed_body)


def malformed_body(error: ParseException) -> Response:
    """Return 400 for a body with malformed chunks, which gunicorn notices while a view reads it."""
    return http_error(BadRequest(str(error)))


def accept_upload() -> None:
    """Give the client ten minutes for the current request's body, and don't count it as memory.

    Call it before the body is read, in a view that writes the body to a file.
    """
    # Flask's development server does not limit bodies.
    request.environ.get(ACCEPT_UPLOAD, lambda: None)()
