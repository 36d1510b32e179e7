"""The rules of codes: which are valid, which are the same, and which are reserved."""

import re
import secrets
from functools import cache

from flask import Flask
from werkzeug.routing import BaseConverter

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
BATCH = "batch"  # in the API it stands in place of a code, so it is reserved
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # no two characters that look alike
RANDOM_LENGTH = 7


class CodeConverter(BaseConverter):
    """A code in a path, in any spelling. Anything else in its place matches no route."""

    regex = rf"(?!{BATCH}\Z){CODE.pattern}"


def unreserved_code(app: Flask) -> type[CodeConverter]:
    """Return a converter for codes that are none of the words of the routes that exist so far.

    Otherwise `/<code>/<rest>` would match below them too, and answer 405 to other methods.
    """
    own = "|".join(map(re.escape, reserved_words(app)))
    return type(
        "UnreservedCodeConverter", (CodeConverter,), {"regex": rf"(?!(?:{own})\Z){CODE.pattern}"}
    )


def lookup_key(code: str) -> str:
    """Return the common form of all spellings of a code: case and `-` don't count."""
    return code.lower().replace("-", "")


def random_code() -> str:
    """Return a code that nobody can guess from the one before."""
    return "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))


def reserved_words(app: Flask) -> set[str]:
    """Return the service's own words: the first parts of all its routes, and `BATCH`."""
    rules = (rule.rule for rule in app.url_map.iter_rules())
    return {BATCH} | {rule.split("/")[1] for rule in rules if not rule.startswith("/<")}


@cache
def reserved_keys(app: Flask) -> frozenset[str]:
    """Return the lookup keys of the service's own words."""
    return frozenset(map(lookup_key, reserved_words(app)))
