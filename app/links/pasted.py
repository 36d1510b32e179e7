"""Codes of links that were pasted from a text: `/docs.` and `/docs)` mean `/docs`."""

from unicodedata import category

# The general categories of Unicode. `_` is in another one: it can be the end of a code.
INVISIBLE = "Cf"  # zero-width space, soft hyphen, word joiner, byte order mark, …
AFTER_A_LINK = {"Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Zl", "Zp", "Zs"}  # punctuation and spaces
SYMBOLS_AFTER_A_LINK = "<>`|~"  # of HTML and Markdown


def clean(code: str) -> str:
    """Return a code without invisible characters, and without what follows a link in a text."""
    visible = "".join(character for character in code if category(character) != INVISIBLE)
    return visible.rstrip("".join(filter(_can_follow_a_link, set(visible))))


def _can_follow_a_link(character: str) -> bool:
    return category(character) in AFTER_A_LINK or character in SYMBOLS_AFTER_A_LINK
