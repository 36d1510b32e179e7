"""The greeting at `/`, which shows that the service reaches its database."""

from typing import Any

from flask import Response, current_app, make_response

from app.api.headers import prefers_html
from app.api.openapi import named
from app.api.resources import Blueprint
from app.database import database
from app.identity import sessions

blueprint = Blueprint("hello", __name__, description="Greeting.")

GREETING = """\
Hello, World! {} version: {}
The API is under /api, its documentation at /docs, the state of the service at /readyz.
README.md has a tour of the API and a guide to the code.
"""


@blueprint.route("/")
@blueprint.response(
    200,
    {"type": "string"},
    content_type="text/plain",
    example=GREETING.format("MySQL", "9.7.4"),
    headers=named("Vary"),
)
@blueprint.doc(
    responses={302: {"description": "To the web page.", "headers": named("Location", "Vary")}}
)
def hello() -> Any:
    """Get a greeting with the database's name and version

    It also says where to go next. Browsers are redirected to the web page, if that is on.
    """
    if current_app.secret_key and prefers_html():
        response = make_response(sessions.home())
    else:
        greeting = GREETING.format(*database().server_version())
        response = Response(greeting, mimetype="text/plain")
    response.vary.add("Accept")
    return response
