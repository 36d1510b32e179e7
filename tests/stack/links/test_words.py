"""The tables of `app/links/mysql_words.py` are those of the stack's MySQL."""

from app.links import mysql_words
from tests.support.compose import Stack
from tests.support.links import words


def test_tables_are_those_of_the_server(stack: Stack) -> None:
    """MySQL splits and folds all characters as the tables say. If not, run `make words`."""
    characters, differences = words.ask(stack)
    assert characters == mysql_words.CHARACTERS
    assert differences == mysql_words.DIFFERENCES
