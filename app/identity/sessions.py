"""Sign-in for browsers: a signed cookie in place of a token, and protection against CSRF.

The cookie contains the id of the token, and not the token itself. Each request for a protected page
looks the token up, so browsers are signed out when it is revoked or expires. The same query checks
that the session has not been ended: after signing out, a copy of the cookie is worth nothing.
"""

import hashlib
import hmac
import re
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
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
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import HTTPException

from app.api.headers import is_api
from app.config import Settings
from app.database import database
from app.database.types import UTCDateTime, binary, metadata
from app.identity import tokens

LIFETIME = timedelta(hours=12)
TTL = 2 * LIFETIME  # of ended sessions: ample, because the clocks of replicas differ
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# The CSRF token's name in the cookie and in forms. Don't change it: during a rolling update, the
# replicas of the previous version must understand it.
CSRF_FIELD = "form_key"
# A path on this host. It has no second slash (a host would follow), no backslash (browsers read it
# as a slash), and no white space or control characters (browsers remove some of them). It fits into
# a cookie, which has at most 4 KiB.
SAFE_PATH = re.compile(r"/(?!/)[!-\[\]-~]{0,1000}", flags=re.ASCII)

blueprint = Blueprint("sessions", __name__)

# The sessions that users have ended, by the hash of their CSRF token: each session has its own.
ENDED_SESSIONS = sa.Table(
    "ended_sessions",
    metadata,
    sa.Column("digest", binary(32), primary_key=True),
    sa.Column("ended_at", UTCDateTime(0), nullable=False, index=True),
)
# Built once, because each request for a page runs it.
TOKEN_OF_SESSION = sa.select(tokens.TOKENS).where(
    tokens.TOKENS.c.id == sa.bindparam("number"),
    ~sa.exists().where(ENDED_SESSIONS.c.digest == sa.bindparam("digest")),
)


class CookieSessions(SecureCookieSessionInterface):
    """Flask's session cookie. Over HTTPS, other hosts and plain HTTP can't set or read it."""

    # Cached, because Flask creates a serializer for each request, even without a cookie.
    get_signing_serializer = lru_cache(SecureCookieSessionInterface.get_signing_serializer)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the browser's session, or None for the API, which accepts only tokens."""
        return None if is_api() else super().open_session(app, request)

    def get_cookie_name(self, app: Flask) -> str:  # noqa: ARG002
        """Return the cookie's name. Over HTTPS, `__Host-` binds the cookie to this host."""
        return "__Host-slipway" if request.is_secure else "slipway"

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002
        """Return whether browsers send the cookie over HTTPS only."""
        return request.is_secure


def init_app(app: Flask, settings: Settings) -> None:
    """Set up sessions. The web page is on if SECRET_KEY is set, which signs the cookies.

    A feature with pages adds its links to NAVIGATION, as pairs of a title and an endpoint.
    """
    app.secret_key = settings.secret_key
    app.session_interface = CookieSessions()
    app.config |= {
        "ABOUT": "",  # a sentence on what the service does, for people who see it first
        "NAVIGATION": [],
        "AFTER_SIGN_OUT": "sessions.sign_in",  # the endpoint for people of an identity provider
        "PERMANENT_SESSION_LIFETIME": LIFETIME,
        "SESSION_COOKIE_SAMESITE": "Lax",
    }
    app.context_processor(
        lambda: {"current_user": current_user(), "csrf_token": session.get(CSRF_FIELD)}
    )
    app.register_blueprint(blueprint)


def protect(pages: Blueprint) -> None:
    """Require sign-in for a blueprint's pages, and reject forms from other sites."""
    pages.before_request(_require_enabled)
    pages.before_request(_require_sign_in)
    pages.before_request(check_csrf)
    pages.after_request(no_store)


def current_user() -> dict[str, Any] | None:
    """Return the name and scope of the token that the browser signed in with, or None.

    This reads only the cookie. Protected pages also look up whether the token is still valid.
    """
    found: dict[str, Any] | None = session.get("me")
    return found if found and found["until"] > time.time() else None


def is_signed_in() -> bool:
    """Return whether the browser's session is still valid. Unlike `current_user`, this looks it up.

    :raises sqlalchemy.exc.SQLAlchemyError: the database is unavailable.
    """
    claimed = current_user()
    return bool(claimed and _token_of_session(claimed["id"]))


def home() -> Any:
    """Return a browser's response for `/`.

    It redirects to the sign-in, or to the first page of the navigation. If the navigation is empty,
    it is a page that shows who is signed in.
    """
    if not current_user():
        return redirect(url_for("sessions.sign_in"), 302)
    for _, endpoint in current_app.config["NAVIGATION"]:
        return redirect(url_for(endpoint), 302)
    return _require_sign_in() or render_template("home.html")


@blueprint.before_request
def _require_enabled() -> None:
    if not current_app.secret_key:
        abort(404, "The web page is off. To turn it on, set SECRET_KEY.")


@blueprint.before_request
def check_csrf() -> None:
    """Reject a form that another site sends (cross-site request forgery, CSRF).

    Most browsers report the site in `Sec-Fetch-Site` or `Origin`. The CSRF token in the form
    protects those that don't.

    :raises werkzeug.exceptions.Forbidden: the form is from another site, or has a wrong token.
    """
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("Origin", request.host_url[:-1])
    default = "same-origin" if origin == request.host_url[:-1] else "cross-site"
    site = request.headers.get("Sec-Fetch-Site", default)
    wanted, given = session.get(CSRF_FIELD), request.form.get(CSRF_FIELD, "")
    is_own = wanted and hmac.compare_digest(wanted.encode(), given.encode())
    if site not in {"same-origin", "none"} or not is_own:
        abort(403, "The form is too old, or not from this site. Go back, reload and try again.")


def _require_sign_in() -> Any:
    claimed = current_user()
    token = _token_of_session(claimed["id"]) if claimed else None
    if token:
        return tokens.authorize(token)
    session.pop("me", None)
    here = request.full_path if request.method in SAFE_METHODS else request.path
    return redirect(url_for("sessions.sign_in", next=here.removesuffix("?")), 303)


def _token_of_session(number: int) -> sa.Row[Any] | None:
    """Return the token with this id, or None if it or the browser's session has ended."""
    with database().read() as connection:
        found = connection.execute(TOKEN_OF_SESSION, {"number": number, "digest": _digest()})
        return tokens.unless_expired(found.first())


def start_session(token: sa.Row[Any]) -> None:
    """Sign the browser in with a token. This ends its session before, if any."""
    _end_session()  # against session fixation: another person can have planted it
    session[CSRF_FIELD] = secrets.token_urlsafe()
    session["me"] = {
        "id": token.id,
        "name": token.person_name or token.name,
        "scope": token.scope,
        "is_session": bool(token.is_session),
        "until": time.time() + LIFETIME.total_seconds(),
    }


def _end_session() -> None:
    """Forget the browser's session, and reject all copies of its cookie from now on."""
    me = current_user()
    if me and me.get("is_session"):  # the token is of this session alone
        own = sa.delete(tokens.TOKENS).where(tokens.TOKENS.c.id == me["id"])
        with database().autocommit.connect() as connection:
            connection.execute(own)
    elif me:
        row = {"digest": _digest(), "ended_at": datetime.now(UTC)}
        # IntegrityError: a copy has ended the session already.
        with suppress(IntegrityError), database().autocommit.connect() as connection:
            connection.execute(sa.insert(ENDED_SESSIONS).values(row))
        database().sweep(ENDED_SESSIONS.c.ended_at, TTL)
    session.clear()


def _digest() -> bytes:
    return hashlib.sha256(session[CSRF_FIELD].encode()).digest()


def no_store(response: Response) -> Response:
    """Keep a page out of caches, so that nobody can go back to it after sign-out."""
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Any:
    """Show the sign-in form, or exchange a token for a session cookie."""
    onward = safe_next_path()
    if request.method != "POST" and current_user():
        return redirect(onward or url_for("hello.hello"), 302)
    if request.method != "POST":
        session.setdefault(CSRF_FIELD, secrets.token_urlsafe())
        return render_template("sign_in.html", onward=onward)
    token = tokens.find_by_secret(request.form.get("token", "").strip())
    if token is None:
        tokens.count_failed_attempt()
        return render_template("sign_in.html", onward=onward, error=True), 422
    start_session(token)
    return redirect(onward or url_for("hello.hello"), 303)


@blueprint.route("/sign-out", methods=["POST"])
def sign_out() -> Response:
    """End the browser's session."""
    is_person = (current_user() or {}).get("is_session")
    _end_session()
    flash("You are signed out.")
    endpoint = current_app.config["AFTER_SIGN_OUT"] if is_person else "sessions.sign_in"
    return redirect(url_for(endpoint), 303)  # type: ignore[return-value]


def safe_next_path() -> str:
    """Return the argument `next` if it is the path of a page that requires sign-in, else "".

    This prevents open redirects. Other paths of this service can redirect to other sites.
    """
    path = request.args.get("next", "")
    adapter = current_app.create_url_adapter(request)
    try:
        if adapter and SAFE_PATH.fullmatch(path):
            endpoint, _ = adapter.match(path.partition("?")[0], method="GET")
            if _require_sign_in in current_app.before_request_funcs.get(endpoint.split(".")[0], []):
                return path
    except HTTPException:
        pass
    return ""
