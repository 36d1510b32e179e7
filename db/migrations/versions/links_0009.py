"""Create the table of roll-ups: stored sums of the clicks of past hours."""

import sqlalchemy as sa
from alembic import op

from app.database.types import UTCDateTime

revision = "links_0009"
down_revision = "links_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_table(
        "link_click_rollups",
        sa.Column(
            "link_id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            sa.ForeignKey("links.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("until", UTCDateTime(0), nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("link_click_rollups")
