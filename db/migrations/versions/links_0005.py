"""The tags of the links that there are.

Links can be followed meanwhile but not edited. A service of the version before that still runs
adds none to this table: what it tags is not listed by tag until its tags are changed once more.
"""

from alembic import op

revision = "links_0005"
down_revision = "links_0004"
branch_labels = None
depends_on = None

TAGS = {
    "mysql": "JSON_TABLE(links.tags, '$[*]' COLUMNS (value VARCHAR(50) PATH '$'))",
    "sqlite": "json_each(links.tags)",
}


def upgrade() -> None:
    """Migrate to this revision: no DDL statement, compatible with the version before."""
    tags = TAGS[op.get_bind().dialect.name]
    op.execute(
        "INSERT INTO link_tags (link_id, tag, created_at, lookup_key)"  # noqa: S608 constants
        " SELECT links.id, tags.value, links.created_at, links.lookup_key"
        f" FROM links JOIN {tags} AS tags"
    )


def downgrade() -> None:
    """Go back to the revision before."""
    op.execute("DELETE FROM link_tags")
