"""Redirects with Flask-SQLAlchemy: the ORM reads a link and counts the click in a transaction."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask, abort, redirect
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.wrappers import Response

SECRETS = Path("/run/secrets")


class Base(DeclarativeBase):
    """The base of all models."""


app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = (SECRETS / "database_url").read_text().strip()
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
    "connect_args": {"ssl": ssl.create_default_context(cafile=SECRETS / "ca.pem")},
    "pool_pre_ping": True,
    "pool_size": 16,  # as many as the process has threads
}
db = SQLAlchemy(app, model_class=Base)


class Link(db.Model):
    """A short code and where it leads."""

    __tablename__ = "links"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    lookup_key: Mapped[str] = mapped_column(String(64))
    url: Mapped[str] = mapped_column(String(2048))
    expires_at: Mapped[datetime | None]


class LinkClicks(db.Model):
    """How often a link was followed in one hour."""

    __tablename__ = "link_clicks"

    link_id: Mapped[int] = mapped_column(ForeignKey(Link.id), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    clicks: Mapped[int] = mapped_column(BigInteger)


@app.get("/<code>")
def follow(code: str) -> Response:
    """Count the click and redirect to the link's target."""
    key = code.lower().replace("-", "")
    link = db.session.scalar(db.select(Link).where(Link.lookup_key == key))
    now = datetime.now(UTC).replace(tzinfo=None)
    if link is None:
        abort(404)
    if link.expires_at and link.expires_at <= now:
        abort(410)
    url = link.url  # read now: the commit expires the link
    hour = now.replace(minute=0, second=0, microsecond=0)
    click = insert(LinkClicks).values(link_id=link.id, hour=hour, clicks=1)
    db.session.execute(click.on_duplicate_key_update(clicks=LinkClicks.clicks + 1))
    db.session.commit()
    return redirect(url, 302)
