"""Create the table of links."""

import sqlalchemy as sa
from alembic import op

from app.database.types import UTCDateTime, ascii_string

revision = "links_0001"
down_revision = None
branch_labels = ("links",)  # a separate root, so that it can be removed with the example
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_table(
        "links",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("code", ascii_string(64), nullable=False),
        sa.Column("lookup_key", ascii_string(64), nullable=False, unique=True),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("expires_at", UTCDateTime(6)),
        sa.Column("created_at", UTCDateTime(6), nullable=False, index=True),
        sa.Column("updated_at", UTCDateTime(6), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("links")
