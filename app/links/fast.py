"""Redirects ahead of Flask: the same answer at a part of the cost.

Nearly all requests to a link shortener are redirects, and most of what one costs is Flask's
request, context and response. So a redirect is answered before them, by the functions that the
route uses. All else goes on to Flask: other answers than 302, and every request where requests
are traced. Without its line in `links/__init__.py`, redirects do so too.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.exceptions import HTTPException

from app import headers, metrics, observability, tracing
from app.database import AWAY
from app.links import codes, redirect
from app.links.clicks import Batcher

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADERS = headers.ALWAYS | {"Cache-Control": redirect.CACHE_CONTROL}


def init_app(app: Flask) -> None:
    """Put redirects ahead of the app."""
    if not tracing.is_on():
        app.wsgi_app = ahead_of(app.wsgi_app, codes.words(app), app.extensions["clicks"])  # type: ignore[assignment, method-assign]


def ahead_of(service: "WSGIApplication", words: set[str], batcher: Batcher) -> "WSGIApplication":
    """Answer redirects, and let `service` answer all else.

    :param words: what is no code, though it looks like one.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        code, rest = redirect.as_received(environ["RAW_URI"])
        if environ["REQUEST_METHOD"] != "GET" or code in words or not codes.CODE.fullmatch(code):
            return service(environ, start_response)
        began = time.perf_counter()
        query = environ["QUERY_STRING"]
        try:
            with metrics.IN_FLIGHT.track_inprogress():
                location = redirect.location(batcher, code, rest, query, counts=True)
        except (HTTPException, *AWAY) as error:
            environ |= {redirect.FAILED: error, observability.BEGAN: began}
            return service(environ, start_response)
        ids = observability.ids(environ)
        told = {"Location": location, **HEADERS, "X-Request-Id": ids["request_id"]}
        start_response("302 FOUND", [*told.items(), ("Content-Length", "0")])
        line = {
            "method": "GET",
            "path": environ["PATH_INFO"].encode("latin-1").decode(errors="replace"),
            "route": redirect.ROUTE_FURTHER if rest else redirect.ROUTE,
            "status": 302,
            "client": environ.get("REMOTE_ADDR"),
        }
        observability.tell(line | ids, began)
        return []

    return answer
