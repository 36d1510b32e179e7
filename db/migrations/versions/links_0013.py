"""Create the index that lists an owner's links in the order of their codes."""

from alembic import op

revision = "links_0013"
down_revision = "links_0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_index("ix_link_history_owner_lookup_key", "link_history", ["owner", "lookup_key"])


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_index("ix_link_history_owner_lookup_key", "link_history")
