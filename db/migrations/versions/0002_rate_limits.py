"""Create the table of rate limit counters."""

import sqlalchemy as sa
from alembic import op

from app.database.types import UTCDateTime, ascii_string

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    op.create_table(
        "rate_limits",
        sa.Column("client", ascii_string(100), primary_key=True),
        sa.Column("period", sa.BigInteger(), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", UTCDateTime(0), nullable=False, index=True),
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("rate_limits")
