"""Full-text search for links: MySQL's FULLTEXT index, and a function that does the same in SQLite.

Each word of a search must begin a word of a column. Case and accents don't count.
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

WORD_LENGTH = 84  # characters: MySQL's full-text indexes leave longer words out
TOO_MANY_MATCHES = 188  # MySQL's error for innodb_ft_result_cache_limit, see db/my.cnf


def search_terms(text: str) -> list[str]:
    """Split a text as MySQL's full-text parser does: words are letters, digits and `_`.

    Characters beyond U+FFFF, such as emoji, are in no word.
    """
    return ["".join(group) for is_word, group in groupby(text, _is_in_word) if is_word]


def matches(dialect: str, terms: Iterable[str], *columns: Any) -> ColumnElement[bool]:
    """Return the condition that each term begins a word of the columns.

    In MySQL, the columns need one FULLTEXT index together.
    """
    if dialect == "mysql":
        # The first term takes memory and time for each row that has it. Numbers and then long
        # words are likely to be rare.
        rare_first = sorted(terms, key=lambda term: (term.isalpha(), -len(term)))
        against = " ".join(f"+{term}*" for term in rare_first)
        return mysql.match(*columns, against=against).in_boolean_mode()
    return func.has_words(" ".join(terms), *columns, type_=Boolean)


def is_too_broad(error: InternalError) -> bool:
    """Return whether MySQL gave a search up because too many rows have its words."""
    return error_code(error) == TOO_MANY_MATCHES


def _is_in_word(character: str) -> bool:
    return character == "_" or (
        character <= "\uffff" and unicodedata.category(character)[0] in "LMN"  # with its accents
    )


def _has_words(wanted: str, *texts: str) -> bool:
    """Do in SQLite, row by row, what a FULLTEXT index does in MySQL."""
    found = {_fold(word) for text in texts for word in search_terms(text)}
    return all(any(f.startswith(_fold(w)) for f in found) for w in search_terms(wanted))


def _fold(word: str) -> str:
    """Return the common form of words that differ only by case or accents."""
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


SQLITE_FUNCTIONS["has_words"] = _has_words
