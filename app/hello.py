"""The greeting at `/`: proof that the service reaches its database."""

from flask import Response

from app.api import Blueprint
from app.database import database, product

blueprint = Blueprint("hello", __name__, description="Is the service there?")

GREETING = """\
Hello, World! {} version: {}
The API is under /api, its documentation at /docs, the state of the service at /readyz.
README.md has a tour and says what is where.
"""


@blueprint.route("/")
@blueprint.response(
    200, {"type": "string"}, content_type="text/plain", example=GREETING.format("MySQL", "9.7.4")
)
def hello() -> Response:
    """Greet with the database's name and version

    And say where to go next.
    """
    return Response(GREETING.format(*product(database().reader)), mimetype="text/plain")
