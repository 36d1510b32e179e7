"""Cursors for the pages of a list."""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from marshmallow import ValidationError, fields

from app.links import queries

LIST_ARGUMENTS = ("q", "tag", "sort", "mine")  # they say which list it is, and in which order
LOOKUP_KEY = re.compile("[a-z0-9_]{1,64}")


class Cursor(fields.Field[queries.Position | str]):
    """An opaque cursor for pagination: the position in a list where a page ended, and the list.

    It is in Base64: the position, and if the list has a filter or another order, `?` and a query.
    """

    @staticmethod
    def encode(position: queries.Position | str, arguments: Mapping[str, Any]) -> str:
        """Return the cursor for a position in the list with these arguments."""
        default = {"sort": queries.SORTS[0]}
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

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> queries.Position | str:
        try:
            place = _decode(value).partition("?")[0]
            if LOOKUP_KEY.fullmatch(place):
                return place
            time, number = place.split(" ")
            created_at = datetime.fromisoformat(time).astimezone(UTC)
            position = queries.Position(created_at, int(number))
        except (ValueError, OverflowError):
            raise ValidationError("Is not a valid cursor.") from None
        if _text(position) != place or not 0 <= position.id < 2**63:
            raise ValidationError("Is not a valid cursor.")
        return position


# A cursor must be as `encode` has made it: Python's versions differ in what else they can read.
def _decode(cursor: str) -> str:
    text = base64.urlsafe_b64decode(cursor)
    if base64.urlsafe_b64encode(text).decode() != cursor:
        raise ValueError
    return text.decode()


def _text(position: queries.Position | str) -> str:
    if isinstance(position, str):
        return position
    return f"{position.created_at.isoformat()} {position.id}"
