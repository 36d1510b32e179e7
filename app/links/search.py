"""Full-text search for links: a FULLTEXT index in MySQL, and an equivalent function for SQLite.

Each word of a search must be the beginning of a word in a column. Case and accents are ignored.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import InternalError

from app.database.engines import SQLITE_FUNCTIONS
from app.database.errors import error_code
from app.links.mysql_words import CHARACTERS, DIFFERENCES

WORD_LENGTH = 84  # characters: the default innodb_ft_max_token_size, longer words are not indexed
TOO_MANY_MATCHES = 188  # MySQL's error beyond innodb_ft_result_cache_limit, see db/my.cnf

WORD = re.compile(f"[{CHARACTERS}]+")
FOLDED = {
    character: fold
    for fold, _, characters in (row.partition("=") for row in DIFFERENCES.split(" "))
    for character in characters
}


class Terms(NamedTuple):
    """What a search looks for: words, and text that MySQL does not index."""

    words: list[str]
    unindexed: list[str]


def search_terms(text: str) -> Terms:
    """Split a search into words as MySQL's full-text parser does, by its table of characters.

    The table lacks letters that are younger than Unicode 5.0 or beyond U+FFFF, and Cherokee. These
    are `unindexed`. Characters that are no letters for Python either, such as emoji, only separate
    words.
    """
    # Without a letter or digit, accents and variation selectors would match every text.
    words = [word for word in WORD.findall(text) if _fold(word)]
    runs = groupby(WORD.sub(" ", text), _is_letter)
    unindexed = ("".join(run) for is_letter, run in runs if is_letter)
    return Terms(words, [run for run in unindexed if any(map(str.isalnum, run))])


def matches(dialect: str, text: str, *columns: Any) -> sa.ColumnElement[bool]:
    """Return the condition that columns match a search.

    Each word is the beginning of a word in one of them. Text that MySQL does not index is anywhere
    in one of them; without any word, MySQL reads all rows to find it.

    In MySQL, there must be one FULLTEXT index on exactly these columns.
    """
    if dialect != "mysql":
        return sa.func.has_words(text, *columns, type_=sa.Boolean)
    words, unindexed = search_terms(text)
    found = [sa.or_(*(column.contains(part) for column in columns)) for part in unindexed]
    if words:
        # The first word costs memory and time for each row that contains it, so begin with one
        # that is probably rare: numbers, then long words.
        rare_first = sorted(words, key=lambda word: (word.isalpha(), -len(word)))
        against = " ".join(f"+{word}*" for word in rare_first)
        found.append(mysql.match(*columns, against=against).in_boolean_mode())
    return sa.and_(*found)


def is_too_broad(error: InternalError) -> bool:
    """Return whether MySQL aborted a search because too many rows contain its words."""
    return error_code(error) == TOO_MANY_MATCHES


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"  # M: accents, and vowels in many scripts


def _has_words(wanted: str, *texts: str) -> bool:
    """Return whether texts match a search. In SQLite, it runs for each row, without an index."""
    words, unindexed = search_terms(wanted)
    found = {
        _fold(word) for text in texts for word in WORD.findall(text) if len(word) <= WORD_LENGTH
    }
    if not all(any(f.startswith(word) for f in found) for word in map(_fold, words)):
        return False
    return all(any(part in _fold(text) for text in texts) for part in map(_fold, unindexed))


def _fold(text: str) -> str:
    """Return a text in the common form of all that MySQL's collation takes as equal."""
    return "".join(map(_fold_character, unicodedata.normalize("NFC", text)))


@lru_cache(4096)
def _fold_character(character: str) -> str:
    return FOLDED[character] if character in FOLDED else simple_fold(character)


def simple_fold(character: str) -> str:
    """Return a character without case and accents, by Python's tables."""
    letters = unicodedata.normalize("NFKD", character.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


SQLITE_FUNCTIONS["has_words"] = _has_words
