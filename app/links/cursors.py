"""Cursors for the pages of a list."""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from marshmallow import ValidationError, fields

from app.links import lists

LIST_ARGUMENTS = ("q", "tag", "sort", "mine")  # they say which list it is, and in which order
LOOKUP_KEY = re.compile("[a-z0-9_.]{1,64}")


class Cursor(fields.Field[lists.Position]):
    """An opaque cursor for pagination: the position in a list where a page ended, and the list.

    It is in Base64: the position, and if the list has a filter or another order, `?` and a query.
    A position that begins with `<` continues backwards.
    """

    @staticmethod
    def encode(position: lists.Position, arguments: Mapping[str, Any]) -> str:
        """Return the cursor for a position in the list with these arguments."""
        default = {"sort": lists.SORTS[0]}
        own = {n: arguments[n] for n in LIST_ARGUMENTS if arguments.get(n) != default.get(n)}
        text = f"{_text(position)}?{urlencode(own)}" if own else _text(position)
        return base64.urlsafe_b64encode(text.encode()).decode()

    @staticmethod
    def arguments(cursor: str) -> dict[str, str]:
        """Return the arguments of a cursor's list. A malformed cursor has none."""
        try:
            query = _decode(cursor).partition("?")[2]
        except ValueError:
            return {}
        return {name: value for name, value in parse_qsl(query) if name in LIST_ARGUMENTS}

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> lists.Position:
        try:
            place = _decode(value).partition("?")[0]
            position = _position(place)
        except (ValueError, OverflowError):
            raise ValidationError("Is not a valid cursor.") from None
        numbers = [n for n in position[:2] if isinstance(n, int)]
        if _text(position) != place or not all(0 <= n < 2**63 for n in numbers):
            raise ValidationError("Is not a valid cursor.")
        return position


# A cursor must be as `encode` has made it: Python's versions differ in what else they can read.
def _decode(cursor: str) -> str:
    text = base64.urlsafe_b64decode(cursor)
    if base64.urlsafe_b64encode(text).decode() != cursor:
        raise ValueError
    return text.decode()


def _position(text: str) -> lists.Position:
    """Return the position that `_text` has written.

    :raises ValueError: it is no position.
    """
    place = text.removeprefix("<")
    backwards = place != text
    if LOOKUP_KEY.fullmatch(place):
        return lists.Position(place, backwards=backwards)
    value, number = place.split(" ")
    if value.isdecimal():
        return lists.Position(int(value), int(number), backwards)
    return lists.Position(datetime.fromisoformat(value).astimezone(UTC), int(number), backwards)


def _text(position: lists.Position) -> str:
    value, number, backwards = position
    if isinstance(value, datetime):
        value = value.isoformat()
    text = value if isinstance(position.value, str) else f"{value} {number}"
    return f"<{text}" if backwards else str(text)
