"""The example: a link shortener. Delete this folder and put your own beside the rest."""

from flask import Flask

from app.api import Api
from app.links import api as links_api
from app.links import clicks, codes, preview, redirect, schemas


def init_app(app: Flask, api: Api) -> None:
    """Add the API under `/api/links`, and what lies under `/<code>`."""
    app.url_map.converters |= {"code": codes.CodeConverter, "rest": redirect.RestOfPath}
    api.register_converter(codes.CodeConverter, lambda _: schemas.CODE)
    api.register_converter(redirect.RestOfPath, lambda _: redirect.REST)
    api.register_blueprint(links_api.blueprint)
    app.url_map.converters["free"] = codes.free_code(app)
    api.register_blueprint(preview.blueprint)
    api.register_blueprint(redirect.blueprint)
    clicks.init_app(app)
