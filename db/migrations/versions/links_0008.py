"""The index that finds what was clicked in some hours."""

from alembic import op

revision = "links_0008"
down_revision = "links_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Migrate to this revision: one DDL statement, compatible with the version before."""
    op.create_index("ix_link_clicks_hour", "link_clicks", ["hour"])


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_index("ix_link_clicks_hour", "link_clicks")
