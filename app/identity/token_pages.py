"""The page where people create, list and revoke their own tokens, and admins revoke all."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Flask, abort, flash, g, redirect, render_template, request, url_for
from sqlalchemy.exc import IntegrityError

from app.api import rate_limit
from app.database import database
from app.identity import sessions, tokens
from app.identity.tokens import NAME_LENGTH, SCOPES, TOKENS

LIFETIMES = (30, 90, 365)  # days
PAGE_SIZE = 100
TAKEN = "A token with this name already exists. Choose another name, or revoke it first."
LAST_DIGITS = 6

blueprint = Blueprint("token_pages", __name__, url_prefix="/sign-in/tokens")
sessions.protect(blueprint)


def init_app(app: Flask) -> None:
    """Add the pages. Readers can use their forms too, because each changes only their own."""
    tokens.FORMS_FOR_READERS.update({"token_pages.create", "token_pages.revoke"})
    app.config["TOKENS_PAGE"] = "token_pages.listing"
    app.register_blueprint(blueprint)


@blueprint.before_request
def require_person() -> None:
    """Reject a browser that has signed in with a token, unless the token is an admin's.

    Otherwise somebody who has found a token could create another one from it.
    """
    if not g.token.is_session and g.token.scope != "admin":
        abort(403, "To manage your tokens, sign in with your account.")


@blueprint.get("")
def listing() -> Any:
    """List the user's own tokens, or for admins all, page by page in the order of their names."""
    return _page()


@blueprint.post("")
def create() -> Any:
    """Create a token and show it, this once."""
    if not g.token.is_session:
        abort(403, "To create a token, sign in with your account.")
    form = request.form
    name, scope, days = form.get("name", "").strip(), form.get("scope", ""), form.get("days", "")
    errors = {}
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        errors["name"] = f"Must be 1 to {NAME_LENGTH} printable characters."
    if scope not in _own_scopes():
        errors["scope"] = "Choose a scope that you have."
    if days not in map(str, LIFETIMES):
        errors["days"] = "Choose one of these lifetimes."
    if errors:
        return _page(form, errors), 422
    rate_limit.count("create", str(g.token.id))
    person = {"person": g.token.person, "person_name": g.token.person_name}
    try:
        secret = tokens.create_token(database(), name, scope, timedelta(days=int(days)), **person)
    except IntegrityError:
        return _page(form, {"name": TAKEN}), 409
    return _page(created=name, secret=secret), 201


@blueprint.route("/<id:number>/revoke", methods=["GET", "POST"])
def revoke(number: int) -> Any:
    """Ask for confirmation before revoking a token, or revoke it."""
    mine = sa.and_(TOKENS.c.id == number, _visible())
    if request.method != "POST":
        with database().read() as connection:
            token = connection.execute(sa.select(TOKENS).where(mine)).first()
        if not token:
            abort(404, "This token no longer exists.")
        return render_template("revoke.html", token=token)
    with database().autocommit.connect() as connection:
        found = connection.execute(sa.delete(TOKENS).where(mine)).rowcount
    flash("Revoked." if found else "This token no longer exists.")
    return redirect(url_for("token_pages.listing"), 303)


def _visible() -> Any:
    """Return the condition for the tokens that the user can see and revoke."""
    return sa.true() if g.token.scope == "admin" else TOKENS.c.person == g.token.person


def _own_scopes() -> tuple[str, ...]:
    return SCOPES[: SCOPES.index(g.token.scope) + 1]


def _page(form: Any = (), errors: Any = (), **created: str) -> str:
    """Return the page with the list, and with the submitted form and its errors if any."""
    after = request.args.get("after", "")
    query = sa.select(TOKENS).where(_visible(), TOKENS.c.name > after).order_by(TOKENS.c.name)
    query = query.where(
        sa.or_(TOKENS.c.expires_at.is_(None), TOKENS.c.expires_at > datetime.now(UTC))
    )
    with database().read() as connection:
        rows = connection.execute(query.limit(PAGE_SIZE + 1)).all()
    return render_template(
        "tokens.html",
        rows=rows[:PAGE_SIZE],
        more=rows[PAGE_SIZE - 1].name if len(rows) > PAGE_SIZE else "",
        form=dict(form),
        errors=dict(errors),
        scopes=_own_scopes(),
        lifetimes=LIFETIMES,
        **created,
    )
