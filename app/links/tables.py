"""The tables of the example."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
)

from app.database.types import BigIntId, UTCDateTime, ascii_string, exact_string, metadata

LINKS = Table(
    "links",
    metadata,
    Column("id", BigIntId, primary_key=True),
    Column("code", String(64), nullable=False),  # as its owner spelled it
    Column("lookup_key", ascii_string(64), nullable=False, unique=True),  # see codes.py
    Column("url", String(2048), nullable=False),
    Column("title", String(200), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("expires_at", UTCDateTime(6)),
    Column("created_at", UTCDateTime(6), nullable=False, index=True),
    Column("updated_at", UTCDateTime(6), nullable=False),
    Column("revision", Integer, nullable=False),  # grows with every edit
    Index("ix_links_search", "code", "title", "url", mysql_prefix="FULLTEXT"),
    sqlite_autoincrement=True,  # no id twice, as in MySQL
)

# How often a link was followed in one hour. Not in `links`: if each click updated the link's own
# row, one popular link would slow all requests down.
LINK_CLICKS = Table(
    "link_clicks",
    metadata,
    Column("link_id", BigIntId, ForeignKey("links.id", ondelete="CASCADE"), primary_key=True),
    Column("hour", UTCDateTime(0), primary_key=True, index=True),  # its first second
    Column("clicks", BigInteger, nullable=False),
)

# The sum of a link's clicks before some hour, of links that have many: see rollups.py.
LINK_CLICK_ROLLUPS = Table(
    "link_click_rollups",
    metadata,
    Column("link_id", BigIntId, ForeignKey("links.id", ondelete="CASCADE"), primary_key=True),
    Column("until", UTCDateTime(0), nullable=False),
    Column("clicks", BigInteger, nullable=False),
)

# A tag of a link, with the columns that lists are sorted by: an index to `links.tags`. Tags are
# compared exactly, so that each link keeps the tags it was given.
LINK_TAGS = Table(
    "link_tags",
    metadata,
    Column("link_id", BigIntId, ForeignKey("links.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", exact_string(50), primary_key=True),
    Column("created_at", UTCDateTime(6), nullable=False),
    Column("lookup_key", ascii_string(64), nullable=False),
    Index("ix_link_tags_tag_created_at", "tag", "created_at", "link_id"),
    Index("ix_link_tags_tag_lookup_key", "tag", "lookup_key"),
)
