"""Create the table of changes of links."""

import sqlalchemy as sa
from alembic import op

from app.database.types import BigIntId, UTCDateTime, ascii_string

revision = "links_0010"
down_revision = "links_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_table(
        "link_history",
        sa.Column("id", BigIntId, primary_key=True),
        sa.Column("link_id", sa.BigInteger(), nullable=False),
        sa.Column("at", UTCDateTime(6), nullable=False),
        sa.Column("action", ascii_string(10), nullable=False),
        sa.Column("actor", ascii_string(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("old", sa.JSON()),
        sa.Column("new", sa.JSON()),
        sa.Column("new_link_id", sa.BigInteger(), unique=True),
        sa.Column("owner", ascii_string(100)),
        sa.Column("created_at", UTCDateTime(6)),
        sa.Column("lookup_key", ascii_string(64)),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("link_history")
