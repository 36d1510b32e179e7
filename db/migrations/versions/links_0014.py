"""Create the table of deleted links, from which a delete can be undone."""

import sqlalchemy as sa
from alembic import op

from app.database.types import BigIntId, UTCDateTime, ascii_string

revision = "links_0014"
down_revision = "links_0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_table(
        "link_deletions",
        sa.Column("id", BigIntId, primary_key=True, autoincrement=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("lookup_key", ascii_string(64), nullable=False),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("expires_at", UTCDateTime(6)),
        sa.Column("created_at", UTCDateTime(6), nullable=False),
        sa.Column("updated_at", UTCDateTime(6), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("deleted_at", UTCDateTime(6), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("clicks", sa.JSON()),
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("link_deletions")
