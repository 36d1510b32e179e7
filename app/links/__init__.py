"""The example: a link shortener. Delete this folder and put your own beside the rest."""

from flask import Flask

from app.api import Api
from app.links import clicks, redirect
from app.links.api import blueprint


def init_app(app: Flask, api: Api) -> None:
    """Add the API under `/api/links` and the redirects under `/<code>`."""
    api.register_blueprint(blueprint)
    clicks.init_app(app)
    redirect.init_app(app)
