"""gunicorn's and gevent's side of the service. It knows no feature.

A request that Flask gets was read by gunicorn's parser, and its errors are translated here.
"""

from flask import Flask, Response
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest

from app.api.problems import http_error


def init_app(app: Flask) -> None:
    """Translate the errors of gunicorn that a view can meet."""
    app.register_error_handler(ParseException, malformed_body)


def malformed_body(error: ParseException) -> Response:
    """Answer 400 where gunicorn finds a body's chunks malformed only while a view reads them."""
    return http_error(BadRequest(str(error)))
