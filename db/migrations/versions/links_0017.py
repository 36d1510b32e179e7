"""Let targets of links have 3,000 characters.

MySQL changes only its description of the table. SQLite has no limit.
"""

from alembic import op

revision = "links_0017"
down_revision = "links_0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    if op.get_bind().dialect.name == "mysql":
        change = "MODIFY url VARCHAR(3000) NOT NULL"
        op.execute(f"ALTER TABLE links {change}, ALGORITHM=INPLACE, LOCK=NONE")


def downgrade() -> None:
    """Downgrade to the previous revision. It fails if a target is longer."""
    if op.get_bind().dialect.name == "mysql":
        op.execute("ALTER TABLE links MODIFY url VARCHAR(2048) NOT NULL")
