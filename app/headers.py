"""What answers have in common: headers that keep browsers from harm, and who gets a page."""

from flask import Flask, Response, request

ALWAYS = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
PAGES = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self';"
    " style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'",
    # Not on redirects: there, the policy of the page that has the link goes on to the target.
    "Referrer-Policy": "same-origin",
}


def init_app(app: Flask) -> None:
    """Add them where a view has not set its own."""
    app.after_request(_add)


def is_api() -> bool:
    """Say whether the request is for the API, which is for programs with a token."""
    return f"{request.path}/".startswith("/api/")


def prefers_page() -> bool:
    """Say whether the client names HTML, as browsers do, and rather than JSON."""
    kinds = ["application/json", "text/html"]
    return request.accept_mimetypes.best_match(kinds) == "text/html"


def _add(response: Response) -> Response:
    wanted = ALWAYS | (PAGES if response.mimetype == "text/html" else {})
    for name, value in wanted.items():
        if name not in response.headers:
            response.headers.add(name, value)
    return response
