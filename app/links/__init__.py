"""A link shortener, as an example. To build a service of your own, replace this folder."""

from flask import Flask

from app.api.resources import Api
from app.links import api as links_api
from app.links import (
    cli,
    clicks,
    codes,
    creates,
    exports,
    fast_redirect,
    history_api,  # history
    preview,
    reads,
    redirect,
    schemas,
    sources,
)
from app.links.pages import address_bar, pages


def init_app(app: Flask, api: Api) -> None:
    """Add the API, the pages at `/links`, the routes under `/<code>`, and the commands."""
    app.url_map.converters |= {"code": codes.CodeConverter, "rest": redirect.RestOfPath}
    api.register_converter(codes.CodeConverter, lambda _: schemas.CODE)
    api.register_converter(redirect.PastedCode, lambda _: redirect.PASTED_CODE)
    api.register_converter(redirect.RestOfPath, lambda _: redirect.REST)
    api.register_blueprint(links_api.blueprint)
    api.register_blueprint(exports.blueprint)
    api.register_blueprint(history_api.blueprint)  # history
    pages.init_app(app)
    app.register_blueprint(address_bar.pages)
    api.register_blueprint(address_bar.blueprint)
    # After all other routes, because it excludes their first path segments.
    app.url_map.converters["unreserved_code"] = codes.unreserved(app, codes.CodeConverter)
    app.url_map.converters["unreserved"] = codes.unreserved(app, redirect.PastedCode)
    app.url_map.converters["image"] = preview.ImageFormat
    api.register_converter(preview.ImageFormat, lambda _: preview.FORMAT)
    api.register_blueprint(preview.blueprint)
    redirect.init_app(app)
    api.register_blueprint(redirect.blueprint)
    sources.init()
    app.cli.add_command(cli.links)
    clicks.init_app(app)
    reads.init_app(app)
    creates.init_app(app)
    fast_redirect.init_app(app)
