"""Sign-in for browsers: a signed cookie in place of a token, and protection against forged forms.

The cookie holds no secret, only which token it stands for. Each request looks the token up again,
so a token that is revoked or expires signs its browsers out.
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

from app.api.headers import is_api
from app.config import Settings
from app.identity import tokens

LIFETIME = timedelta(hours=12)
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# In the cookie and in forms. Replicas of the version before know it by this name too.
CSRF_FIELD = "form_key"
# No host after two slashes, nothing that a browser reads as a slash or drops.
SAFE_PATH = re.compile(r"/(?!/)[!-\[\]-~]*", flags=re.ASCII)

blueprint = Blueprint("sessions", __name__)


class CookieSessions(SecureCookieSessionInterface):
    """Flask's cookie. Over HTTPS, no other host and no plain HTTP can set or read it."""

    # Flask makes a serializer for each request, even where there is no cookie.
    get_signing_serializer = lru_cache(SecureCookieSessionInterface.get_signing_serializer)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the browser's session. The API has none: it accepts tokens only."""
        return None if is_api() else super().open_session(app, request)

    def get_cookie_name(self, app: Flask) -> str:  # noqa: ARG002
        """Return a name that browsers accept only from this host, if the request is secure."""
        return "__Host-slipway" if request.is_secure else "slipway"

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002
        """Return whether the cookie is for HTTPS only."""
        return request.is_secure


def init_app(app: Flask, settings: Settings) -> None:
    """Turn the web page on if there is a key to sign cookies with.

    A feature with pages adds its links to NAVIGATION: a title and an endpoint each.
    """
    app.secret_key = settings.secret_key
    app.session_interface = CookieSessions()
    app.config |= {
        "NAVIGATION": [],
        "PERMANENT_SESSION_LIFETIME": LIFETIME,
        "SESSION_COOKIE_SAMESITE": "Lax",
    }
    app.context_processor(
        lambda: {"current_user": current_user(), "csrf_token": session.get(CSRF_FIELD)}
    )
    app.register_blueprint(blueprint)


def protect(pages: Blueprint) -> None:
    """Require sign-in for a blueprint's pages, and accept forms only from our own pages."""
    pages.before_request(_require_enabled)
    pages.before_request(_require_sign_in)
    pages.before_request(check_csrf)
    pages.after_request(no_store)


def current_user() -> dict[str, Any] | None:
    """Return name and scope of the token with which the browser has signed in.

    From the cookie alone: pages look up whether the token is still valid.
    """
    found: dict[str, Any] | None = session.get("me")
    return found if found and found["until"] > time.time() else None


def home() -> Any:
    """Show the first page of the navigation. If there is none, show who is signed in."""
    if not current_user():
        return redirect(url_for("sessions.sign_in"), 302)
    for _, endpoint in current_app.config["NAVIGATION"]:
        return redirect(url_for(endpoint), 302)
    return render_template("home.html")


@blueprint.before_request
def _require_enabled() -> None:
    if not current_app.secret_key:
        abort(404, "The web page is off: the setting SECRET_KEY is missing.")


@blueprint.before_request
def check_csrf() -> None:
    """Reject a form that does not come from our own page: cross-site request forgery.

    Most browsers report where a form comes from. The token in it is for those that don't.
    """
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("Origin", request.host_url[:-1])
    default = "same-origin" if origin == request.host_url[:-1] else "cross-site"
    site = request.headers.get("Sec-Fetch-Site", default)
    wanted, given = session.get(CSRF_FIELD), request.form.get(CSRF_FIELD, "")
    is_own = wanted and hmac.compare_digest(wanted.encode(), given.encode())
    if site not in {"same-origin", "none"} or not is_own:
        abort(403, "The form is not from this page, or is too old. Go back, reload, and try again.")


def _require_sign_in() -> Any:
    claimed = current_user()
    token = tokens.find_by_id(claimed["id"]) if claimed else None
    if token:
        return tokens.authorize(token)
    session.pop("me", None)
    here = request.full_path if request.method in SAFE_METHODS else request.path
    return redirect(url_for("sessions.sign_in", next=here.removesuffix("?")), 303)


def no_store(response: Response) -> Response:
    """Keep pages out of browser caches: after sign-out, the next user could go back to them."""
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Any:
    """Exchange a token for a session cookie."""
    onward = _safe_next_path(request.args.get("next", ""))
    if request.method != "POST" and current_user():
        return redirect(onward or url_for("hello.hello"), 302)
    if request.method != "POST":
        session.setdefault(CSRF_FIELD, secrets.token_urlsafe())
        return render_template("sign_in.html", onward=onward)
    token = tokens.find_by_secret(request.form.get("token", "").strip())
    if token is None:
        tokens.count_failed_attempt()
        return render_template("sign_in.html", onward=onward, error=True), 422
    session.clear()  # it may have been somebody else's
    session[CSRF_FIELD] = secrets.token_urlsafe()
    until = time.time() + LIFETIME.total_seconds()
    session["me"] = {"id": token.id, "name": token.name, "scope": token.scope, "until": until}
    return redirect(onward or url_for("hello.hello"), 303)


@blueprint.route("/sign-out", methods=["POST"])
def sign_out() -> Response:
    """End the session."""
    session.clear()
    flash("You are signed out.")
    return redirect(url_for("sessions.sign_in"), 303)  # type: ignore[return-value]


def _safe_next_path(path: str) -> str:
    """Return a path if it is that of a page that requires sign-in, or "".

    Not every path of ours is safe: a short URL can lead anywhere.
    """
    adapter = current_app.create_url_adapter(request)
    try:
        if adapter and SAFE_PATH.fullmatch(path):
            endpoint, _ = adapter.match(path.partition("?")[0], method="GET")
            if _require_sign_in in current_app.before_request_funcs.get(endpoint.split(".")[0], []):
                return path
    except HTTPException:
        pass
    return ""
