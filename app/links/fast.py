"""Redirects ahead of Flask: the same answer at a part of the cost.

Nearly all requests to a link shortener are redirects, and most of what one costs is the server's
parser and Flask's request, context and response. So a redirect is answered before them, by the
functions that the route uses. All else goes on to Flask: other answers than 302, and every
request where requests are traced. Without its line in `links/__init__.py`, redirects do so too.
"""

import time
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.exceptions import HTTPException

from app import ahead, headers, metrics, observability, tracing
from app.links import codes, redirect
from app.links.clicks import Batcher, Outcome, Target

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

    def begin(environ: "WSGIEnvironment", done: ahead.Done) -> bool:
        code, rest = redirect.as_received(environ["RAW_URI"])
        if code in words:
            return False
        try:
            key = redirect.key(code, rest)
        except HTTPException:
            return False
        began = time.perf_counter()

        def end(outcome: Outcome) -> None:
            metrics.IN_FLIGHT.dec()
            headers: dict[str, str] | None = None
            failed = outcome
            if not isinstance(outcome, Exception):
                try:
                    headers = tell(outcome)
                except Exception as error:  # noqa: BLE001 whatever it is, the route tells it
                    failed = error.with_traceback(None)  # whose frames would hold the request
            if not headers:
                environ.update({redirect.FAILED: failed, observability.BEGAN: began})
            done(headers)

        def tell(target: Target | None) -> dict[str, str]:
            location = redirect.location(target, code, rest, environ["QUERY_STRING"])
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

        batcher.submit(key, end, counts=True)
        metrics.IN_FLIGHT.inc()
        return True

    return begin
