"""Create the table of tags, one row for each tag of a link."""

import sqlalchemy as sa
from alembic import op

from app.database.types import BigIntId, UTCDateTime, ascii_string, exact_string

revision = "links_0004"
down_revision = "links_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_table(
        "link_tags",
        sa.Column(
            "link_id", BigIntId, sa.ForeignKey("links.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("tag", exact_string(50), primary_key=True),
        sa.Column("created_at", UTCDateTime(6), nullable=False),
        sa.Column("lookup_key", ascii_string(64), nullable=False),
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("link_tags")
