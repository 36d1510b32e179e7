"""Security headers on every response, and which requests get a page instead of JSON."""

from flask import Flask, Response, request

BASE_HEADERS = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self';"
    " style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'",
    # Only on pages. On a redirect, it would replace the policy of the page that has the link.
    "Referrer-Policy": "same-origin",
}


def init_app(app: Flask) -> None:
    """Add BASE_HEADERS to every response and PAGE_HEADERS to HTML, unless the view has set them."""
    app.after_request(_add)


def is_api() -> bool:
    """Return whether the request is for the API, which accepts only tokens and has no pages."""
    return f"{request.path}/".startswith("/api/")


def prefers_html() -> bool:
    """Return whether the client prefers HTML to JSON, as browsers do."""
    kinds = ["application/json", "text/html"]
    return request.accept_mimetypes.best_match(kinds) == "text/html"


def _add(response: Response) -> Response:
    wanted = BASE_HEADERS | (PAGE_HEADERS if response.mimetype == "text/html" else {})
    for name, value in wanted.items():
        if name not in response.headers:
            response.headers.add(name, value)
    return response
