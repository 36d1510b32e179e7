"""Slipway: `create_app` puts the service together."""

from collections.abc import Callable
from typing import Any

from flask import Flask

from app import cli, database, hello, server
from app.api import docs, headers, problems, rate_limit, static
from app.api.resources import Api
from app.config import Settings
from app.health import probes
from app.identity import sessions, tokens
from app.server import fast_path, forwarded
from app.telemetry import logs, metrics, tracing

BODY_LIMIT = 64 * 1024  # bytes


class SyncFlask(Flask):
    """A Flask application whose views are all plain functions, not coroutines."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function unchanged, without the checks that Flask makes on each request."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """Return the WSGI application.

    :raises app.config.SettingsError: a setting in the environment is missing or wrong.
    """
    settings = settings or Settings.from_environ()
    logs.configure_logging(settings)
    app = SyncFlask(__name__, static_folder=None)
    app.config |= {
        "API_TITLE": "Slipway",
        "API_VERSION": "v1",
        "MAX_CONTENT_LENGTH": BODY_LIMIT,
        "OPENAPI_VERSION": "3.1.0",
        "PUBLIC_URL": settings.public_url,
    }
    app.json.sort_keys = False  # type: ignore[attr-defined]  # keep the order of the schema
    app.url_map.merge_slashes = False  # redirects append the path as the client sent it

    logs.init_app(app)
    tracing.init_app(app)
    headers.init_app(app)
    problems.init_app(app)
    server.init_app(app)
    database.init_app(app, settings)
    probes.init_app(app)
    metrics.init_app(app)
    rate_limit.init_app(app, settings)
    tokens.init_app(app, settings)
    sessions.init_app(app, settings)
    cli.init_app(app)
    api = Api(app)
    for part in (hello, probes, docs, static, tokens):
        api.register_blueprint(part.blueprint)
    # oidc
    if settings.oidc_issuer and settings.oidc_client_secret and settings.secret_key:
        from app.identity import oidc, token_pages  # noqa: PLC0415 off, they take no memory

        oidc.init_app(app, settings)
        token_pages.init_app(app)
    # /oidc

    # example
    # Last: the first path segment of every route before it is reserved, and can't be a code.
    from app import links  # noqa: PLC0415 this line and the next plug the example in

    links.init_app(app, api)
    # /example

    if settings.trusted_proxies:
        proxies = settings.trusted_proxies
        app.wsgi_app = forwarded.trust(proxies, app.wsgi_app)  # type: ignore[method-assign]
        if handler := app.extensions.get(fast_path.EXTENSION):
            app.extensions[fast_path.EXTENSION] = forwarded.trust(proxies, handler)
    metrics.serve(app, [probes.DatabaseState(app)])
    return app
