"""How the values of other programs become fields of a link: each rule is in one place here.

A value is accepted, adjusted with a note that has the new value, or refused. The rules of the API
apply to what results: see `schemas.py`.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from app.api.resources import CONTROL_CHARACTERS, strict_json
from app.links import codes, exports, imports
from app.links.sources.table import ADDRESSES, OWN, REFUSED, UNIX_TIMES, Source

TITLE_LENGTH = 200  # characters
# A day, a time of day, and perhaps a fraction and an offset, as in RFC 3339 or nearly so.
TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9}))? ?(Z|UTC|[+-]\d\d:?\d\d)?",
    re.ASCII | re.IGNORECASE,
)
UNIX_TIME = {9: 1, 10: 1, 13: 10**3, 16: 10**6}  # units in a second, by the number of digits


def parse(source: Source, zone: tzinfo, read: Callable[[], Any]) -> imports.Parsed:
    """Return the link in a record.

    :param read: returns the record, a mapping of the source's names, or raises ValueError.
    :raises ValueError: the record is refused. The message is for people.
    :raises marshmallow.ValidationError: a field breaks the rules of the API.
    """
    record = read()
    if not isinstance(record, dict):
        raise ValueError("it must be a JSON object")
    for name, pattern, reason in REFUSED.get(source.name, ()):
        if re.search(pattern, str(record.get(name))):
            raise ValueError(reason)
    link = {field: _value(record, names) for field, names in source.fields.items()}
    notes = []
    for field in (name for name in RULES if link.get(name)):
        given = _plain(field, link[field], source)
        link[field] = given if source.name == OWN else RULES[field](given)
        if link[field] != given:
            notes.append(f"{field} is now {link[field]}")
    if source.kind == "html" and not link["code"] and link["url"]:
        link["code"] = code_from(link["url"])
        notes.append(f"code is now {link['code']}")
    link = {name: value for name, value in link.items() if value not in (None, "")}
    for field in link.keys() & {"created_at", "updated_at", "expires_at"}:
        link[field] = time(link[field], field, zone, unix=source.name in UNIX_TIMES)
    if not link.get("created_at"):
        link.pop("updated_at", None)  # the link is created now, so it can't have changed before
    link = {name: value for name, value in link.items() if value is not None}
    if "tags" in link:
        link["tags"] = tags(link["tags"])
    fields = imports.schema.load(link)
    clicks = 0 if source.name == OWN else int(link.get("clicks", 0))
    return imports.Parsed(fields, clicks, ". ".join(notes))


def _value(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((record[name] for name in names if record.get(name) not in (None, "")), None)


def _plain(field: str, given: Any, source: Source) -> str:
    """Return a value as text, without what only its source adds to it."""
    text = str(given or "")
    if field == "title":
        is_guarded = source.name == OWN and exports.FORMULA.match(text)
        return text.removeprefix("'") if is_guarded else text
    text = text.strip()
    is_address = field == "code" and source.name in ADDRESSES
    return text.split("://")[-1].partition("/")[2] if is_address else text


def code(given: str) -> str:
    """Replace `.`, `/` and spaces by `-`, and drop `-` and `_` at the beginning."""
    return re.sub(r"[./\s]+", "-", given).lstrip("-_")


def url(given: str) -> str:
    """Encode spaces."""
    return given.replace(" ", "%20")


def title(given: str) -> str:
    """Join lines, replace control characters by spaces, and cut what is too long."""
    if CONTROL_CHARACTERS.search(given):
        given = " ".join(CONTROL_CHARACTERS.sub(" ", given).split())
    return given if len(given) <= TITLE_LENGTH else given[: TITLE_LENGTH - 1] + "…"


RULES: dict[str, Callable[[str], str]] = {"code": code, "url": url, "title": title}


def code_from(address: str) -> str:
    """Return a code for a link without one: always the same, so that imports can be repeated."""
    number = int.from_bytes(hashlib.sha256(address.encode(errors="replace")).digest())
    letters = codes.ALPHABET
    return "".join(
        letters[number // len(letters) ** n % len(letters)] for n in range(codes.RANDOM_LENGTH)
    )


def time(given: Any, field: str, zone: tzinfo, *, unix: bool) -> str | None:
    """Return a time as RFC 3339, or None if its year is 1, or if it is 0 seconds after 1970.

    :raises ValueError: the time can't be read, or its order of day and month is not certain.
    """
    text = str(given).strip()
    if text.startswith("0001-") or (unix and text == "0"):
        return None
    try:
        if unix and text.isdecimal():
            return datetime.fromtimestamp(int(text) / UNIX_TIME[len(text)], UTC).isoformat()
        found = TIME.fullmatch(text)
        if not found:
            raise ValueError
        day, minute, second, fraction, offset = found.groups()
        local = datetime.fromisoformat(
            f"{day}T{minute}{second or ':00'}.{(fraction or '0')[:6]:0<6}"
        )
        if offset and offset[0] in "+-":
            return f"{local.isoformat()}{offset[:3]}:{offset[-2:]}"
        return local.replace(tzinfo=UTC if offset else zone).isoformat()
    except (KeyError, ValueError, OverflowError):
        raise ValueError(
            f"{field} is {text[:40]!r}. Write it as 2030-12-31 23:59:59, if needed with an offset:"
            " 2030-12-31T23:59:59+01:00"
        ) from None


def tags(given: Any) -> list[Any]:
    """Return tags from a list, from a JSON list, or from text with `|` or commas between them."""
    if isinstance(given, str) and given.startswith("["):
        try:
            given = strict_json(given.encode(errors="replace"))
        except ValueError:
            raise ValueError('tags must be a JSON list, such as ["docs", "tools"]') from None
    if isinstance(given, str):
        parts = given.split("|" if "|" in given else ",")
        given = [part.strip() for part in parts if part.strip()]
    return list(dict.fromkeys(map(str, given))) if isinstance(given, list) else [given]
