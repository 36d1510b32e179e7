"""Let targets of deleted links have 3,000 characters.

MySQL changes only its description of the table. SQLite has no limit.
"""

from alembic import op

revision = "links_0018"
down_revision = "links_0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    if op.get_bind().dialect.name == "mysql":
        change = "MODIFY url VARCHAR(3000) NOT NULL"
        op.execute(f"ALTER TABLE link_deletions {change}, ALGORITHM=INPLACE, LOCK=NONE")


def downgrade() -> None:
    """Downgrade to the previous revision. It fails if a target is longer."""
    if op.get_bind().dialect.name == "mysql":
        op.execute("ALTER TABLE link_deletions MODIFY url VARCHAR(2048) NOT NULL")
