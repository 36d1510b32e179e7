"""Create the index that lists the links with a tag in the order of their codes."""

from alembic import op

revision = "links_0007"
down_revision = "links_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_index("ix_link_tags_tag_lookup_key", "link_tags", ["tag", "lookup_key"])


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_index("ix_link_tags_tag_lookup_key", "link_tags")
