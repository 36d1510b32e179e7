"""Create the index that finds the oldest deleted links."""

from alembic import op

revision = "links_0016"
down_revision = "links_0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_index("ix_link_deletions_deleted_at", "link_deletions", ["deleted_at"])


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_index("ix_link_deletions_deleted_at", "link_deletions")
