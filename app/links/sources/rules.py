"""How records of other programs become links. Each rule for their values is in one place here.

A value is accepted, adjusted with a note that has the new value, or refused. The rules of the API
apply to the result: see `schemas.py`. In a file with this service's own columns, nothing is
adjusted, because its author can edit it.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

from marshmallow import ValidationError

from app.api.resources import CONTROL_CHARACTERS, TIME_OF_DAY
from app.links import codes, imports
from app.links.schemas import TITLE_LENGTH
from app.links.sources.table import ADDRESSES, OWN, PLACEHOLDERS, REFUSED, UNIX_TIMES, Source

TIME = re.compile(rf"\d{{4}}-\d\d-\d\d[Tt ]{TIME_OF_DAY}.*", re.ASCII)
UNIX_UNITS = {9: 1, 10: 1, 13: 10**3, 16: 10**6}  # in a second, by the number of digits


def _title(given: str) -> str:
    if CONTROL_CHARACTERS.search(given):
        given = " ".join(CONTROL_CHARACTERS.sub(" ", given).split())
    return given if len(given) <= TITLE_LENGTH else given[: TITLE_LENGTH - 1] + "…"


ADJUST: dict[str, Callable[[str], str]] = {
    "code": lambda given: re.sub(r"[/\s]+", "-", given).lstrip("-_.").rstrip("."),
    "url": lambda given: given.replace(" ", "%20"),
    "title": _title,
}


def parse(source: Source, zone: tzinfo, read: Callable[[], Any]) -> imports.Parsed:
    """Return the link in a record.

    :param read: returns the record, a dictionary with the source's names, or raises ValueError.
    :raises ValueError: the record can't be read. The message is for people.
    :raises ValidationError: a field breaks a rule.
    """
    record = read()
    if not isinstance(record, dict):
        raise ValueError("it must be a JSON object")
    for name, pattern, reason in REFUSED.get(source.name, ()):
        if re.search(pattern, str(record.get(name))):
            raise ValidationError({"url": [reason]})
    names = ((field, name) for field, given in source.fields.items() for name in reversed(given))
    link = {field: record[name] for field, name in names if record.get(name) not in (None, "", [])}
    notes = [] if source.name == OWN else _adjust(link, source)
    if source.name == OWN and "title" in link:
        link["title"] = imports.unguarded(link["title"])
    for field in link.keys() & {"created_at", "updated_at", "expires_at"}:
        link[field] = _time(str(link[field]).strip(), field, zone, source)
    if not link.get("created_at"):
        link.pop("updated_at", None)  # the link is created now, so it has not changed before
    if isinstance(link.get("tags"), str):
        link["tags"] = _tags(link["tags"])
    link = {
        name: value.strip() if name in {"code", "url"} and isinstance(value, str) else value
        for name, value in link.items()
        if value is not None
    }
    clicks = 0 if source.name == OWN else link.get("clicks", 0)
    return imports.Parsed(imports.schema.load(link), int(clicks), ". ".join(notes))


def _adjust(link: dict[str, Any], source: Source) -> list[str]:
    """Adjust fields of a link, and return notes with their new values."""
    notes = []
    for field in ADJUST.keys() & link.keys():
        given = str(link[field]).strip()
        if field == "code" and source.name in ADDRESSES:
            given = given.split("://")[-1].partition("/")[2]
        has_template = field == "url" and source.name in PLACEHOLDERS
        value = re.sub(PLACEHOLDERS[source.name], "%s", given) if has_template else given
        link[field] = ADJUST[field](value)
        if link[field] != given:
            notes.append(f"{field} is now {link[field]}")
    if source.kind == "html" and not link.get("code"):
        digest = hashlib.sha256(link.get("url", "").encode(errors="replace")).digest()
        letters = (codes.ALPHABET[byte % len(codes.ALPHABET)] for byte in digest)
        # The same each time, so that the file can be imported again.
        link["code"] = "".join(letters)[: codes.RANDOM_LENGTH]
        notes.append(f"code is now {link['code']}")
    return sorted(notes)


def _time(text: str, field: str, zone: tzinfo, source: Source) -> str | None:
    """Return a time as RFC 3339, or None if its year is 0 or 1 or, as a number, it is 0."""
    if text.startswith(("0000-", "0001-")) or text == "0":
        return None
    try:
        if source.name in UNIX_TIMES:
            return datetime.fromtimestamp(int(text) / UNIX_UNITS[len(text)], UTC).isoformat()
        if not TIME.fullmatch(text):
            raise ValueError
        time = datetime.fromisoformat(text.upper().replace(" UTC", "Z").replace(" +", "+"))
        return (time if time.tzinfo else time.replace(tzinfo=zone)).isoformat()
    except (KeyError, ValueError, OverflowError):
        like = "Must be like 2030-12-31 23:59:59 or 2030-12-31T23:59:59+01:00"
        raise ValidationError({field: [f"{like}, but is {text[:40]!r}."]}) from None


def _tags(given: str) -> Any:
    """Return tags from a JSON list, or from text with `|` or commas between them."""
    if given.startswith("["):
        return imports.json_tags(given)
    parts = given.split("|" if "|" in given else ",")
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))
