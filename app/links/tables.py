"""The tables of the example."""

import sqlalchemy as sa

from app.database.types import BigIntId, UTCDateTime, ascii_string, exact_string, metadata

# MySQL can add no column to it online, because of its full-text index: see docs/migrations.md.
LINKS = sa.Table(
    "links",
    metadata,
    sa.Column("id", BigIntId, primary_key=True),
    sa.Column("code", sa.String(64), nullable=False),  # as its owner spelled it
    sa.Column("lookup_key", ascii_string(64), nullable=False, unique=True),  # see codes.py
    sa.Column("url", sa.String(2048), nullable=False),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("expires_at", UTCDateTime(6)),
    sa.Column("created_at", UTCDateTime(6), nullable=False, index=True),
    sa.Column("updated_at", UTCDateTime(6), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),  # grows with every edit
    sa.Index("ix_links_search", "code", "title", "url", mysql_prefix="FULLTEXT"),
    sqlite_autoincrement=True,  # no id twice, as in MySQL
)

# How often a link was followed in one hour. Not in `links`: if each click updated the link's own
# row, one popular link would slow all requests down.
LINK_CLICKS = sa.Table(
    "link_clicks",
    metadata,
    sa.Column("link_id", BigIntId, sa.ForeignKey("links.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("hour", UTCDateTime(0), primary_key=True, index=True),  # its first second
    sa.Column("clicks", sa.BigInteger, nullable=False),
)

# For links with many clicks: the sum of all hours before `until`. See rollups.py.
LINK_CLICK_ROLLUPS = sa.Table(
    "link_click_rollups",
    metadata,
    sa.Column("link_id", BigIntId, sa.ForeignKey("links.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("until", UTCDateTime(0), nullable=False),
    sa.Column("clicks", sa.BigInteger, nullable=False),
)

# A row for each tag of a link, from which lists by tag are read in order: it has the columns that
# they are sorted by. Unlike `links.tags`, it can be searched.
# Tags that differ by case are different tags.
LINK_TAGS = sa.Table(
    "link_tags",
    metadata,
    sa.Column("link_id", BigIntId, sa.ForeignKey("links.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("tag", exact_string(50), primary_key=True),
    sa.Column("created_at", UTCDateTime(6), nullable=False),
    sa.Column("lookup_key", ascii_string(64), nullable=False),
    sa.Index("ix_link_tags_tag_created_at", "tag", "created_at", "link_id"),
    sa.Index("ix_link_tags_tag_lookup_key", "tag", "lookup_key"),
)
