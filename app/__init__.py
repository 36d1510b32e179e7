"""Slipway: the service, put together."""

from functools import partial

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app import (
    ahead,
    auth,
    cli,
    database,
    docs,
    errors,
    headers,
    health,
    hello,
    metrics,
    observability,
    rate_limit,
    sessions,
    tracing,
)
from app.api import Api
from app.config import Settings

BODY_LIMIT = 64 * 1024  # bytes


def create_app(settings: Settings | None = None) -> Flask:
    """Return the WSGI application.

    :raises app.config.SettingsError: the environment has a wrong setting.
    """
    settings = settings or Settings.from_environ()
    observability.configure_logging(settings)
    app = Flask(__name__, static_folder=None)
    app.config |= {
        "API_TITLE": "Slipway",
        "API_VERSION": "v1",
        "MAX_CONTENT_LENGTH": BODY_LIMIT,
        "OPENAPI_VERSION": "3.1.0",
        "PUBLIC_URL": settings.public_url,
    }
    app.json.sort_keys = False  # type: ignore[attr-defined]  # fields as their schema has them
    # No view is a coroutine; Flask would look at each one in each request.
    app.ensure_sync = lambda func: func  # type: ignore[method-assign]
    app.url_map.merge_slashes = False  # a path is the client's, to be passed on as it is

    observability.init_app(app)
    tracing.init_app(app)
    headers.init_app(app)
    errors.init_app(app)
    database.init_app(app, settings)
    health.init_app(app)
    metrics.init_app(app)
    rate_limit.init_app(app, settings)
    auth.init_app(app)
    sessions.init_app(app, settings)
    cli.init_app(app)
    api = Api(app)
    for part in (hello, health, docs, auth):
        api.register_blueprint(part.blueprint)

    from app import links  # noqa: PLC0415 this line and the next plug the example in

    links.init_app(app, api)

    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        fix = partial(ProxyFix, x_for=hops, x_proto=hops, x_host=hops)
        app.wsgi_app = fix(app.wsgi_app)  # type: ignore[method-assign]
        if ahead.EXTENSION in app.extensions:
            app.extensions[ahead.EXTENSION] = fix(app.extensions[ahead.EXTENSION])
    metrics.serve(app, [health.Readiness(app)])
    return app
