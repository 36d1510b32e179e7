"""Full-text search for links: a FULLTEXT index in MySQL, and an equivalent function for SQLite.

Each word of a search must be the beginning of a word in a column. Case and accents are ignored.
"""

import unicodedata
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from sqlalchemy import Boolean, ColumnElement, func
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import InternalError

from app.database.engines import SQLITE_FUNCTIONS
from app.database.errors import error_code

WORD_LENGTH = 84  # characters: the default innodb_ft_max_token_size, longer words are not indexed
TOO_MANY_MATCHES = 188  # MySQL's error beyond innodb_ft_result_cache_limit, see db/my.cnf


def search_terms(text: str) -> list[str]:
    """Split a text into words as MySQL's full-text parser does: letters, digits and `_`.

    Characters beyond U+FFFF, such as emoji, separate words.
    """
    return ["".join(group) for is_word, group in groupby(text, _is_in_word) if is_word]


def matches(dialect: str, terms: Iterable[str], *columns: Any) -> ColumnElement[bool]:
    """Return the condition that each term is the beginning of a word in one of the columns.

    In MySQL, there must be one FULLTEXT index on exactly these columns.
    """
    if dialect == "mysql":
        # The first term costs memory and time for each row that contains it, so begin with one
        # that is probably rare: numbers, then long words.
        rare_first = sorted(terms, key=lambda term: (term.isalpha(), -len(term)))
        against = " ".join(f"+{term}*" for term in rare_first)
        return mysql.match(*columns, against=against).in_boolean_mode()
    return func.has_words(" ".join(terms), *columns, type_=Boolean)


def is_too_broad(error: InternalError) -> bool:
    """Return whether MySQL aborted a search because too many rows contain its words."""
    return error_code(error) == TOO_MANY_MATCHES


def _is_in_word(character: str) -> bool:
    return character == "_" or (
        character <= "\uffff" and unicodedata.category(character)[0] in "LMN"  # M: accents
    )


def _has_words(wanted: str, *texts: str) -> bool:
    """Return whether texts match a search. In SQLite, it runs for each row, without an index."""
    found = {_fold(word) for text in texts for word in search_terms(text)}
    return all(any(f.startswith(_fold(w)) for f in found) for w in search_terms(wanted))


def _fold(word: str) -> str:
    """Return a word without case and accents, so that equal words compare as equal."""
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


SQLITE_FUNCTIONS["has_words"] = _has_words
