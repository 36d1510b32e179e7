"""Sign-in for browsers: a signed cookie in a token's place, and forms that no other site can send.

The cookie holds nothing secret, only which token it stands for. That is looked up again at each
request, so a token that is revoked or expires signs its browsers out.
"""

import hmac
import re
import secrets
import time
from datetime import timedelta
from functools import lru_cache
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    abort,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from werkzeug.exceptions import HTTPException

from app import auth
from app.config import Settings
from app.headers import is_api

LIFETIME = timedelta(hours=12)
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# No host behind two slashes, nothing that a browser reads as a slash or leaves out.
PATH = re.compile(r"/(?!/)[!-\[\]-~]*", flags=re.ASCII)

blueprint = Blueprint("sessions", __name__)


class Cookie(SecureCookieSessionInterface):
    """Flask's cookie; over HTTPS, no other host and no plain HTTP can set or see it."""

    # Flask's makes one for each request, even where there is no cookie.
    get_signing_serializer = lru_cache(SecureCookieSessionInterface.get_signing_serializer)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return what the browser keeps; for the API nothing, which is for tokens alone."""
        return None if is_api() else super().open_session(app, request)

    def get_cookie_name(self, app: Flask) -> str:  # noqa: ARG002
        """Return a name that browsers take only from this very host, where it is secure."""
        return "__Host-slipway" if request.is_secure else "slipway"

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002
        """Say whether the cookie is for HTTPS only."""
        return request.is_secure


def init_app(app: Flask, settings: Settings) -> None:
    """Turn the web page on where there is a key to sign cookies with.

    A part with a page of its own adds what leads there to PAGES: a title and an endpoint.
    """
    app.secret_key = settings.secret_key
    app.session_interface = Cookie()
    app.config |= {
        "PAGES": [],
        "PERMANENT_SESSION_LIFETIME": LIFETIME,
        "SESSION_COOKIE_SAMESITE": "Lax",
    }
    app.context_processor(lambda: {"me": me(), "form_key": session.get("form_key")})
    app.register_blueprint(blueprint)


def protect(pages: Blueprint) -> None:
    """Let only those see pages who are signed in, and take forms only from this service's own."""
    pages.before_request(_is_on)
    pages.before_request(_signed_in)
    pages.before_request(_own_form)
    pages.after_request(_unkept)


def me() -> dict[str, Any] | None:
    """Return name and scope of the token that the browser has signed in with.

    As the cookie tells it: whether the token is still valid is looked up by pages.
    """
    found: dict[str, Any] | None = session.get("me")
    return found if found and found["until"] > time.time() else None


def home() -> Any:
    """Show the first of the pages that there are, or else who has signed in."""
    if not me():
        return redirect(url_for("sessions.sign_in"), 302)
    for _, endpoint in current_app.config["PAGES"]:
        return redirect(url_for(endpoint), 302)
    return render_template("home.html")


@blueprint.before_request
def _is_on() -> None:
    if not current_app.secret_key:
        abort(404, "The web page is off: the setting SECRET_KEY is missing.")


@blueprint.before_request
def _own_form() -> None:
    """Refuse a form that this browser has not got from us: cross-site request forgery.

    Browsers say from where a form comes; the key in it is for those that don't.
    """
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("Origin", request.host_url[:-1])
    default = "same-origin" if origin == request.host_url[:-1] else "cross-site"
    site = request.headers.get("Sec-Fetch-Site", default)
    wanted, given = session.get("form_key"), request.form.get("form_key", "")
    if (
        site not in {"same-origin", "none"}
        or not wanted
        or not hmac.compare_digest(wanted.encode(), given.encode())
    ):
        abort(403, "The form is not from this page, or is too old. Go back, reload, and try again.")


def _signed_in() -> Any:
    claimed = me()
    token = auth.by_id(claimed["id"]) if claimed else None
    if token:
        return auth.admit(token)
    session.pop("me", None)
    here = request.full_path if request.method in SAFE_METHODS else request.path
    return redirect(url_for("sessions.sign_in", next=here.removesuffix("?")), 303)


def _unkept(response: Response) -> Response:
    """Let no browser keep a page: after its owner has signed out, the way back may be another's."""
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Any:
    """Take a token, and a cookie stands for it from then on."""
    onward = _own_page(request.args.get("next", ""))
    if request.method != "POST" and me():
        return redirect(onward or url_for("hello.hello"), 302)
    if request.method != "POST":
        session.setdefault("form_key", secrets.token_urlsafe())
        return render_template("sign_in.html", onward=onward)
    token = auth.by_text(request.form.get("token", "").strip())
    if token is None:
        auth.count_wrong()
        return render_template("sign_in.html", onward=onward, wrong=True), 422
    session.clear()  # what was there before may be somebody else's
    session["form_key"] = secrets.token_urlsafe()
    until = time.time() + LIFETIME.total_seconds()
    session["me"] = {"id": token.id, "name": token.name, "scope": token.scope, "until": until}
    return redirect(onward or url_for("hello.hello"), 303)


@blueprint.route("/sign-out", methods=["POST"])
def sign_out() -> Response:
    """Forget who it was."""
    session.clear()
    flash("You are signed out.")
    return redirect(url_for("sessions.sign_in"), 303)  # type: ignore[return-value]


def _own_page(path: str) -> str:
    """Return a path if a page that needs sign-in is there, or "".

    Not every path of ours will do: a short URL leads anywhere.
    """
    adapter = current_app.create_url_adapter(request)
    try:
        if adapter and PATH.fullmatch(path):
            endpoint, _ = adapter.match(path.partition("?")[0], method="GET")
            if _signed_in in current_app.before_request_funcs.get(endpoint.split(".")[0], []):
                return path
    except HTTPException:
        pass
    return ""
