"""Passwords are rotated as docs/kubernetes.md says, while the service and its database run."""

import base64
import shutil
from pathlib import Path

import pytest

from tests.kubernetes.conftest import build
from tests.support.kubernetes.objects import Object, find
from tests.support.kubernetes.page import Shell, commands
from tests.support.kubernetes.pods import Cluster, Pod

KINDS = ("startup", "readiness", "liveness")
AS_ROOT = "MYSQL_PWD=$(</run/secrets/root_password) mysql --user=root --execute="


def ready(cluster: Cluster, objects: list[Object]) -> bool:
    """Start a new pod of the service, and return whether it becomes ready."""
    pod = cluster.pod("Deployment", "slipway", objects)
    if pod.first("migrate").returncode:
        return False
    pod.start()
    pod.wait("app", "startup")
    return pod.passes("app", "readiness")


@pytest.mark.parametrize("account", ["app", "migrator"])
def test_database_keeps_running(  # noqa: PLR0913, PLR0917
    account: str,
    shell: Shell,
    cluster: Cluster,
    app: Pod,
    db: Pod,
    local: list[Object],
    tools: str,
    project: Path,
    tmp_path: Path,
) -> None:
    """A rotation doesn't restart the database, whose probes pass before, during and after it.

    Pods with the old and the new password become ready until the old one is discarded. Then a
    rollback to the old Secret doesn't, and the new manifests still do.
    """
    rotate, discard, find_old, delete_old = commands("Rotate secrets")[:4]
    name, secrets = f"{account}_password", project / "deploy/kubernetes/local/secrets"
    old = base64.b64decode(find(local, "Secret", "slipway-db")["data"][name]).decode().strip()
    started = db.state("mysql")["StartedAt"]
    shutil.copytree(secrets, tmp_path / "before")
    try:
        shell.run(rotate.replace("account=app", f"account={account}"))
        after = build(tools, project, "tested")
        for kind in ("StatefulSet", "Service"):
            assert find(after, kind, "slipway-db") == find(local, kind, "slipway-db")
        assert find(after, "Secret", "slipway-db") != find(local, "Secret", "slipway-db")
        assert find(after, "Deployment", "slipway") != find(local, "Deployment", "slipway")
        assert [db.passes("mysql", kind) for kind in KINDS] == [True] * 3
        assert [ready(cluster, each) for each in (local, after)] == [True, True]
        db.fill(after, "secrets")  # a kubelet does this within about two minutes
        assert [db.passes("mysql", kind) for kind in KINDS] == [True] * 3

        shell.run(discard.replace("account=app", f"account={account}"))
        assert [db.passes("mysql", kind) for kind in KINDS] == [True] * 3
        assert [ready(cluster, each) for each in (local, after)] == [False, True]
        assert app.passes("app", "liveness")

        used = {line.split()[1] for line in shell.run(find_old).splitlines()}
        wanted = {"slipway-app", "slipway-db", "slipway-migrate"}
        assert used == {find(after, "Secret", each)["metadata"]["name"] for each in wanted}
        assert delete_old.startswith("kubectl -n slipway delete secret ")
    finally:
        shutil.rmtree(secrets)
        shutil.copytree(tmp_path / "before", secrets)
        sql = (
            f"ALTER USER {account} IDENTIFIED BY '{old}'; ALTER USER {account} DISCARD OLD PASSWORD"
        )
        db.exec("mysql", "bash", "-c", f'{AS_ROOT}"{sql}"')
        db.fill(local, "secrets")
    assert db.state("mysql")["StartedAt"] == started
    change, apply = (
        next(number for number, call in enumerate(shell.calls()) if word in call)
        for word in ("exec", "apply")
    )
    assert change < apply


def test_probes_need_no_secret(local: list[Object]) -> None:
    """No probe of the database reads a file, so none depends on when a kubelet updates it."""
    template = find(local, "StatefulSet", "slipway-db")["spec"]["template"]
    [mysql] = template["spec"]["containers"]
    assert "/run/secrets" not in str([mysql[f"{kind}Probe"] for kind in KINDS])
