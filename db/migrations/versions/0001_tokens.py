"""Create the table of API tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from app.database.types import BigIntId, UTCDateTime, exact_string

revision = "0001"
down_revision = None
branch_labels = ("service",)
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_table(
        "tokens",
        sa.Column("id", BigIntId, primary_key=True),
        sa.Column("name", exact_string(100), nullable=False, unique=True),
        sa.Column(
            "digest",
            sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql"),
            nullable=False,
            unique=True,
        ),
        sa.Column("scope", sa.String(10), nullable=False),
        sa.Column("created_at", UTCDateTime(0), nullable=False),
        sa.Column("expires_at", UTCDateTime(0)),
        sa.Column("last_used_at", UTCDateTime(0)),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("tokens")
