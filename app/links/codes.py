"""What a code may look like, and which codes are the same."""

import re
import secrets
from functools import cache

from flask import Flask
from werkzeug.routing import BaseConverter

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
BATCH = "batch"  # stands in the place of a code in the API, so it is none
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that reads like something else
RANDOM_LENGTH = 7


class CodeConverter(BaseConverter):
    """A code in a path, in any spelling; with anything else there, no route matches."""

    regex = rf"(?!{BATCH}\Z){CODE.pattern}"


def free_code(app: Flask) -> type[CodeConverter]:
    """Return a converter for codes that are none of the words that the service has so far.

    Else `/<code>/<rest>` would match below them too, and tell other methods than GET of it (405).
    """
    own = "|".join(map(re.escape, words(app)))
    return type("FreeCodeConverter", (CodeConverter,), {"regex": rf"(?!(?:{own})\Z){CODE.pattern}"})


def lookup_key(code: str) -> str:
    """Return what all spellings of a code have in common: case and `-` don't count."""
    return code.lower().replace("-", "")


def random_code() -> str:
    """Return a code that nobody can guess from the last one."""
    return "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))


def words(app: Flask) -> set[str]:
    """Return the service's own words: the first parts of all its routes, and `BATCH`."""
    rules = (rule.rule for rule in app.url_map.iter_rules())
    return {BATCH} | {rule.split("/")[1] for rule in rules if not rule.startswith("/<")}


@cache
def reserved(app: Flask) -> frozenset[str]:
    """Return the keys of the service's own words."""
    return frozenset(map(lookup_key, words(app)))
