"""Answer redirects on the fast path: the same response at a fraction of the cost.

Nearly all requests to a link shortener are redirects. Most of the cost of a redirect is gunicorn's
parser, and Flask's request, context and response. So redirects are answered without these, by the
same functions that the route uses. Flask handles everything else: responses other than 302, and
requests that are not plain. To remove the fast path, delete its line in `links/__init__.py`;
Flask then answers all redirects.
"""

import time
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.exceptions import HTTPException

from app.api.headers import BASE_HEADERS
from app.links import codes, redirect
from app.links.click_counts import Target
from app.links.clicks import Outcome, Resolver
from app.server import fast_path
from app.telemetry import logs, metrics, tracing

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

REDIRECT_HEADERS = BASE_HEADERS | {"Cache-Control": redirect.CACHE_CONTROL}


def init_app(app: Flask) -> None:
    """Put redirects on the fast path."""
    handler = redirects(codes.reserved_words(app), app.extensions["clicks"])
    app.extensions[fast_path.EXTENSION] = handler


def redirects(reserved_words: set[str], resolver: Resolver) -> fast_path.Handler:
    """Return a handler that answers redirects, and leaves all other requests to Flask.

    :param reserved_words: words that look like a code but belong to other routes.
    """

    def begin(environ: "WSGIEnvironment", respond: fast_path.Respond) -> bool:
        code, rest = redirect.as_received(environ["RAW_URI"])
        if code in reserved_words:
            return False
        try:
            key = redirect.key(code, rest)
        except HTTPException:
            return False
        if not tracing.begin_plain(environ):
            return False
        started_at = time.perf_counter()

        def end(outcome: Outcome) -> None:
            metrics.IN_FLIGHT.dec()
            response_headers: dict[str, str] | None = None
            failure = outcome
            if not isinstance(outcome, BaseException):
                try:
                    response_headers = answer(outcome)
                except Exception as error:  # noqa: BLE001 the route reports any of them
                    failure = error.with_traceback(None)  # its frames would keep the request alive
            if not response_headers:
                environ.update({redirect.FAILURE: failure, logs.STARTED_AT: started_at})
            respond(response_headers)

        def answer(target: Target | None) -> dict[str, str]:
            location = redirect.location(target, code, rest, environ["QUERY_STRING"])
            ids = logs.request_ids(environ)
            route = redirect.ROUTE_WITH_REST if rest else redirect.ROUTE
            logs.log_plain_request(environ, route, 302, started_at, ids)
            tracing.end_plain(environ, route, 302, ids["request_id"])
            return {"Location": location, **REDIRECT_HEADERS, "X-Request-Id": ids["request_id"]}

        with tracing.in_plain(environ):
            resolver.submit(key, end, counts=True)
        metrics.IN_FLIGHT.inc()
        return True

    return begin
