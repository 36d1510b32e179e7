"""The rules for codes: which are valid, which count as the same, and which are reserved."""

import re
import secrets
from functools import cache

from flask import Flask
from werkzeug.routing import BaseConverter

# It can't end with `.`, because text often has one after a link. `-` doesn't count.
CODE = re.compile(r"(?!.*\.-*$)[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
BATCH = "batch"  # reserved, since /api/links/batch has it in the place of a code
# Files that browsers and crawlers ask for on their own, without those that are routes.
WELL_KNOWN = {"apple-touch-icon.png", "favicon.ico", "sitemap.xml"}
QR_CODES = (".qr", ".qr.png", ".qr.svg")  # what follows the code in the address of its QR code
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # no two characters that look alike
RANDOM_LENGTH = 7


class CodeConverter(BaseConverter):
    """A converter for a code in a path, in any spelling. Other text does not match the route."""

    regex = rf"(?!{BATCH}\Z){CODE.pattern}"


def unreserved(app: Flask, converter: type[BaseConverter]) -> type[BaseConverter]:
    """Return a converter that also excludes the first path segments of all earlier routes.

    Otherwise `/<code>/<rest>` would also match paths below those routes, and paths that should
    give 404 would give 405 for methods other than GET.
    """
    own = "|".join(map(re.escape, reserved_words(app)))
    regex = rf"(?!(?:{own})\Z){converter.regex}"
    return type(f"Unreserved{converter.__name__}", (converter,), {"regex": regex})


def lookup_key(code: str) -> str:
    """Return the common form of all spellings of a code: lower case, without `-`."""
    return code.lower().replace("-", "")


def random_code() -> str:
    """Return a random code that can't be guessed from earlier ones."""
    return "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))


def is_reserved(app: Flask, code: str) -> bool:
    """Return whether a code, in any spelling, belongs to the service itself."""
    key = lookup_key(code)
    return key in reserved_keys(app) or key.endswith(QR_CODES)


def reserved_words(app: Flask) -> set[str]:
    """Return the words that can't be codes: names of files, and first path segments of routes."""
    rules = (rule.rule for rule in app.url_map.iter_rules())
    return (
        {BATCH} | WELL_KNOWN | {rule.split("/")[1] for rule in rules if not rule.startswith("/<")}
    )


@cache
def reserved_keys(app: Flask) -> frozenset[str]:
    """Return the lookup keys of the reserved words."""
    return frozenset(map(lookup_key, reserved_words(app)))
