"""Backups and restores that fail say so and change nothing."""

import gzip
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.compose import Stack, docker
from tests.support.mysql import RootSession, waits
from tests.support.waiting import wait_until

DUMP = "info LIKE 'SELECT%SQL_NO_CACHE%' AND user = 'root'"


def refused(stack: Stack, target: str, **variables: object) -> str:
    """Run a make target that must fail, and return its error output."""
    with pytest.raises(subprocess.CalledProcessError) as failed:
        stack.make(target, **variables)
    return str(failed.value.stderr)


def tables(stack: Stack) -> list[list[str]]:
    """Return the checksum of every table, including those of additional schemas."""
    names = stack.mysql_root(
        "SELECT CONCAT('`', table_schema, '`.`', table_name, '`')"
        " FROM information_schema.tables"
        " WHERE table_schema REGEXP '^slipway(_|$)'"
        " ORDER BY table_schema, table_name"
    )
    return stack.mysql_root(f"CHECKSUM TABLE {', '.join(name for (name,) in names)}")


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """A folder for backups that does not exist yet."""
    return tmp_path / "backups"


@pytest.fixture(scope="module")
def whole(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a backup file."""
    file = tmp_path_factory.mktemp("whole") / "it.sql.gz"
    stack.make("backup", FILE=file)
    return file.read_bytes()


@pytest.fixture(scope="module", name="empty")
def _empty(stack: Stack) -> Iterator[Stack]:
    """Another stack without any data."""
    with Stack(tag=stack.tag) as empty:
        empty.up()
        yield empty


def test_no_backup_of_a_database_that_is_away(stack: Stack, backups: Path) -> None:
    """When the database is stopped, a backup fails and leaves no file."""
    stack.compose("stop", "db")
    try:
        assert "db" in refused(stack, "backup", FILE=backups / "it.sql.gz")
        assert list(backups.iterdir()) == []
    finally:
        stack.up()


def test_no_backup_of_a_database_that_dies(stack: Stack, backups: Path) -> None:
    """If the database dies during a backup, the previous file stays and no partial file is left."""
    file = backups / "it.sql.gz"
    stack.make("backup", FILE=file)
    before = file.read_bytes()
    with ThreadPoolExecutor() as pool:
        with RootSession(stack) as other:
            other.run("LOCK TABLES tokens WRITE")  # the last table
            failing = pool.submit(refused, stack, "backup", FILE=file)
            wait_until(lambda: waits(stack, "user = 'root' AND db = 'slipway'"))
            docker("kill", stack.id("db"))
        failing.result()
    stack.up()
    assert [(path.name, path.read_bytes()) for path in backups.iterdir()] == [(file.name, before)]


def test_backup_and_migration_wait_for_each_other(stack: Stack, backups: Path) -> None:
    """Backups and migrations wait for each other.

    A backup's snapshot does not isolate it from changes of the schema, so it could contain half a
    migration.
    """
    with ThreadPoolExecutor() as pool, RootSession(stack) as other:
        other.run("DO GET_LOCK('slipway.migrate', 0)")
        backup = pool.submit(stack.make, "backup", FILE=backups / "it.sql.gz")
        wait_until(lambda: waits(stack, "user = 'root'"))
        other.run("DO RELEASE_LOCK('slipway.migrate')")
        backup.result()

        other.run("LOCK TABLES tokens WRITE")
        backup = pool.submit(stack.make, "backup", FILE=backups / "it.sql.gz")
        wait_until(lambda: waits(stack, "user = 'root'"))
        migration = pool.submit(stack.compose, "run", "--rm", "--no-TTY", "migrate")
        wait_until(lambda: waits(stack, "user = 'migrator'"))
        other.run("UNLOCK TABLES")
        backup.result()
        migration.result()


def test_backup_is_for_its_owner(stack: Stack, backups: Path) -> None:
    """Only its owner can access a backup file."""
    file = backups / "it.sql.gz"
    stack.make("backup", FILE=file)
    assert file.stat().st_mode & 0o077 == 0


def test_restore_refuses_a_stack_with_data(stack: Stack, backups: Path) -> None:
    """A restore into a stack with data is rejected and changes nothing."""
    file = backups / "it.sql.gz"
    stack.exec("app", "slipway", "tokens", "create", "there")
    try:
        stack.make("backup", FILE=file)
        before = tables(stack)
        error = "You can restore only into an empty stack, but the table "
        assert error in refused(stack, "restore", FILE=file)
        assert tables(stack) == before
    finally:
        stack.exec("app", "slipway", "tokens", "revoke", "there")


def test_restore_drops_nothing_that_was_written_meanwhile(
    stack: Stack, empty: Stack, backups: Path
) -> None:
    """If something is written while a backup is loaded, the restore is refused, and it stays."""
    file = backups / "it.sql.gz"
    stack.make("backup", FILE=file)
    slow = gzip.decompress(file.read_bytes()).replace(
        b"-- Dump completed", b"DO GET_LOCK('slow', -1);\n-- Dump completed"
    )
    file.write_bytes(gzip.compress(slow))
    try:
        with ThreadPoolExecutor() as pool, RootSession(empty) as other:
            other.run("DO GET_LOCK('slow', 0)")
            restore = pool.submit(refused, empty, "restore", FILE=file)
            wait_until(lambda: waits(empty, "db = 'slipway_restore'"))
            empty.exec("app", "slipway", "tokens", "create", "meanwhile")
            before = tables(empty)
            other.run("DO RELEASE_LOCK('slow')")
            assert "but the table tokens has rows." in restore.result()
        assert [row for row in before if "_restore." not in row[0]] == tables(empty)
    finally:
        empty.exec("app", "slipway", "tokens", "revoke", "meanwhile")


@pytest.mark.parametrize(
    "damage", ["truncated", "truncated SQL", "empty", "missing", "invalid SQL"]
)
def test_restore_of_a_damaged_file_changes_nothing(
    empty: Stack, whole: bytes, tmp_path: Path, damage: str
) -> None:
    """A restore from a damaged or missing file fails, and the stack stays empty and ready."""
    file = tmp_path / "it.sql.gz"
    sql = gzip.decompress(whole)
    if damage != "missing":
        broken = {
            "truncated": whole[:-20],
            "truncated SQL": gzip.compress(sql[:-100]),
            "empty": b"",
            "invalid SQL": gzip.compress(
                sql.replace(b"-- Dump completed", b"oops;\n-- Dump completed")
            ),
        }
        file.write_bytes(broken[damage])
    before = tables(empty)
    assert "Nothing was changed." in refused(empty, "restore", FILE=file)
    assert tables(empty) == before
    empty.wait_ready()


def test_restore_needs_a_file(empty: Stack) -> None:
    """A restore without FILE fails and says to set it."""
    assert "FILE=" in refused(empty, "restore")


def test_restore_names_a_migration_that_failed(
    empty: Stack, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the migration after a restore fails, the message says that the data is loaded.

    This test is the last one, because its stack is not empty afterwards.
    """
    file = tmp_path / "it.sql.gz"
    file.write_bytes(whole)
    monkeypatch.setitem(empty.env, "LOG_LEVEL", "loud")  # stops the migration
    error = refused(empty, "restore", FILE=file)
    assert "The data is loaded, but the migration failed." in error
    assert "docker compose run --rm --no-deps migrate" in error
