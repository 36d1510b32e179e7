"""The tables of the example."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    ForeignKey,
    Index,
    ScalarSelect,
    String,
    Table,
    func,
    select,
)
from sqlalchemy.orm import Mapped, column_property, mapped_column

from app.database import ID, Base, UTCDateTime, ascii_string, exact_string


class LinkClicks(Base):
    """How often a link was followed in one hour.

    Apart from `links`, because a click that updates the link's own row makes one popular link
    slow for all.
    """

    __tablename__ = "link_clicks"

    link_id: Mapped[int] = mapped_column(
        ID, ForeignKey("links.id", ondelete="CASCADE"), primary_key=True
    )
    hour: Mapped[datetime] = mapped_column(
        UTCDateTime(0), primary_key=True, index=True
    )  # its first second
    clicks: Mapped[int] = mapped_column(BigInteger)


class ClickRollup(Base):
    """The sum of a link's clicks before some hour, of links that have many: see rollups.py."""

    __tablename__ = "link_click_rollups"

    link_id: Mapped[int] = mapped_column(
        ID, ForeignKey("links.id", ondelete="CASCADE"), primary_key=True
    )
    until: Mapped[datetime] = mapped_column(UTCDateTime(0))
    clicks: Mapped[int] = mapped_column(BigInteger)


def clicks_of(link_id: Any) -> ColumnElement[int]:
    """Return the sum of a link's clicks, given the column with its id."""
    hours = cast(Table, LinkClicks.__table__).columns
    rollups = cast(Table, ClickRollup.__table__).columns
    since = sum_of_hours(hours.link_id == rollups.link_id, hours.hour >= rollups.until)
    rolled_up = select(rollups.clicks + since).where(rollups.link_id == link_id)
    return func.coalesce(rolled_up.scalar_subquery(), sum_of_hours(hours.link_id == link_id))


def sum_of_hours(*which: ColumnElement[bool]) -> ScalarSelect[int]:
    """Return the sum of the clicks of all hours for which these conditions hold."""
    clicks = cast(Table, LinkClicks.__table__).columns.clicks
    return select(func.coalesce(func.sum(clicks), 0)).where(*which).scalar_subquery()


class Link(Base):
    """A short code and where it leads."""

    __tablename__ = "links"
    __table_args__ = (
        Index("ix_links_search", "code", "title", "url", mysql_prefix="FULLTEXT"),
        {"sqlite_autoincrement": True},  # no id twice, as in MySQL
    )

    id: Mapped[int] = mapped_column(ID, primary_key=True)
    code: Mapped[str] = mapped_column(String(64))  # as its owner spelled it
    lookup_key: Mapped[str] = mapped_column(ascii_string(64), unique=True)  # see codes.py
    url: Mapped[str] = mapped_column(String(2048))
    title: Mapped[str] = mapped_column(String(200))
    tags: Mapped[list[str]] = mapped_column(JSON)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime(6))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime(6), index=True)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime(6))
    revision: Mapped[int]  # grows with every edit
    clicks: Mapped[int] = column_property(
        clicks_of(id),  # noqa: A003 the column
        expire_on_flush=False,
    )


class LinkTag(Base):
    """A tag of a link, with all that lists are sorted by: an index to `links.tags`.

    Tags that differ in anything are different ones, so that each link has what it was given.
    """

    __tablename__ = "link_tags"
    __table_args__ = (
        Index("ix_link_tags_tag_created_at", "tag", "created_at", "link_id"),
        Index("ix_link_tags_tag_lookup_key", "tag", "lookup_key"),
    )

    link_id: Mapped[int] = mapped_column(
        ID, ForeignKey("links.id", ondelete="CASCADE"), primary_key=True
    )
    tag: Mapped[str] = mapped_column(exact_string(50), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime(6))
    lookup_key: Mapped[str] = mapped_column(ascii_string(64))
