"""Create the full-text index that searches use in MySQL. SQLite reads all links instead.

All columns of the index must have the same character set, so the code gets that of the others.
MySQL takes a minute to build the index of a million links. Until then, links can be followed but
not edited.
"""

import sqlalchemy as sa
from alembic import op

revision = "links_0003"
down_revision = "links_0002"
branch_labels = None
depends_on = None

# MySQL uses these settings when it builds the index: they decide which words are left out.
NEEDED = {"innodb_ft_min_token_size": 1, "innodb_ft_enable_stopword": 0}


def upgrade() -> None:
    """Upgrade to this revision: one DDL statement, compatible with the previous version."""
    connection = op.get_bind()
    if connection.dialect.name != "mysql":
        return
    for name, value in NEEDED.items():
        if connection.scalar(sa.text(f"SELECT @@GLOBAL.{name}")) != value:
            raise SystemExit(
                f"MySQL's {name} must be {value}, or searches would miss words. Set it as "
                "db/my.cnf does, restart MySQL, and migrate again."
            )
    op.execute(
        "ALTER TABLE links MODIFY code VARCHAR(64) NOT NULL,"
        " ADD FULLTEXT INDEX ix_links_search (code, title, url)"
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    if op.get_bind().dialect.name == "mysql":
        op.execute(
            "ALTER TABLE links DROP INDEX ix_links_search,"
            " MODIFY code VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL"
        )
