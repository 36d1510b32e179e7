"""Create the index that lists an owner's links, newest first."""

from alembic import op

revision = "links_0012"
down_revision = "links_0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_index(
        "ix_link_history_owner_created_at", "link_history", ["owner", "created_at", "link_id"]
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_index("ix_link_history_owner_created_at", "link_history")
