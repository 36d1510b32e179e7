"""The links."""

import sqlalchemy as sa
from alembic import op

from app.database.types import UTCDateTime, ascii_string

revision = "links_0001"
down_revision = None
branch_labels = ("links",)  # a root of its own, so that it can go with the example
depends_on = None


def upgrade() -> None:
    """Migrate to this revision: one DDL statement, compatible with the version before."""
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
    """Go back to the revision before."""
    op.drop_table("links")
