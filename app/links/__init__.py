"""The example: a link shortener. Delete this folder and put your own beside the rest."""

from flask import Flask

from app.api import Api
from app.links import cli, clicks, exports, redirect
from app.links.api import blueprint


def init_app(app: Flask, api: Api) -> None:
    """Add the API under `/api/links`, `/api/export`, redirects under `/<code>`, and commands."""
    api.register_blueprint(blueprint)
    api.register_blueprint(exports.blueprint)
    app.cli.add_command(cli.links)
    clicks.init_app(app)
    redirect.init_app(app)
