"""The registry of all tables, and column types that work on MySQL and SQLite."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, LargeBinary, MetaData, String
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

metadata = MetaData()
"""The registry of all tables, which migrations are compared with."""

BigIntId = BigInteger().with_variant(Integer, "sqlite")  # SQLite generates only INTEGER ids


class UTCDateTime(TypeDecorator[datetime]):
    """A timezone-aware datetime, stored in UTC.

    :param digits: how many digits of the fraction of a second MySQL stores, from 0 to 6. It rounds
        to them. SQLite always stores 6.
    """

    impl = DateTime
    cache_ok = True

    def __init__(self, digits: int) -> None:
        super().__init__()
        self.digits = digits

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Return MySQL's DATETIME with fractions of a second, which it rounds away by default."""
        kind = mysql.DATETIME(fsp=self.digits) if dialect.name == "mysql" else DateTime()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Convert an aware datetime to UTC without a time zone, as the database stores it."""
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the stored UTC datetime as an aware one."""
        return value.replace(tzinfo=UTC) if value else None


def ascii_string(length: int) -> String:
    """Return a type for ASCII keys that are compared by byte. By default MySQL ignores case."""
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return String(length).with_variant(exact, "mysql")


def binary(length: int) -> LargeBinary:
    """Return a type for bytes of a fixed length, for example hashes."""
    return LargeBinary(length).with_variant(mysql.BINARY(length), "mysql")


def exact_string(length: int) -> String:
    """Return a type for any Unicode text that is compared by code point, as in Python."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_0900_bin")
    return String(length).with_variant(exact, "mysql")
