"""Create the table of sessions that users have ended."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from app.database.types import UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_table(
        "ended_sessions",
        sa.Column(
            "digest",
            sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql"),
            primary_key=True,
        ),
        sa.Column("ended_at", UTCDateTime(0), nullable=False, index=True),
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("ended_sessions")
