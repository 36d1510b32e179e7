"""The registry of all tables, and the column types that they use on MySQL and SQLite."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, LargeBinary, MetaData, String
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

metadata = MetaData()
"""All tables."""

BigIntId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER keys itself


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC; MySQL keeps `digits` of a second's fraction."""

    impl = DateTime
    cache_ok = True

    def __init__(self, digits: int) -> None:
        super().__init__()
        self.digits = digits

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Ask MySQL for fractions of a second, which its DATETIME drops by default."""
        kind = mysql.DATETIME(fsp=self.digits) if dialect.name == "mysql" else DateTime()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Store UTC without a zone."""
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return UTC with its zone."""
        return value.replace(tzinfo=UTC) if value else None


def ascii_string(length: int) -> String:
    """Return a type for keys, compared byte by byte: by default, MySQL takes 'A' for 'a'."""
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return String(length).with_variant(exact, "mysql")


def binary(length: int) -> LargeBinary:
    """Return a type for bytes of a fixed length, such as hashes."""
    return LargeBinary(length).with_variant(mysql.BINARY(length), "mysql")


def exact_string(length: int) -> String:
    """Return a type for any text that is compared character by character, as in Python."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_0900_bin")
    return String(length).with_variant(exact, "mysql")
