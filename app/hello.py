"""The greeting at `/`: proof that the service reaches its database."""

from flask import Flask, Response

from app.database import database, product


def init_app(app: Flask) -> None:
    """Add the route."""
    app.add_url_rule("/", view_func=hello)


def hello() -> Response:
    """Greet with the database's name and version, and say where to go next."""
    name, version = product(database().reader)
    return Response(
        f"Hello, World! {name} version: {version}\n"
        "The API is under /api, the state of the service at /readyz.\n"
        "README.md has a tour and says what is where.\n",
        mimetype="text/plain",
    )
