"""The greeting at `/`: proof that the service reaches its database."""

from typing import Any

from flask import Response, current_app, make_response

from app.api.headers import prefers_html
from app.api.openapi import named
from app.api.resources import Blueprint
from app.database import database
from app.identity import sessions

blueprint = Blueprint("hello", __name__, description="Is the service there?")

GREETING = """\
Hello, World! {} version: {}
The API is under /api, its documentation at /docs, the state of the service at /readyz.
README.md has a tour and says what is where.
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
    responses={302: {"description": "The web page.", "headers": named("Location", "Vary")}}
)
def hello() -> Any:
    """Greet with the database's name and version

    And say where to go next. A browser goes to the web page.
    """
    if current_app.secret_key and prefers_html():
        response = make_response(sessions.home())
    else:
        greeting = GREETING.format(*database().server_version())
        response = Response(greeting, mimetype="text/plain")
    response.vary.add("Accept")
    return response
