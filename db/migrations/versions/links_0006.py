"""Create the index that lists the links with a tag, newest first."""

from alembic import op

revision = "links_0006"
down_revision = "links_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_index("ix_link_tags_tag_created_at", "link_tags", ["tag", "created_at", "link_id"])


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_index("ix_link_tags_tag_created_at", "link_tags")
