"""The tables of `app/links/mysql_words.py`, written from what MySQL answers.

`make words` runs this module on a temporary stack. A test compares both tables with what it would
write.
"""

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping

from app.links.search import simple_fold
from tests.support.checkout import ROOT
from tests.support.compose import Stack

MODULE = ROOT / "app" / "links" / "mysql_words.py"
UNIT = 4  # hexadecimal digits of a weight

SOURCE = '''\
"""What MySQL's full-text search takes as words, and which characters it takes as equal.

`make words` has written this module from the answers of MySQL {version}. MySQL's parser has a table
of its own, which is that of Unicode 5.0 and knows no character beyond U+FFFF.
"""

# The characters of words, as ranges for a regular expression.
CHARACTERS = (
{characters}
)

# What `search.simple_fold` would not fold as MySQL's collation utf8mb4_0900_ai_ci does: each is the
# common form, =, and the characters that have it.
DIFFERENCES = (
{folded}
)
'''

# The characters up to U+FFFF, and samples of those beyond. Surrogates are no characters.
POINTS = "(n < 0x10000 OR n % 97 = 0) AND n NOT BETWEEN 0xD800 AND 0xDFFF"
# Between `a` and `z`, a character is either a part of their word, or separates the two words.
# Characters that MySQL takes as equal have the same weight.
ASK = f"""
    SET SESSION cte_max_recursion_depth = 1200000;
    CREATE TABLE asked (n INT PRIMARY KEY, t VARCHAR(3) NOT NULL);
    INSERT INTO asked
        WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 0x10FFFF)
        SELECT n, CONCAT('a', CONVERT(CHAR(n USING utf32) USING utf8mb4), 'z') FROM r
        WHERE {POINTS};
    ALTER TABLE asked ADD FULLTEXT INDEX (t);
    SELECT n, HEX(WEIGHT_STRING(SUBSTR(t, 2, 1))), BINARY LOWER(t) = BINARY t FROM asked
        WHERE NOT MATCH (t) AGAINST ('+z' IN BOOLEAN MODE) ORDER BY n;
"""
FIND = "SELECT n FROM asked WHERE n = {} AND MATCH (t) AGAINST ('+a{}z' IN BOOLEAN MODE);"


def ask(stack: Stack) -> tuple[str, str]:
    """Return the two tables for the MySQL of a stack, as the module has them."""
    rows = [(int(point), weight, is_lower) for point, weight, is_lower in stack.mysql_root(ASK)]
    # MySQL changes a search to lower case before it splits it. Capital letters of Cherokee are in
    # its table, but not their small letters: no search finds them.
    capitals = [point for point, _, is_lower in rows if is_lower == "0"]
    finds = "".join(FIND.format(point, chr(point)) for point in capitals)
    lost = set(capitals) - {int(point) for [point] in stack.mysql_root(finds)}
    stack.mysql_root("DROP TABLE asked")
    weights = {chr(point): weight for point, weight, _ in rows if point not in lost}
    return ranges(weights), differences(weights)


def ranges(characters: Iterable[str]) -> str:
    """Return characters, in order, as ranges for a regular expression."""
    found: list[list[int]] = []
    for point in map(ord, characters):
        if found and found[-1][1] == point - 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return "".join(
        f"{chr(first)}-{chr(last)}" if last > first else chr(first) for first, last in found
    )


def differences(weights: Mapping[str, str]) -> str:
    """Return what MySQL folds in another way than `simple_fold`.

    :param weights: each character's weight in MySQL: units of 4 hexadecimal digits.
    """
    classes = defaultdict(list)
    for character, weight in weights.items():
        classes[weight].append(character)
    folded = {}  # the character that stands for each unit
    for unit, members in classes.items():
        if len(unit) == UNIT:
            folds = (simple_fold(member) for member in members)
            folded[unit] = next((fold for fold in folds if weights.get(fold) == unit), members[0])
    found: dict[str, str] = defaultdict(str)
    for weight, members in classes.items():
        units = textwrap.wrap(weight, UNIT)
        if folded.keys() >= set(units):  # unlike ideographs, whose weights are all different
            fold = "".join(folded[unit] for unit in units)
            found[fold] += "".join(member for member in members if simple_fold(member) != fold)
    return " ".join(f"{fold}={members}" for fold, members in found.items() if members)


def module(version: str, characters: str, folded: str) -> str:
    """Return the source of the module."""
    return SOURCE.format(version=version, characters=literal(characters), folded=literal(folded))


def literal(text: str) -> str:
    """Return a string in ASCII, on lines of up to 15 characters of the string."""
    lines = re.findall(r"(?:\\x..|\\u....|.){1,15}", ascii(text)[1:-1])
    return "\n".join(f'    "{line}"' for line in lines)


if __name__ == "__main__":
    with Stack() as stack:
        stack.up("--build", "db")
        [[version]] = stack.mysql_root("SELECT VERSION()")
        MODULE.write_text(module(version, *ask(stack)))
