"""The part of the service that depends on gunicorn and gevent. It knows no feature.

gunicorn's parser also reads request bodies, while a view runs. This module turns its errors into
responses.
"""

from flask import Flask, Response
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest

from app.api.problems import http_error


def init_app(app: Flask) -> None:
    """Handle the errors that gunicorn's parser raises in views."""
    app.register_error_handler(ParseException, malformed_body)


def malformed_body(error: ParseException) -> Response:
    """Return 400 for a body with malformed chunks, which gunicorn notices while a view reads it."""
    return http_error(BadRequest(str(error)))
