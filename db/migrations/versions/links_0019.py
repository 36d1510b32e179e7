"""Create the table of the most clicked links of each hour."""

import sqlalchemy as sa
from alembic import op

from app.database.types import BigIntId, UTCDateTime

revision = "links_0019"
down_revision = "links_0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_table(
        "link_top_clicks",
        sa.Column("hour", UTCDateTime(0), primary_key=True),
        sa.Column("link_id", BigIntId, primary_key=True, autoincrement=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.Index("ix_link_top_clicks_link_id", "link_id"),
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("link_top_clicks")
