"""Create the index that finds the clicks of all links in a range of hours."""

from alembic import op

revision = "links_0008"
down_revision = "links_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_index("ix_link_clicks_hour", "link_clicks", ["hour"])


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_index("ix_link_clicks_hour", "link_clicks")
