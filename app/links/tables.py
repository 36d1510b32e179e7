"""The tables of the example."""

import sqlalchemy as sa

from app.database.types import BigIntId, UTCDateTime, ascii_string, exact_string, metadata

# MySQL can't add a column to this table online, because of its full-text index: see
# docs/migrations.md.
LINKS = sa.Table(
    "links",
    metadata,
    sa.Column("id", BigIntId, primary_key=True),
    sa.Column("code", sa.String(64), nullable=False),  # in its creator's spelling
    sa.Column("lookup_key", ascii_string(64), nullable=False, unique=True),  # see codes.py
    sa.Column("url", sa.String(3000), nullable=False),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("expires_at", UTCDateTime(6)),
    sa.Column("created_at", UTCDateTime(6), nullable=False, index=True),
    sa.Column("updated_at", UTCDateTime(6), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),  # incremented by every edit
    sa.Index("ix_links_search", "code", "title", "url", mysql_prefix="FULLTEXT"),
    sqlite_autoincrement=True,  # never reuse an id, as in MySQL
)

# The number of clicks on a link in one hour. This is not a column of `links`: if each click updated
# the link's own row, one popular link would slow down all requests.
LINK_CLICKS = sa.Table(
    "link_clicks",
    metadata,
    sa.Column("link_id", BigIntId, sa.ForeignKey("links.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("hour", UTCDateTime(0), primary_key=True, index=True),  # the first second of the hour
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

# The most clicked links of each past hour: see rankings.py. It has no foreign key: rows of deleted
# links are ignored, and written again if the link is restored.
LINK_TOP_CLICKS = sa.Table(
    "link_top_clicks",
    metadata,
    sa.Column("hour", UTCDateTime(0), primary_key=True),
    sa.Column("link_id", BigIntId, primary_key=True, autoincrement=False, index=True),
    sa.Column("clicks", sa.BigInteger, nullable=False),
)

# One row for each tag of each link. Unlike the JSON in `links.tags`, it has indexes. It repeats the
# columns that lists are sorted by, so that a list by tag is read from an index in order. Tags that
# differ only by case are different tags.
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

# history
# One row for each change of a link: see history.py. It has no foreign key, because it is kept after
# a delete. The row of a new link also says who owns it. Like `link_tags`, it then repeats the
# columns that lists are sorted by.
LINK_HISTORY = sa.Table(
    "link_history",
    metadata,
    sa.Column("id", BigIntId, primary_key=True),
    sa.Column("link_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("at", UTCDateTime(6), nullable=False),
    sa.Column("action", ascii_string(10), nullable=False),
    sa.Column("actor", ascii_string(100), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),  # of the actor, for people
    sa.Column("old", sa.JSON(none_as_null=True)),  # NULL for a new link
    sa.Column("new", sa.JSON(none_as_null=True)),  # NULL for a deleted link
    # These are NULL unless the link is new.
    sa.Column("new_link_id", sa.BigInteger, unique=True),
    sa.Column("owner", ascii_string(100)),
    sa.Column("created_at", UTCDateTime(6)),
    sa.Column("lookup_key", ascii_string(64)),
    sa.Index("ix_link_history_owner_created_at", "owner", "created_at", "link_id"),
    sa.Index("ix_link_history_owner_lookup_key", "owner", "lookup_key"),
    sqlite_autoincrement=True,
)

# Deleted links, until they are purged: the columns of `links`, and the clicks of all hours.
LINK_DELETIONS = sa.Table(
    "link_deletions",
    metadata,
    sa.Column("id", BigIntId, primary_key=True, autoincrement=False),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("lookup_key", ascii_string(64), nullable=False, index=True),
    sa.Column("url", sa.String(3000), nullable=False),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("expires_at", UTCDateTime(6)),
    sa.Column("created_at", UTCDateTime(6), nullable=False),
    sa.Column("updated_at", UTCDateTime(6), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("deleted_at", UTCDateTime(6), nullable=False, index=True),
    sa.Column("entry", sa.BigInteger, nullable=False),  # the id in `link_history`
    sa.Column("clicks", sa.JSON(none_as_null=True)),  # [[hour, clicks], …]
)
# /history
