"""The way to the database, without one."""

from typing import Any

from sqlalchemy import QueuePool, make_url

from app.config import Settings
from app.database import Database

MAX_CONNECTIONS = 151  # MySQL's default


def test_two_replicas_fit_into_mysql() -> None:
    """The pools of two replicas leave MySQL connections for others, such as an import."""
    settings = Settings(make_url("mysql+pymysql://app@db/slipway"))
    database = Database(settings)
    engines = (database.reader, database.writer, database.long_reader, database.long_writer)
    pools: list[Any] = [engine.pool for engine in engines]
    assert all(isinstance(pool, QueuePool) for pool in pools)
    connections = sum(pool.size() + pool._max_overflow for pool in pools)
    assert 2 * settings.web_concurrency * connections < MAX_CONNECTIONS
