"""Create the table of clicks, one row for each link and hour."""

import sqlalchemy as sa
from alembic import op

from app.database.types import UTCDateTime

revision = "links_0002"
down_revision = "links_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_table(
        "link_clicks",
        sa.Column(
            "link_id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            sa.ForeignKey("links.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("hour", UTCDateTime(0), primary_key=True),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("link_clicks")
