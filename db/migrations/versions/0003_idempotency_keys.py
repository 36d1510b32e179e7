"""Create the table of idempotency keys and their stored responses."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from app.database.types import BigIntId, UTCDateTime, ascii_string

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_table(
        "idempotency_keys",
        sa.Column("token_id", BigIntId, primary_key=True, autoincrement=False),
        sa.Column("key", ascii_string(255), primary_key=True),
        sa.Column(
            "fingerprint",
            sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql"),
            nullable=False,
        ),
        sa.Column("created_at", UTCDateTime(0), nullable=False, index=True),
        sa.Column("status", sa.Integer()),
        sa.Column("headers", sa.JSON()),
        sa.Column("body", sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")),
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("idempotency_keys")
