"""The index that lists the links with a tag by code."""

from alembic import op

revision = "links_0007"
down_revision = "links_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Migrate to this revision: one DDL statement, compatible with the version before."""
    op.create_index("ix_link_tags_tag_lookup_key", "link_tags", ["tag", "lookup_key"])


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_index("ix_link_tags_tag_lookup_key", "link_tags")
