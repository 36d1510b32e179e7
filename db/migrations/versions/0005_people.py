"""Add columns to tokens for people: whose token it is, and whether it is a browser's session."""

import sqlalchemy as sa
from alembic import op

from app.database.types import ascii_string

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MYSQL = """ALTER TABLE tokens
    ADD COLUMN person VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
    ADD COLUMN person_name VARCHAR(100),
    ADD COLUMN is_session BOOL,
    ALGORITHM=INSTANT"""
COLUMNS = {"person": ascii_string(64), "person_name": sa.String(100), "is_session": sa.Boolean()}


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    if op.get_bind().dialect.name == "mysql":
        op.execute(MYSQL)
        return
    for name, kind in COLUMNS.items():  # SQLite adds one at a time, and rolls back all if one fails
        op.add_column("tokens", sa.Column(name, kind))


def downgrade() -> None:
    """Downgrade to the previous revision."""
    if op.get_bind().dialect.name == "mysql":
        drops = ", ".join(f"DROP COLUMN {name}" for name in COLUMNS)
        op.execute(f"ALTER TABLE tokens {drops}, ALGORITHM=INSTANT")
        return
    for name in COLUMNS:
        op.drop_column("tokens", name)
