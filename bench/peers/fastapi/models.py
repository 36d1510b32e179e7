"""The service's tables, as models of SQLAlchemy's ORM."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, LargeBinary, String, func, select
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship


class Base(DeclarativeBase):
    """The base of all models."""

    type_annotation_map = {datetime: DATETIME(fsp=6), int: BigInteger, list[str]: JSON}  # noqa: RUF012 SQLAlchemy's form


class LinkClicks(Base):
    """How often a link was followed in one hour."""

    __tablename__ = "link_clicks"

    link_id: Mapped[int] = mapped_column(ForeignKey("links.id"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    clicks: Mapped[int]


class LinkHistory(Base):
    """A change of a link. The first one says who owns the link."""

    __tablename__ = "link_history"

    id: Mapped[int] = mapped_column(primary_key=True)
    link_id: Mapped[int]
    at: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(10))
    actor: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(200))
    new: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    new_link_id: Mapped[int | None]
    owner: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime | None]
    lookup_key: Mapped[str | None] = mapped_column(String(64))


class Link(Base):
    """A short code and where it leads."""

    __tablename__ = "links"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(64))
    lookup_key: Mapped[str] = mapped_column(String(64))
    url: Mapped[str] = mapped_column(String(3000))
    title: Mapped[str] = mapped_column(String(200))
    tags: Mapped[list[str]]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    revision: Mapped[int]
    clicks: Mapped[int] = column_property(
        select(func.coalesce(func.sum(LinkClicks.clicks), 0))
        .where(LinkClicks.link_id == id)  # noqa: A003 the column
        .scalar_subquery(),
        expire_on_flush=False,
    )
    first_change: Mapped[LinkHistory | None] = relationship(
        primaryjoin="and_(Link.id == foreign(LinkHistory.link_id),"
        " Link.id == foreign(LinkHistory.new_link_id))",
        lazy="raise",
    )


class Token(Base):
    """A token for the API."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    name: Mapped[str] = mapped_column(String(100))
    scope: Mapped[str] = mapped_column(String(10))
    expires_at: Mapped[datetime | None]


class Answer(Base):
    """The stored answer to an Idempotency-Key."""

    __tablename__ = "idempotency_keys"

    token_id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[datetime]
    status: Mapped[int | None]
    headers: Mapped[dict[str, str] | None] = mapped_column(JSON)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
