"""Create the index that finds the changes of a link."""

from alembic import op

revision = "links_0011"
down_revision = "links_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_index("ix_link_history_link_id", "link_history", ["link_id"])


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_index("ix_link_history_link_id", "link_history")
