"""Redirects ahead of Flask: the same answer at a part of the cost.

Nearly all requests to a link shortener are redirects, and most of what one costs is the server's
parser and Flask's request, context and response. So a redirect is answered before them, by the
functions that the route uses. All else goes on to Flask: other answers than 302, and every
request where requests are traced. Without its line in `links/__init__.py`, redirects do so too.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.exceptions import HTTPException

from app import ahead, headers, metrics, observability, tracing
from app.database import AWAY
from app.links import codes, redirect
from app.links.clicks import Batcher

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HEADERS = headers.ALWAYS | {"Cache-Control": redirect.CACHE_CONTROL}


def init_app(app: Flask) -> None:
    """Put redirects ahead of the app."""
    if not tracing.is_on():
        app.extensions[ahead.EXTENSION] = redirects(codes.words(app), app.extensions["clicks"])


def redirects(words: set[str], batcher: Batcher) -> ahead.Answer:
    """Answer redirects, and pass where there is to be another answer.

    :param words: what is no code, though it looks like one.
    """

    def answer(environ: "WSGIEnvironment", _: object) -> Mapping[str, str] | None:
        code, rest = redirect.as_received(environ["RAW_URI"])
        if code in words or not codes.CODE.fullmatch(code):
            return None
        began = time.perf_counter()
        query = environ["QUERY_STRING"]
        try:
            with metrics.IN_FLIGHT.track_inprogress():
                location = redirect.location(batcher, code, rest, query, counts=True)
        except (HTTPException, *AWAY) as error:
            environ |= {redirect.FAILED: error, observability.BEGAN: began}
            return None
        ids = observability.ids(environ)
        line = {
            "method": "GET",
            "path": environ["PATH_INFO"].encode("latin-1").decode(errors="replace"),
            "route": redirect.ROUTE_FURTHER if rest else redirect.ROUTE,
            "status": 302,
            "client": environ["REMOTE_ADDR"],
        }
        observability.tell(line | ids, began)
        return {"Location": location, **HEADERS, "X-Request-Id": ids["request_id"]}

    return answer
