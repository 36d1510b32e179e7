"""Backup and restore as docs/kubernetes.md shows them, with the database in its pod."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.compose import MYSQL_ROOT
from tests.support.kubernetes.objects import Object
from tests.support.kubernetes.page import Shell, commands
from tests.support.kubernetes.pods import Cluster, Pod

SAVE, EMPTY_AND_LOAD = commands("Back up and restore")
RESTORE = EMPTY_AND_LOAD.splitlines()[-1]
IN_DATABASE = "kubectl -n slipway exec -i slipway-db-0 --"
FILE = "backups/monday.sql.gz"


@pytest.fixture(scope="module")
def empty(local: list[Object]) -> Iterator[Pod]:
    """The pod of another database, migrated but without data."""
    with Cluster(local) as cluster:
        pod = cluster.pod("StatefulSet", "slipway-db")
        pod.start()
        pod.wait("mysql", "startup")
        assert cluster.pod("Deployment", "slipway").first("migrate").returncode == 0
        yield pod


def tokens(pod: Pod) -> list[str]:
    """Return the names of the tokens in a database."""
    sql = "SELECT name FROM tokens"
    return pod.exec("mysql", "bash", "-c", f"{MYSQL_ROOT} --execute='{sql}'").split()


def test_backup_is_restored(shell: Shell, app: Pod, empty: Pod, tmp_path: Path) -> None:
    """What a backup has saved is in another database after a restore, which runs migrations.

    A dump whose end is missing, for example because the connection broke, is neither saved nor
    loaded, even if the tools report no error.
    """
    app.exec("app", "slipway", "tokens", "create", "kept")
    try:
        assert shell.run(SAVE) == f"{FILE}\n"
        file = shell.project / FILE
        complete = file.read_bytes()

        kubectl = tmp_path / "kubectl"
        fake = kubectl.read_text()
        kubectl.write_text(fake.replace(' "$@" ;;', ' "$@" | head -c 2000 ;;', 1))
        assert "backup: The dump is incomplete." in shell.try_to(SAVE).stderr
        kubectl.write_text(fake)
        assert [path.name for path in file.parent.iterdir()] == [file.name]
        assert file.read_bytes() == complete
    finally:
        app.exec("app", "slipway", "tokens", "revoke", "kept")

    other = Shell(tmp_path, shell.project, "", empty)
    dump = gzip.decompress(complete)
    for part in (b"", dump[: len(dump) // 2], dump[:-100]):
        (tmp_path / "part").write_bytes(part)
        done = other.try_to(f'{IN_DATABASE} bash -c "$(cat db/load.sh)" < {tmp_path}/part')
        assert done.returncode == 1
        assert "The dump is incomplete, or it has invalid SQL.\n" in done.stderr
        assert tokens(empty) == []

    other.run(RESTORE)
    assert "kept" in tokens(empty)
    rollout = [call.split()[2:4] for call in other.calls()[-2:]]
    assert rollout == [["rollout", "restart"], ["rollout", "status"]]
    assert "the table tokens has rows" in other.try_to(RESTORE).stderr


def test_restore_needs_a_file(shell: Shell) -> None:
    """A restore without FILE says that it needs one."""
    assert "FILE=" in shell.try_to("make kubernetes-restore").stderr
