"""Create the index that finds deleted links by their code."""

from alembic import op

revision = "links_0015"
down_revision = "links_0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_index("ix_link_deletions_lookup_key", "link_deletions", ["lookup_key"])


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_index("ix_link_deletions_lookup_key", "link_deletions")
