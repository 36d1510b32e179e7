"""Codes of links that were pasted from a text: `/docs.` and `/docs)` mean `/docs`."""

from unicodedata import category

# The general categories of Unicode. `_` is in another one: it can be the end of a code.
INVISIBLE = "Cf"  # zero-width space, soft hyphen, word joiner, byte order mark, …
VARIATIONS = range(0xFE00, 0xFE10)  # invisible too: they select the look of what is before them
AFTER_A_LINK = {"Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Zl", "Zp", "Zs"}  # punctuation and spaces
MORE_AFTER_A_LINK = "<>`|~\t\r\n"  # symbols of HTML and Markdown, and ends of lines


def clean(code: str) -> str:
    """Return a code without invisible characters, and without what follows a link in a text."""
    visible = "".join(filter(_is_visible, code))
    return visible.rstrip("".join(filter(_can_follow_a_link, set(visible))))


def _is_visible(character: str) -> bool:
    return category(character) != INVISIBLE and ord(character) not in VARIATIONS


def _can_follow_a_link(character: str) -> bool:
    return category(character) in AFTER_A_LINK or character in MORE_AFTER_A_LINK
