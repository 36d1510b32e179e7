"""The example: a link shortener. Delete this folder and put your own beside the rest."""

from flask import Flask

from app.api import Api
from app.links import api as links_api
from app.links import cli, clicks, codes, exports, fast, pages, preview, redirect, schemas


def init_app(app: Flask, api: Api) -> None:
    """Add the API, the web page at `/links`, what lies under `/<code>`, and commands."""
    app.url_map.converters |= {"code": codes.CodeConverter, "rest": redirect.RestOfPath}
    api.register_converter(codes.CodeConverter, lambda _: schemas.CODE)
    api.register_converter(redirect.RestOfPath, lambda _: redirect.REST)
    api.register_blueprint(links_api.blueprint)
    api.register_blueprint(exports.blueprint)
    pages.init_app(app)
    app.url_map.converters["free"] = codes.free_code(app)
    api.register_blueprint(preview.blueprint)
    api.register_blueprint(redirect.blueprint)
    app.cli.add_command(cli.links)
    clicks.init_app(app)
    fast.init_app(app)
