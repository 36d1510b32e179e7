"""The schema in MySQL matches the tables in the code."""

from tests.support.compose import Stack


def test_migrations_make_the_tables_of_the_code(stack: Stack) -> None:
    """`alembic check` finds no difference between the migrated schema and the code."""
    check = ("run", "--rm", "--no-TTY", "--no-deps", "migrate", "alembic", "check")
    assert "No new upgrade operations detected." in stack.compose(*check)
