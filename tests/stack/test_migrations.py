"""The schema in MySQL."""

from tests.support.compose import Stack


def test_migrations_make_the_tables_of_the_code(stack: Stack) -> None:
    """Nothing is left for `alembic revision --autogenerate` to find."""
    check = ("run", "--rm", "--no-TTY", "--no-deps", "migrate", "alembic", "check")
    assert "No new upgrade operations detected." in stack.compose(*check)
