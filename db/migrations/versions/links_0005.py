"""Copy the tags of the existing links to the table of tags.

Meanwhile, links can be followed but not edited. Replicas of the previous version that still run do
not write to this table. A link that they tag is not listed by tag until its tags are changed again.
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
    """Upgrade to this revision: no DDL statement, compatible with the previous version."""
    tags = TAGS[op.get_bind().dialect.name]
    op.execute(
        "INSERT INTO link_tags (link_id, tag, created_at, lookup_key)"  # noqa: S608 constants
        " SELECT links.id, tags.value, links.created_at, links.lookup_key"
        f" FROM links JOIN {tags} AS tags"
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.execute("DELETE FROM link_tags")
